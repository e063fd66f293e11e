#include "bench/lockstep.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/check.h"

namespace tidal {
namespace {

constexpr int64_t kFillRows = 512;
constexpr int64_t kBankRows = 4096;

// Normally distributed rows; one in a hundred is four times as long, so a few scores stand out.
std::vector<float> make_bank(int64_t width, std::mt19937_64& random) {
  std::normal_distribution<float> normal(0.0f, 0.5f);
  std::vector<float> bank(static_cast<size_t>(kBankRows * width));
  for (int64_t row = 0; row < kBankRows; ++row) {
    const float scale = random() % 100 == 0 ? 4.0f : 1.0f;
    for (int64_t i = 0; i < width; ++i) {
      bank[static_cast<size_t>(row * width + i)] = scale * normal(random);
    }
  }
  return bank;
}

RuntimeLimits runtime_limits(const LockstepLimits& limits) {
  // A contender copies the last page of each cache when it first writes into it.
  const int64_t pages =
      pages_of(limits.max_filled) +
      limits.max_contenders * (pages_of(limits.max_decoded + limits.max_drafts) + 1);
  return {.max_sequences = limits.n_sequences,
          .max_length = limits.max_filled + limits.max_decoded + limits.max_drafts,
          .n_pages = limits.n_sequences * pages,
          .max_logit_rows = limits.n_sequences * (1 + limits.max_drafts)};
}

}  // namespace

Lockstep::Lockstep(std::shared_ptr<const Model> model, Backend& backend,
                   const EngineOptions& options, const LockstepLimits& limits)
    : runtime_(std::move(model), backend, options, runtime_limits(limits)) {
  caches_.reserve(static_cast<size_t>(limits.n_sequences));
  for (int32_t i = 0; i < limits.n_sequences; ++i) {
    caches_.emplace_back(runtime_.pool(),
                         limits.max_filled + limits.max_decoded + limits.max_drafts);
  }
}

Contender Lockstep::enter(int32_t n, const MethodOptions& method) {
  TIDAL_CHECK(n >= 1 && static_cast<size_t>(n) <= caches_.size(), "{} sequences", n);
  const std::shared_ptr<const AttentionMethod> shared = runtime_.method(method);
  const std::vector<int32_t> tokens(static_cast<size_t>(length()));  // nobody reads them
  Contender contender;
  for (int32_t i = 0; i < n; ++i) {
    contender.sequences.emplace_back(shared, runtime_.decoder().attention_shape(),
                                     caches_[static_cast<size_t>(i)].fork(), tokens);
    if (method.lossless) contender.sequences.back().make_lossless();
  }
  contender.drafts = method.lossless ? method.drafts : 0;
  return contender;
}

void Lockstep::truncate(int64_t length) {
  for (SequenceKv& cache : caches_) cache.truncate(std::min(length, cache.length()));
}

std::span<const float> Lockstep::decode(Contender& contender, int32_t token) {
  stepping_.clear();
  for (Sequence& sequence : contender.sequences) {
    sequence.enqueue(token);
    for (int32_t i = 0; i < contender.drafts; ++i) sequence.enqueue_draft(token);
    stepping_.push_back(&sequence);
  }
  const std::span<const float> logits = runtime_.run(stepping_);
  for (Sequence& sequence : contender.sequences) sequence.drop_drafts();
  return logits;
}

void Lockstep::step_back(Contender& contender) {
  for (Sequence& sequence : contender.sequences) sequence.rewind(sequence.length() - 1);
}

bool Lockstep::prefill(std::span<const int32_t> tokens,
                       const std::function<bool(int64_t done, int64_t total)>& progress) {
  Sequence sequence = runtime_.sequence(runtime_.full_attention());
  sequence.enqueue(tokens);
  while (sequence.cached() < sequence.length()) {
    const Work work = sequence.next(runtime_.prefill_chunk());
    batch_.clear();
    const bool scheduled = sequence.schedule(work, batch_);
    TIDAL_CHECK(scheduled, "the caches are not empty");
    runtime_.forward(batch_);
    sequence.commit(work);
    if (progress && !progress(sequence.cached(), sequence.length())) return false;
  }
  return true;
}

bool Lockstep::fill(int64_t depth, uint64_t seed,
                    const std::function<bool(int64_t done, int64_t total)>& progress) {
  const Config& config = model().config();
  const int64_t width = int64_t{config.attention().n_kv_heads} * config.attention().head_dim;
  std::mt19937_64 random(seed);
  const std::vector<float> bank = make_bank(width, random);
  const size_t bytes = static_cast<size_t>(kFillRows * width) * sizeof(float);
  const MirroredBuffer k(bytes, runtime_.backend().memory());
  const MirroredBuffer v(bytes, runtime_.backend().memory());
  const auto slice = [&](const MirroredBuffer& out) {
    const auto start = static_cast<int64_t>(random() % (kBankRows - kFillRows)) * width;
    const float scale = 0.9f + 0.2f * static_cast<float>(random() >> 40) * 0x1p-24f;
    std::transform(bank.begin() + start, bank.begin() + start + kFillRows * width,
                   out.host<float>(), [scale](float x) { return scale * x; });
    out.push(bytes);
  };
  const int64_t total = std::ssize(caches_) * std::max<int64_t>(0, depth - length());
  int64_t done = 0;
  for (SequenceKv& kv : caches_) {
    while (kv.length() < depth) {
      const int64_t first = kv.length();
      const int64_t n = std::min(kFillRows, depth - first);
      const bool grown = kv.grow(n);
      TIDAL_CHECK(grown, "the capacity of {} tokens is exceeded", kv.max_length());
      for (int32_t layer = 0; layer < config.n_layers(); ++layer) {
        slice(k);
        slice(v);
        const AppendItem item{k.device<float>(), v.device<float>(), n, first, kv.view(layer)};
        runtime_.backend().append({&item, 1});
      }
      done += n;
      if (!progress(done, total)) return false;
    }
  }
  return true;
}

RowsRead Contender::rows_read() const {
  RowsRead rows;
  for (const Sequence& sequence : sequences) rows += sequence.rows_read();
  return rows;
}

RowsReport Contender::rows() const {
  RowsReport report;
  for (const Sequence& sequence : sequences) {
    report.read += sequence.rows().read;
    report.total += sequence.rows().total;
  }
  return report;
}

}  // namespace tidal
