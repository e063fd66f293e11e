#include "tidal/engine.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/fail.h"
#include "base/log.h"
#include "engine/active_request.h"
#include "engine/check_request.h"
#include "engine/engine_model.h"
#include "engine/scheduler.h"
#include "runtime/model_options.h"
#include "runtime/model_text.h"
#include "runtime/not_numbers.h"
#include "runtime/runtime.h"

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
        context_size_(cache_capacity(options, model_->config())),
        limits_{options.max_sequences, options.prefill_chunk},
        runtime_(model_, options,
                 {.max_sequences = limits_.max_sequences,
                  .max_length = context_size_,
                  .n_pages = pages_of(context_size_) + limits_.max_sequences - 1,
                  .max_rows = limits_.max_rows()}),
        scheduler_(limits_, runtime_.pool()) {
    load_template();
    batch_.tokens.reserve(static_cast<size_t>(limits_.max_rows()));
    batch_.sequences.reserve(static_cast<size_t>(limits_.max_sequences));
    running_.reserve(static_cast<size_t>(limits_.max_sequences));
    sequences_.reserve(static_cast<size_t>(limits_.max_sequences));
  }

  ~Impl() {
    take_inbox();
    for (const auto& request : running_) finish(*request, FinishReason::kCancelled);
    for (const auto& request : waiting_) finish(*request, FinishReason::kCancelled);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  RequestId submit(Request request) {
    const auto n_prompt = static_cast<int64_t>(request.prompt.size());
    check_request(request, context_size_, model_->config().vocab_size);
    runtime_.require_memory(certain_tokens(request));
    auto active = std::make_unique<ActiveRequest>(ActiveRequest{
        .method = runtime_.method(request.attention),
        .max_length = request.max_tokens < 0 ? context_size_ : n_prompt + request.max_tokens,
        .sampler = Sampler(request.sampling, model_->config().vocab_size),
        .decoder = StreamDecoder(tokenizer_),
        .stop = StopMatcher(request.stop),
    });
    active->request = std::move(request);
    active->completion.prompt_tokens = n_prompt;
    active->completion.method = active->method->name();
    active->completion.plan = active->method->plan_line();

    const std::lock_guard lock(inbox_mutex_);
    active->id = active->completion.id = ++last_id_;
    inbox_.push_back(std::move(active));
    return last_id_;
  }

  void cancel(RequestId id) {
    const std::lock_guard lock(inbox_mutex_);
    cancelled_.push_back(id);
  }

  bool step() {
    take_inbox();
    admit();
    sequences_.clear();
    for (const auto& request : running_) sequences_.push_back(&*request->sequence);
    const std::span<const Scheduled> scheduled = scheduler_.plan(sequences_, batch_);
    if (scheduled.empty()) return false;
    mark_started(scheduled);
    const std::span<const float> logits = runtime_.forward(batch_);
    for (const Scheduled& part : scheduled) commit_or_end(*running_[part.index], part, logits);
    std::erase_if(running_, [](const auto& request) { return !request->sequence.has_value(); });
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
    return encode_messages(tokenizer_, *chat_template_, converted, answer_prefix);
  }

  const Model& model() const { return *model_; }
  std::shared_ptr<const Model> shared_model() const { return model_; }
  Runtime& runtime() { return runtime_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  int64_t context_size() const { return context_size_; }
  bool has_chat_template() const { return chat_template_.has_value(); }

 private:
  // A template that cannot be read still leaves plain prompts.
  void load_template() {
    try {
      chat_template_ = load_chat_template(*model_, tokenizer_);
      chat_template_error_ = "the model brings no chat template";
    } catch (const Error& error) {
      chat_template_error_ = fmt::format("its chat template cannot be used ({})", error.what());
    }
  }

  // What is certain to be cached: an answer may end at once, unless nothing but its length ends it.
  static int64_t certain_tokens(const Request& request) {
    const bool to_the_end = request.ignore_eos && request.stop.empty() && request.max_tokens > 0;
    return std::ssize(request.prompt) + (to_the_end ? request.max_tokens - 1 : 0);
  }

  void take_inbox() {
    std::vector<RequestId> cancelled;
    {
      const std::lock_guard lock(inbox_mutex_);
      for (auto& request : inbox_) waiting_.push_back(std::move(request));
      inbox_.clear();
      cancelled.swap(cancelled_);
    }
    for (const RequestId id : cancelled) {
      cancel_in(running_, id);
      cancel_in(waiting_, id);
    }
  }

  template <typename List>
  void cancel_in(List& list, RequestId id) {
    const auto found = std::find_if(list.begin(), list.end(),
                                    [id](const auto& request) { return request->id == id; });
    if (found == list.end()) return;
    finish(**found, FinishReason::kCancelled);
    list.erase(found);
  }

  void admit() {
    while (!waiting_.empty()) {
      ActiveRequest& next = *waiting_.front();
      if (!running_.empty() && !runtime_.has_memory_for_pages(pages_beside(next))) return;
      std::optional<SequenceKv> rows =
          scheduler_.admit(salt_of(next), next.request.prompt, next.max_length);
      if (!rows.has_value()) return;
      try {
        start(next, *std::move(rows));
        make_room(*next.sequence);
        running_.push_back(std::move(waiting_.front()));
      } catch (const std::bad_alloc&) {
        end_unstarted(next, "not enough memory for what its method carries");
      } catch (const Error& error) {
        end_unstarted(next, error.what());
      }
      waiting_.pop_front();
    }
  }

  static const std::string* salt_of(const ActiveRequest& request) {
    return request.request.cache_prompt ? &request.request.cache_salt : nullptr;
  }

  void keep(const ActiveRequest& request) {
    const std::string* salt = salt_of(request);
    if (salt != nullptr) scheduler_.keep(*salt, *request.sequence);
  }

  void end_unstarted(ActiveRequest& request, std::string_view why) {
    if (!request.sequence.has_value()) scheduler_.release(request.max_length);
    request.completion.error = why;
    finish(request, FinishReason::kError);
  }

  // Pages that the prompts of those that run and of this one are going to take.
  int64_t pages_beside(const ActiveRequest& next) const {
    int64_t pages = pages_of(next.n_prompt());
    for (const auto& request : running_) pages += request->sequence->pages_to_grow();
    return pages;
  }

  // Memory for what the sequence runs next; kept rows make way. Throws Error where there is
  // none.
  void make_room(const Sequence& sequence) {
    const Work work = sequence.next(limits_.prefill_chunk);
    if (work.kind == WorkKind::kCorrect) return;  // rewrites the pages that it has
    const int64_t pages = sequence.kv().pages_needed(work.n_rows);
    while (!runtime_.has_memory_for_pages(pages)) {
      if (!scheduler_.drop_kept_rows()) runtime_.require_pages(pages);
    }
  }

  void start(ActiveRequest& request, SequenceKv rows) {
    const std::span<const int32_t> prompt = request.request.prompt;
    const auto reused = static_cast<size_t>(rows.length());
    AttentionShape shape = runtime_.decoder().attention_shape();
    shape.max_length = request.max_length;
    request.sequence.emplace(request.method, shape, std::move(rows), prompt.first(reused));
    request.sequence->enqueue(prompt.subspan(reused));
    request.completion.reused_tokens = static_cast<int64_t>(reused);
  }

  void mark_started(std::span<const Scheduled> scheduled) {
    for (const Scheduled& part : scheduled) {
      ActiveRequest& request = *running_[part.index];
      if (request.started == Clock::time_point{}) request.started = Clock::now();
    }
  }

  // Whatever goes wrong with one request ends that one: step() throws nothing.
  void commit_or_end(ActiveRequest& request, const Scheduled& part, std::span<const float> logits) {
    try {
      commit(request, part, logits);
    } catch (const std::exception& error) {
      request.completion.error = error.what();
      if (request.sequence.has_value()) finish(request, FinishReason::kError);
    }
  }

  // Takes what came of a sequence's rows.
  void commit(ActiveRequest& request, const Scheduled& part, std::span<const float> logits) {
    Sequence& sequence = *request.sequence;
    sequence.commit(part.work);
    if (part.work.kind == WorkKind::kPrompt) {
      if (part.work.last) {
        request.first_token = Clock::now();
        keep(request);
      }
      call(request, request.request.on_prefill, sequence.cached(), request.n_prompt());
    }
    if (part.work.last && request.callback_error.empty()) {
      const auto vocab = static_cast<size_t>(model_->config().vocab_size);
      take_logits(request, logits.subspan(static_cast<size_t>(part.logits_row) * vocab, vocab));
    }
    if (!request.sequence.has_value()) return;
    if (!request.callback_error.empty()) return finish(request, FinishReason::kError);
    make_room(*request.sequence);
  }

  void take_logits(ActiveRequest& request, std::span<const float> logits) {
    if (has_nan(logits)) {
      request.completion.error = not_numbers_message(
          model_->path(), fmt::format("after {} tokens", request.sequence->length()));
      return finish(request, FinishReason::kError);
    }
    const int32_t token = request.sampler.sample(logits);
    if (!request.request.ignore_eos && tokenizer_.is_end_of_generation(token)) {
      return finish(request, FinishReason::kStop);
    }
    request.sequence->enqueue(token);
    request.completion.tokens.push_back(token);
    emit(request, token, request.stop.push(request.decoder.push(token)));
    if (request.stop.matched()) return finish(request, FinishReason::kStop);
    if (request.sequence->length() >= request.max_length) finish(request, FinishReason::kLength);
  }

  static void emit(ActiveRequest& request, int32_t token, const std::string& text) {
    request.completion.text += text;
    call(request, request.request.on_token, TokenEvent{token, text});
  }

  // A callback that throws ends its own request and no other.
  template <typename Callback, typename... Arguments>
  static void call(ActiveRequest& request, const Callback& callback, Arguments&&... arguments) {
    if (!callback || !request.callback_error.empty()) return;
    try {
      callback(std::forward<Arguments>(arguments)...);
    } catch (const std::exception& error) {
      request.callback_error = fmt::format("a callback threw: {}", error.what());
    } catch (...) {
      request.callback_error = "a callback threw something that is not an exception";
    }
  }

  void finish(ActiveRequest& request, FinishReason reason) {
    const std::string rest = request.stop.push(request.decoder.flush()) + request.stop.flush();
    if (!rest.empty()) emit(request, -1, rest);
    Completion& completion = request.completion;
    completion.finish_reason = reason;
    if (!request.callback_error.empty()) {
      completion.finish_reason = FinishReason::kError;
      completion.error = std::exchange(request.callback_error, {});
    }
    if (request.first_token != Clock::time_point{}) {
      completion.prefill_ms = milliseconds(request.first_token - request.started);
      completion.decode_ms = milliseconds(Clock::now() - request.first_token);
    }
    if (request.sequence.has_value()) {
      completion.rows = request.sequence->rows();
      completion.corrections = request.sequence->corrections();
      keep(request);
      request.sequence.reset();
      scheduler_.release(request.max_length);
    }
    call(request, request.request.on_finish, completion);
    if (!request.callback_error.empty()) spdlog::warn("{}", request.callback_error);
  }

  std::shared_ptr<const Model> model_;
  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_template_;
  std::string chat_template_error_;  // why there is none
  int64_t context_size_;
  SchedulerLimits limits_;
  Runtime runtime_;
  Scheduler scheduler_;
  Batch batch_;
  std::vector<Sequence*> sequences_;  // those of running_, during a step
  std::deque<std::unique_ptr<ActiveRequest>> waiting_;
  std::vector<std::unique_ptr<ActiveRequest>> running_;

  std::mutex inbox_mutex_;  // guards the three below
  RequestId last_id_ = 0;
  std::vector<std::unique_ptr<ActiveRequest>> inbox_;
  std::vector<RequestId> cancelled_;
};

Engine::Engine(const EngineOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Engine::~Engine() = default;

std::shared_ptr<const Model> model_of(const Engine& engine) { return engine.impl_->shared_model(); }

Runtime& runtime_of(Engine& engine) { return engine.impl_->runtime(); }

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
