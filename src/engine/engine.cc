#include "tidal/engine.h"

#include <mutex>
#include <utility>

#include "base/check.h"
#include "base/fail.h"
#include "engine/active_request.h"
#include "engine/check_request.h"
#include "engine/engine_model.h"
#include "engine/inbox.h"
#include "engine/model_info.h"
#include "engine/request_loop.h"
#include "engine/sampling.h"
#include "runtime/model_options.h"
#include "runtime/model_text.h"
#include "runtime/runtime.h"

namespace tidal {
namespace {

int64_t cache_capacity(const EngineOptions& options, const Config& config) {
  if (options.context_size < 0 || options.max_sequences < 1 || options.prefill_chunk < 1 ||
      options.max_queue < 0) {
    fail(ErrorCode::kInvalidArgument,
         "context size {}, sequences {}, prefill chunk {} and queue {} must be positive",
         options.context_size, options.max_sequences, options.prefill_chunk, options.max_queue);
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
        grammars_(tokenizer_, model_->config().vocab_size),
        context_size_(cache_capacity(options, model_->config())),
        limits_{options.max_sequences, options.prefill_chunk},
        runtime_(model_, options,
                 {.max_sequences = limits_.max_sequences,
                  .max_length = context_size_,
                  .n_pages = pages_of(context_size_) + limits_.max_sequences - 1,
                  .max_rows = limits_.max_rows(),
                  .max_logit_rows = limits_.max_logit_rows()}),
        sampler_scratch_(std::make_shared<SamplerScratch>(model_->config().vocab_size)),
        inbox_(options.max_queue > 0 ? int64_t{options.max_queue} + limits_.max_sequences : 0),
        loop_(limits_, runtime_, tokenizer_, inbox_) {
    load_template(options.chat_template);
    publish();
  }

  RequestId submit(Request request) {
    const auto n_prompt = static_cast<int64_t>(request.prompt.size());
    check_request(request, context_size_, model_->config().vocab_size);
    runtime_.require_memory(certain_tokens(request));
    std::shared_ptr<const AttentionMethod> method = runtime_.method(request.attention);
    const int64_t most = request.max_tokens < 0 ? context_size_ : n_prompt + request.max_tokens;
    Sampler sampler =
        make_sampler(request, tokenizer_, model_->config().vocab_size, most, sampler_scratch_);
    std::shared_ptr<const CompiledGrammar> grammar;
    if (request.grammar.kind != GrammarKind::kNone) grammar = grammars_.compile(request.grammar);
    StreamDecoder decoder(tokenizer_, request.keep_special);
    auto active = std::make_unique<ActiveRequest>(std::move(request), std::move(method), most,
                                                  std::move(sampler), std::move(decoder));
    if (active->request.attention.lossless) active->drafting.emplace();
    if (grammar != nullptr) active->grammar.emplace(std::move(grammar));
    if (active->request.min_tokens > 0) {
      active->ends = end_tokens(active->request, tokenizer_, model_->config().vocab_size);
    }
    return inbox_.push(std::move(active));
  }

  void cancel(RequestId id) { inbox_.cancel(id); }
  void listen_to_cache(CacheListener listener) { loop_.listen_to_cache(std::move(listener)); }
  void close() { inbox_.close(); }
  bool wait() { return inbox_.wait(/*busy=*/!loop_.idle()); }

  bool step() {
    const bool worked = loop_.step();
    publish();
    return worked;
  }

  EngineStats stats() const {
    const std::lock_guard lock(published_mutex_);
    return stats_;
  }

  std::vector<RequestInfo> requests() const {
    const std::lock_guard lock(published_mutex_);
    return requests_;
  }

  std::vector<int32_t> encode_chat(std::span<const Message> messages,
                                   std::string_view answer_prefix) const {
    ChatRequest request;
    for (const Message& message : messages) {
      request.messages.push_back({{"role", message.role}, {"content", message.content}});
    }
    if (!answer_prefix.empty()) {
      request.messages.push_back({{"role", "assistant"}, {"content", answer_prefix}});
      request.continue_final_message = true;
    }
    return prompter().prompt(request).tokens;
  }

  const ChatPrompter& prompter() const {
    if (!prompter_.has_value()) {
      fail(ErrorCode::kUnsupported, "{}: {}, give a plain prompt or `chat_template`",
           model_->path(), chat_template_error_);
    }
    return *prompter_;
  }

  ModelInfo info() const { return model_info(*model_, tokenizer_, runtime_.bytes_per_token()); }

  const Model& model() const { return *model_; }
  std::shared_ptr<const Model> shared_model() const { return model_; }
  Runtime& runtime() { return runtime_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  int64_t context_size() const { return context_size_; }
  bool has_chat_template() const { return prompter_.has_value() && !prompter_->is_fallback(); }
  std::string chat_template() const {
    return prompter_.has_value() ? prompter_->chat_template().source() : std::string();
  }

 private:
  // A template that cannot be read still leaves plain prompts.
  void load_template(const std::string& chat_template) {
    try {
      prompter_.emplace(load_chat_prompter(*model_, tokenizer_, chat_template));
    } catch (const Error& error) {
      if (!chat_template.empty()) throw;
      chat_template_error_ = fmt::format("its chat template cannot be used ({})", error.what());
    }
  }

  // What is certain to be cached: an answer may end at once, unless nothing but its length ends it.
  static int64_t certain_tokens(const Request& request) {
    const bool to_the_end = request.ignore_eos && request.stop.empty() &&
                            request.stop_tokens.empty() && request.max_tokens > 0;
    return std::ssize(request.prompt) + (to_the_end ? request.max_tokens - 1 : 0);
  }

  // For other threads.
  void publish() {
    const std::lock_guard lock(published_mutex_);
    stats_ = loop_.stats();
    loop_.describe(requests_);
  }

  std::shared_ptr<const Model> model_;
  Tokenizer tokenizer_;
  GrammarCompiler grammars_;
  std::optional<ChatPrompter> prompter_;
  std::string chat_template_error_;  // why there is none
  int64_t context_size_;
  SchedulerLimits limits_;
  Runtime runtime_;
  std::shared_ptr<SamplerScratch> sampler_scratch_;
  Inbox inbox_;
  RequestLoop loop_;

  mutable std::mutex published_mutex_;  // guards the two below
  EngineStats stats_;
  std::vector<RequestInfo> requests_;
};

Engine::Engine(const EngineOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Engine::~Engine() = default;

std::shared_ptr<const Model> model_of(const Engine& engine) { return engine.impl_->shared_model(); }

Runtime& runtime_of(Engine& engine) { return engine.impl_->runtime(); }

std::string Engine::model_name() const { return impl_->model().config().name; }
ModelInfo Engine::info() const { return impl_->info(); }
bool Engine::has_chat_template() const { return impl_->has_chat_template(); }
std::string Engine::chat_template() const { return impl_->chat_template(); }
int64_t Engine::context_size() const { return impl_->context_size(); }
int64_t Engine::trained_context() const { return impl_->model().config().context_length; }

std::vector<int32_t> Engine::encode(std::string_view text) const {
  return encode(text, /*add_special=*/true, /*parse_special=*/false);
}

std::vector<int32_t> Engine::encode(std::string_view text, bool add_special,
                                    bool parse_special) const {
  return impl_->tokenizer().encode(text, add_special, parse_special);
}

std::vector<int32_t> Engine::encode_chat(std::span<const Message> messages,
                                         std::string_view answer_prefix) const {
  return impl_->encode_chat(messages, answer_prefix);
}

ChatPrompt Engine::chat_prompt(std::string_view request_json) const {
  return impl_->prompter().prompt(parse_chat_request(request_json));
}

std::string Engine::decode(std::span<const int32_t> tokens) const {
  return impl_->tokenizer().decode(tokens);
}

std::string Engine::piece(int32_t token) const {
  return std::string(impl_->tokenizer().piece(token));
}

RequestId Engine::submit(Request request) { return impl_->submit(std::move(request)); }
void Engine::cancel(RequestId id) { impl_->cancel(id); }
bool Engine::step() { return impl_->step(); }
bool Engine::wait() { return impl_->wait(); }
void Engine::listen_to_cache(CacheListener listener) {
  impl_->listen_to_cache(std::move(listener));
}
void Engine::close() { impl_->close(); }
EngineStats Engine::stats() const { return impl_->stats(); }
std::vector<RequestInfo> Engine::requests() const { return impl_->requests(); }

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
