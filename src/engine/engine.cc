#include "tidal/engine.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "base/fail.h"
#include "base/parallel.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "model/decoder.h"
#include "ops/factory/backend_factory.h"
#include "runtime/model_options.h"
#include "runtime/model_text.h"

namespace tidal {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

int64_t cache_capacity(const EngineOptions& options, const Config& config) {
  if (options.context_size < 0 || options.max_sequences < 1 || options.prefill_chunk < 1) {
    fail(ErrorCode::kInvalidArgument,
         "context size {}, sequences {} and prefill chunk {} must be positive",
         options.context_size, options.max_sequences, options.prefill_chunk);
  }
  return options.context_size > 0 ? options.context_size : config.context_length;
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kError:
      return "error";
  }
  return "unknown";
}

class Engine::Impl {
 public:
  explicit Impl(const EngineOptions& options)
      : model_(Model::load(options.model, rope_override(options.rope))),
        tokenizer_(load_tokenizer(*model_)),
        control_tokens_(control_token_names(tokenizer_)),
        context_size_(cache_capacity(options, model_->config())),
        limits_{options.max_sequences, options.prefill_chunk},
        backend_(make_backend(options.backend, thread_count(options.threads))),
        decoder_(model_, *backend_, {limits_.max_rows(), limits_.max_sequences, context_size_, 0}),
        pool_(decoder_.kv_layout(cache_type(options.k_cache_type, "--cache-type-k"),
                                 cache_type(options.v_cache_type, "--cache-type-v")),
              (context_size_ + kPageRows - 1) / kPageRows + limits_.max_sequences - 1),
        scheduler_(limits_, pool_) {
    load_template();
    batch_.tokens.reserve(static_cast<size_t>(limits_.max_rows()));
    batch_.sequences.reserve(static_cast<size_t>(limits_.max_sequences));
    running_.reserve(static_cast<size_t>(limits_.max_sequences));
  }

  RequestId submit(Request request) {
    const Config& config = model_->config();
    const auto n_prompt = static_cast<int64_t>(request.prompt.size());
    check_fits(request, n_prompt);
    std::shared_ptr<const AttentionMethod> method =
        method_for(*model_, request.attention, pool_.bytes_per_token(), limits_.prefill_chunk);
    const int64_t max_length =
        request.max_tokens < 0 ? context_size_ : n_prompt + request.max_tokens;

    auto sequence = std::make_unique<Sequence>(Sequence{
        .method = method,
        .tokens = request.prompt,
        .n_prompt = n_prompt,
        .max_length = max_length,
        .sampler = Sampler(request.sampling, config.vocab_size),
        .decoder = StreamDecoder(tokenizer_),
        .stop = StopMatcher(request.stop),
    });
    sequence->tokens.reserve(static_cast<size_t>(max_length));
    sequence->request = std::move(request);
    sequence->completion.prompt_tokens = n_prompt;
    sequence->completion.method = method->name();
    sequence->completion.plan = method->plan_line();

    const std::lock_guard lock(inbox_mutex_);
    sequence->id = sequence->completion.id = ++last_id_;
    inbox_.push_back(std::move(sequence));
    return last_id_;
  }

  void cancel(RequestId id) {
    const std::lock_guard lock(inbox_mutex_);
    cancelled_.push_back(id);
  }

  bool step() {
    take_inbox();
    scheduler_.admit(waiting_, running_);
    const std::span<const Scheduled> scheduled = scheduler_.plan(running_, batch_);
    if (scheduled.empty()) return false;
    mark_started(scheduled);
    std::span<const float> logits = decoder_.forward(batch_);
    const auto vocab = static_cast<size_t>(model_->config().vocab_size);
    for (const Scheduled& part : scheduled) {
      if (commit(part, logits)) logits = logits.subspan(vocab);
    }
    std::erase_if(running_, [](const auto& sequence) { return !sequence->kv.has_value(); });
    return true;
  }

