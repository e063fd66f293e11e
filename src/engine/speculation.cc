#include "engine/speculation.h"

#include <algorithm>

#include "engine/sampling.h"
#include "runtime/not_numbers.h"

namespace tidal {
namespace {

constexpr int64_t kLeastRepeated = 4;  // tokens, before what followed them counts as a draft
constexpr int64_t kMostRepeated = 64;  // that are compared
constexpr double kNewest = 0.05;       // weight of one draft in the share that was right

constexpr double kForgotten = 0.002;  // of what is known of repetitions, in a round without

bool is_decoding(const ActiveRequest& request) {
  return request.drafting.has_value() && request.sequence->unverified() == 1 &&
         !request.completion.tokens.empty();
}

bool may_draft(const ActiveRequest& request) {
  return !request.drafting->over && !request.method->dense(request.sequence->length());
}

double mean_acceptance(std::span<ActiveRequest* const> requests) {
  double sum = 0;
  for (const ActiveRequest* request : requests) sum += request->drafting->acceptance;
  return sum / static_cast<double>(requests.size());
}

bool has_room(const ActiveRequest& request) {
  const int32_t fixed = request.request.attention.drafts;
  return request.sequence->n_drafts() < (fixed >= 0 ? fixed : kMostDrafts) &&
         request.sequence->length() + 1 < request.max_length;
}

}  // namespace

std::span<const int32_t> what_followed(std::span<const int32_t> tokens, int64_t least, int64_t n) {
  const int64_t length = std::ssize(tokens);
  int64_t best = least - 1, place = 0;
  for (int64_t end = length - 1; end >= least && best < kMostRepeated; --end) {
    int64_t same = 0;
    while (same < end && same < kMostRepeated &&
           tokens[static_cast<size_t>(end - 1 - same)] ==
               tokens[static_cast<size_t>(length - 1 - same)]) {
      ++same;
    }
    if (same <= best) continue;
    best = same;
    place = end;
  }
  if (place == 0) return {};
  return tokens.subspan(static_cast<size_t>(place),
                        static_cast<size_t>(std::min(n, length - place)));
}

void Speculation::direct(Requests running) {
  decoding_.clear();
  for (const auto& request : running) {
    if (!request->drafting) continue;
    if (is_decoding(*request)) {
      decoding_.push_back(request.get());
    } else {
      request->sequence->set_phase(DraftPhase::kVerify);
    }
  }
  const auto drafted = [](const ActiveRequest* r) { return r->sequence->n_drafts() > 0; };
  const bool begins = left_ == 0 && std::ranges::none_of(decoding_, drafted);
  const auto n = static_cast<int32_t>(decoding_.size());
  const int32_t most = std::min(kMostDrafts, std::max(1, kDraftRows / std::max(1, n)));
  for (ActiveRequest* request : decoding_) {
    if (!request->drafting->begun && (begins || left_ > 0)) begin(*request, most);
  }
  if (std::ranges::none_of(decoding_, [](const auto* r) { return may_draft(*r); })) {
    left_ = 0;
  } else if (begins) {
    const int32_t pays = length_.choose(mean_acceptance(decoding_), most);
    for (const ActiveRequest* request : decoding_) {
      const int32_t fixed = request->request.attention.drafts;
      if (may_draft(*request)) left_ = std::max(left_, fixed >= 0 ? fixed : pays);
    }
  }
  for (ActiveRequest* request : decoding_) {
    DraftPhase phase = DraftPhase::kVerify;
    if (left_ > 0 && may_draft(*request)) {
      phase = DraftPhase::kDraft;
    } else if (left_ > 0 && drafted(request)) {
      phase = DraftPhase::kHold;
    }
    request->sequence->set_phase(phase);
  }
}

void Speculation::begin(ActiveRequest& request, int32_t most) {
  Drafting& drafting = *request.drafting;
  drafting.begun = true;
  drafting.over = false;
  drafting.repeats = false;
  drafting.sampler = request.sampler;
  const int32_t fixed = request.request.attention.drafts;
  const int32_t n = fixed >= 0 ? fixed : length_.choose_free(drafting.repeat_acceptance, most);
  if (n == 0) {
    drafting.repeat_acceptance +=
        kForgotten * (Drafting::kExpectedRepeats - drafting.repeat_acceptance);
    return;
  }
  for (const int32_t token : what_followed(request.sequence->tokens(), kLeastRepeated, n)) {
    if (!has_room(request) || ends_text(request, tokenizer_, token)) break;
    request.sequence->enqueue_draft(token);
    ++drafting.drafted;
    drafting.over = drafting.repeats = true;
  }
}

// -1: this round has no more drafts.
int32_t Speculation::pick_draft(ActiveRequest& request, std::span<const float> logits) const {
  if (!has_room(request) || has_nan(logits)) return -1;
  try {
    const int64_t ahead = request.sequence->n_drafts();
    const int32_t token = pick(request, *request.drafting->sampler, logits, ahead);
    if (token < 0 || ends_text(request, tokenizer_, token)) return -1;
    return !request.grammar || request.grammar->accept(token) ? token : -1;
  } catch (const Error&) {
    return -1;  // a grammar that cannot go on; the text may turn out otherwise
  }
}

void Speculation::add_draft(ActiveRequest& request, std::span<const float> logits) {
  Drafting& drafting = *request.drafting;
  const int32_t token = pick_draft(request, logits);
  drafting.over = token < 0;
  if (token < 0) return;
  drafting.in_grammar += request.grammar.has_value();
  drafting.sampler->accept(token);
  request.sequence->enqueue_draft(token);
  ++drafting.drafted;
}

void Speculation::settle(ActiveRequest& request) {
  Drafting& drafting = *request.drafting;
  if (drafting.in_grammar > 0) request.grammar->rollback(drafting.in_grammar);
  drafting.in_grammar = 0;
  drafting.begun = false;
}

void Speculation::judge(ActiveRequest& request, bool right) const {
  Drafting& drafting = *request.drafting;
  drafting.accepted += right;
  double& share = drafting.repeats ? drafting.repeat_acceptance : drafting.acceptance;
  share += kNewest * (static_cast<double>(right) - share);
}

void Speculation::count_token(ActiveRequest& request) const {
  if (request.completion.tokens.size() == 1) return;  // it came with the prompt
  request.drafting->full_seconds += length_.step_seconds();
}

void Speculation::measured(Requests running, std::span<const Scheduled> scheduled, double seconds) {
  int32_t drafts = 0, verifications = 0, rows = 0, others = 0;
  for (const Scheduled& part : scheduled) {
    const bool lossless = running[part.index]->drafting.has_value();
    if (part.work.kind == WorkKind::kDecode) {
      drafts += lossless;
    } else if (part.work.kind == WorkKind::kVerify && part.work.last) {
      ++verifications;
      rows += part.work.n_rows;
    } else {
      ++others;  // chunks of any length
    }
  }
  if (drafts > 0) left_ = std::max(0, left_ - 1);
  if (others > 0) return;
  if (drafts > 0 && verifications == 0) length_.drafted(seconds);
  if (verifications > 0 && drafts == 0) {
    length_.verified(static_cast<double>(rows) / verifications, seconds);
  }
}

}  // namespace tidal