  std::vector<int32_t> encode_chat(std::span<const Message> messages,
                                   std::string_view answer_prefix) const {
    if (!chat_template_.has_value()) {
      fail(ErrorCode::kUnsupported, "{}: {}, give a plain prompt", model_->path(),
           chat_template_error_);
    }
    std::vector<ChatMessage> converted;
    for (const Message& message : messages) converted.push_back({message.role, message.content});
    return encode_messages(tokenizer_, *chat_template_, control_tokens_, converted, answer_prefix);
  }

  const Model& model() const { return *model_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  int64_t context_size() const { return context_size_; }
  bool has_chat_template() const { return chat_template_.has_value(); }

 private:
  // A template that cannot be read keeps nobody from plain prompts.
  void load_template() {
    try {
      chat_template_ = load_chat_template(*model_, tokenizer_);
      chat_template_error_ = "the model brings no chat template";
    } catch (const Error& error) {
      chat_template_error_ = fmt::format("its chat template cannot be used ({})", error.what());
    }
  }

  void check_fits(const Request& request, int64_t n_prompt) const {
    if (n_prompt == 0) fail(ErrorCode::kInvalidArgument, "the prompt is empty, give some text");
    if (request.max_tokens < -1 || request.max_tokens == 0) {
      fail(ErrorCode::kInvalidArgument, "-n is {}, give a count, or -1 for as many as fit",
           request.max_tokens);
    }
    const int64_t generated = std::max<int64_t>(1, request.max_tokens);
    if (n_prompt + generated > context_size_) {
      fail(ErrorCode::kExhausted,
           "the prompt has {} tokens and {} are to be generated, but the cache holds {}: raise "
           "--ctx-size to at least {}",
           n_prompt, generated, context_size_, n_prompt + generated);
    }
    for (const int32_t token : request.prompt) {
      if (token < 0 || token >= model_->config().vocab_size) {
        fail(ErrorCode::kInvalidArgument, "token {} of the prompt is not in the vocabulary of {}",
             token, model_->config().vocab_size);
      }
    }
  }

  void take_inbox() {
    std::vector<RequestId> cancelled;
    AttentionShape shape = decoder_.attention_shape();
    {
      const std::lock_guard lock(inbox_mutex_);
      for (auto& sequence : inbox_) {
        shape.max_length = sequence->max_length;
        sequence->state = sequence->method->make_state(shape, pool_);
        waiting_.push_back(std::move(sequence));
      }
      inbox_.clear();
      cancelled.swap(cancelled_);
    }
    for (const RequestId id : cancelled) {
      for (auto* list : {&running_}) cancel_in(*list, id);
      cancel_in(waiting_, id);
    }
  }

  template <typename List>
  void cancel_in(List& list, RequestId id) {
    const auto found = std::find_if(list.begin(), list.end(),
                                    [id](const auto& sequence) { return sequence->id == id; });
    if (found == list.end()) return;
    finish(**found, FinishReason::kCancelled);
    list.erase(found);
  }

  void mark_started(std::span<const Scheduled> scheduled) {
    for (const Scheduled& part : scheduled) {
      if (part.sequence->started == Clock::time_point{}) part.sequence->started = Clock::now();
    }
  }

  // Takes the outcome of one sequence's rows; true when it used up a row of logits.
  bool commit(const Scheduled& part, std::span<const float> logits) {
    Sequence& sequence = *part.sequence;
    switch (part.work) {
      case Work::kCorrect:
        sequence.since_correction = 0;
        ++sequence.completion.corrections;
        return false;
      case Work::kPrefill: {
        const int64_t done = sequence.kv->length();
        if (sequence.request.on_prefill) sequence.request.on_prefill(done, sequence.n_prompt);
        if (done < sequence.n_prompt) return false;
        sequence.first_token = Clock::now();
        break;
      }
      case Work::kDecode:
        ++sequence.since_correction;
        break;
    }
    logits = logits.first(static_cast<size_t>(model_->config().vocab_size));
    if (std::ranges::any_of(logits, [](float logit) { return std::isnan(logit); })) {
      sequence.completion.error = fmt::format(
          "{} gave logits that are not numbers after {} tokens: the file may be damaged",
          model_->path(), sequence.tokens.size());
      finish(sequence, FinishReason::kError);
    } else {
      accept(sequence, sequence.sampler.sample(logits));
    }
    return true;
  }

  void accept(Sequence& sequence, int32_t token) {
    if (!sequence.request.ignore_eos && tokenizer_.is_end_of_generation(token)) {
      return finish(sequence, FinishReason::kStop);
    }
    sequence.tokens.push_back(token);
    sequence.completion.tokens.push_back(token);
    emit(sequence, token, sequence.stop.push(sequence.decoder.push(token)));
    if (sequence.stop.matched()) return finish(sequence, FinishReason::kStop);
    if (static_cast<int64_t>(sequence.tokens.size()) >= sequence.max_length) {
      finish(sequence, FinishReason::kLength);
    }
  }

  static void emit(Sequence& sequence, int32_t token, const std::string& text) {
    sequence.completion.text += text;
    if (sequence.request.on_token) sequence.request.on_token({token, text});
  }

  void finish(Sequence& sequence, FinishReason reason) {
    const std::string rest = sequence.stop.push(sequence.decoder.flush()) + sequence.stop.flush();
    if (!rest.empty()) emit(sequence, -1, rest);
    Completion& completion = sequence.completion;
    completion.finish_reason = reason;
    completion.rows = {sequence.state.rows.k + sequence.state.rows.v,
                       2 * sequence.state.rows_total};
    const Clock::time_point now = Clock::now();
    if (sequence.first_token != Clock::time_point{}) {
      completion.prefill_ms = milliseconds(sequence.first_token - sequence.started);
      completion.decode_ms = milliseconds(now - sequence.first_token);
    }
    scheduler_.release(sequence);
    if (sequence.request.on_finish) sequence.request.on_finish(completion);
  }

  std::shared_ptr<const Model> model_;
  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_template_;
  std::string chat_template_error_;  // why there is none
  std::vector<std::string> control_tokens_;
  int64_t context_size_;
  SchedulerLimits limits_;
  std::unique_ptr<Backend> backend_;
  Decoder decoder_;
  PagePool pool_;
  Scheduler scheduler_;
  Batch batch_;
  std::deque<std::unique_ptr<Sequence>> waiting_;
  std::vector<std::unique_ptr<Sequence>> running_;

  std::mutex inbox_mutex_;  // guards the three below
  RequestId last_id_ = 0;
  std::vector<std::unique_ptr<Sequence>> inbox_;
  std::vector<RequestId> cancelled_;
};

Engine::Engine(const EngineOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Engine::~Engine() = default;

std::string Engine::model_name() const { return impl_->model().config().name; }
bool Engine::has_chat_template() const { return impl_->has_chat_template(); }
int64_t Engine::context_size() const { return impl_->context_size(); }
int64_t Engine::trained_context() const { return impl_->model().config().context_length; }

std::vector<int32_t> Engine::encode(std::string_view text) const {
  return impl_->tokenizer().encode(text, /*add_special=*/true, /*parse_special=*/false);
}

std::vector<int32_t> Engine::encode_chat(std::span<const Message> messages,
                                         std::string_view answer_prefix) const {
  return impl_->encode_chat(messages, answer_prefix);
}

std::string Engine::decode(std::span<const int32_t> tokens) const {
  return impl_->tokenizer().decode(tokens);
}

RequestId Engine::submit(Request request) { return impl_->submit(std::move(request)); }
void Engine::cancel(RequestId id) { impl_->cancel(id); }
bool Engine::step() { return impl_->step(); }

Completion Engine::run(Request request) {
  std::optional<Completion> result;
  request.on_finish = [&result, then = std::move(request.on_finish)](const Completion& completion) {
    result = completion;
    if (then) then(completion);
  };
  submit(std::move(request));
  while (!result.has_value()) {
    const bool worked = step();
    TIDAL_CHECK(worked || result.has_value(), "a submitted request neither ran nor ended");
  }
  return *std::move(result);
}

}  // namespace tidal
