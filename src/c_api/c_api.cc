// tidal/tidal.h over the C++ engine: objects hold what C is shown, and every call is guarded.
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/fail.h"
#include "c_api/evaluate.h"
#include "c_api/guard.h"
#include "engine/engine_model.h"
#include "runtime/option_table.h"
#include "tidal/engine.h"
#include "tidal/tidal.h"
#include "tidal/version.h"

namespace tidal {
namespace {

// What came of a request, kept until it is asked for. Outlives whichever of engine and request is
// freed first.
struct Outcome {
  struct Event {
    tidal_event kind;
    std::string text;
  };

  std::mutex mutex;  // guards all below; held for moments only
  std::deque<Event> events;
  std::string shown;                 // the text of the event given last
  std::optional<Completion> result;  // since the engine ended it
  Completion completion;             // the same, since the caller was told
  int64_t prompt_read = 0;
  bool told = false;
};

// Shared by an engine and its requests.
struct Core {
  explicit Core(const EngineOptions& options) : engine(std::in_place, options) {}

  std::mutex step_mutex;
  std::optional<Engine> engine;  // none: freed
};

}  // namespace
}  // namespace tidal

struct tidal_options {
  tidal::Options options;
};

struct tidal_engine {
  std::shared_ptr<tidal::Core> core;
  tidal::EngineOptions options;
  std::string model_name;
};

struct tidal_request {
  std::shared_ptr<tidal::Core> core;
  std::shared_ptr<tidal::Outcome> outcome;
  tidal::RequestId id = 0;
};

namespace tidal {
namespace {

// Memory that tidal_free() takes back, with a zero behind the last element.
template <typename T>
T* copy_out(const T* data, size_t n) {
  T* copy = static_cast<T*>(std::calloc(n + 1, sizeof(T)));
  if (copy == nullptr) throw std::bad_alloc();
  if (n > 0) std::memcpy(copy, data, n * sizeof(T));
  return copy;
}

void give_tokens(const std::vector<int32_t>& from, int32_t** tokens, size_t* n_tokens) {
  *tokens = copy_out(from.data(), from.size());
  *n_tokens = from.size();
}

void listen(Request& request, const std::shared_ptr<Outcome>& outcome) {
  request.on_prefill = [outcome](int64_t done, int64_t) {
    const std::lock_guard lock(outcome->mutex);
    outcome->prompt_read = done;
    outcome->events.push_back({TIDAL_EVENT_PROMPT, {}});
  };
  request.on_token = [outcome](const TokenEvent& event) {
    const std::lock_guard lock(outcome->mutex);
    outcome->events.push_back({TIDAL_EVENT_TEXT, std::string(event.text)});
  };
  request.on_finish = [outcome](const Completion& completion) {
    const std::lock_guard lock(outcome->mutex);
    outcome->result = completion;
  };
}

// The next event that is there already.
std::optional<tidal_event> take_event(Outcome& outcome) {
  const std::lock_guard lock(outcome.mutex);
  outcome.shown.clear();
  if (!outcome.events.empty()) {
    const tidal_event kind = outcome.events.front().kind;
    outcome.shown = std::move(outcome.events.front().text);
    outcome.events.pop_front();
    return kind;
  }
  if (!outcome.told) {
    if (!outcome.result.has_value()) return std::nullopt;
    outcome.completion = *std::exchange(outcome.result, std::nullopt);
    outcome.told = true;
  }
  return TIDAL_EVENT_DONE;
}

// The same, after a step of the engine if there is none.
tidal_event next_event(Core& core, Outcome& outcome) {
  if (const auto event = take_event(outcome)) return *event;
  const std::lock_guard lock(core.step_mutex);
  const auto event = take_event(outcome);  // of another thread's step
  if (event.has_value()) return *event;
  TIDAL_CHECK(core.engine.has_value());  // one that ends has ended its requests
  core.engine->step();
  return take_event(outcome).value_or(TIDAL_EVENT_WORKING);
}

}  // namespace
}  // namespace tidal

using tidal::guarded;
using tidal::need;

const char* tidal_version(void) { return TIDAL_VERSION; }
void tidal_free(void* memory) { std::free(memory); }

tidal_options* tidal_options_new(void) {
  tidal_options* options = nullptr;
  guarded([&] { options = new tidal_options; });
  return options;
}

tidal_status tidal_options_set(tidal_options* options, const char* name, const char* value) {
  return guarded([&] {
    need(options != nullptr && name != nullptr && value != nullptr, "tidal_options_set");
    tidal::set_option(options->options, name, value);
  });
}

void tidal_options_free(tidal_options* options) { delete options; }

tidal_status tidal_engine_new(const tidal_options* options, tidal_engine** engine) {
  return guarded([&] {
    need(options != nullptr && engine != nullptr, "tidal_engine_new");
    if (options->options.engine.model.empty()) {
      throw tidal::Error(tidal::ErrorCode::kInvalidArgument,
                         "no model is given: set `model` to a GGUF file or a Hugging Face folder",
                         "model");
    }
    auto core = std::make_shared<tidal::Core>(options->options.engine);
    std::string name = core->engine->model_name();
    *engine = new tidal_engine{std::move(core), options->options.engine, std::move(name)};
  });
}

void tidal_engine_free(tidal_engine* engine) {
  if (engine == nullptr) return;
  guarded([&] {
    const std::lock_guard lock(engine->core->step_mutex);
    engine->core->engine.reset();
  });
  delete engine;
}

const char* tidal_model_name(const tidal_engine* engine) { return engine->model_name.c_str(); }

int64_t tidal_context_size(const tidal_engine* engine) {
  return engine->core->engine->context_size();
}

int64_t tidal_trained_context(const tidal_engine* engine) {
  return engine->core->engine->trained_context();
}

tidal_status tidal_encode(const tidal_engine* engine, const char* text, size_t size,
                          int32_t** tokens, size_t* n_tokens) {
  return guarded([&] {
    need(engine != nullptr && (text != nullptr || size == 0) && tokens != nullptr &&
             n_tokens != nullptr,
         "tidal_encode");
    tidal::give_tokens(engine->core->engine->encode({text, size}), tokens, n_tokens);
  });
}

tidal_status tidal_encode_chat(const tidal_engine* engine, const char* const* roles,
                               const char* const* contents, size_t n, const char* answer_prefix,
                               int32_t** tokens, size_t* n_tokens) {
  return guarded([&] {
    need(engine != nullptr && ((roles != nullptr && contents != nullptr) || n == 0) &&
             tokens != nullptr && n_tokens != nullptr,
         "tidal_encode_chat");
    std::vector<tidal::Message> messages;
    for (size_t i = 0; i < n; ++i) {
      need(roles[i] != nullptr && contents[i] != nullptr, "tidal_encode_chat");
      messages.push_back({roles[i], contents[i]});
    }
    const std::string_view prefix = answer_prefix == nullptr ? "" : answer_prefix;
    tidal::give_tokens(engine->core->engine->encode_chat(messages, prefix), tokens, n_tokens);
  });
}

tidal_status tidal_decode(const tidal_engine* engine, const int32_t* tokens, size_t n_tokens,
                          char** text, size_t* size) {
  return guarded([&] {
    need(engine != nullptr && (tokens != nullptr || n_tokens == 0) && text != nullptr &&
             size != nullptr,
         "tidal_decode");
    const std::string decoded = engine->core->engine->decode({tokens, n_tokens});
    *text = tidal::copy_out(decoded.data(), decoded.size());
    *size = decoded.size();
  });
}

tidal_status tidal_submit(tidal_engine* engine, const tidal_options* options, const int32_t* tokens,
                          size_t n_tokens, tidal_request** request) {
  return guarded([&] {
    need(engine != nullptr && options != nullptr && (tokens != nullptr || n_tokens == 0) &&
             request != nullptr,
         "tidal_submit");
    auto result = std::make_unique<tidal_request>();
    result->core = engine->core;
    result->outcome = std::make_shared<tidal::Outcome>();
    tidal::Request prompt = tidal::make_request(options->options);
    prompt.prompt.assign(tokens, tokens + n_tokens);
    tidal::listen(prompt, result->outcome);
    result->outcome->completion.prompt_tokens = static_cast<int64_t>(n_tokens);
    result->id = engine->core->engine->submit(std::move(prompt));
    *request = result.release();
  });
}

void tidal_cancel(tidal_request* request) {
  guarded([&] {
    need(request != nullptr, "tidal_cancel");
    if (request->core->engine.has_value()) request->core->engine->cancel(request->id);
  });
}

void tidal_request_free(tidal_request* request) {
  if (request != nullptr) tidal_cancel(request);
  delete request;
}

tidal_status tidal_next(tidal_request* request, tidal_event* event, const char** text,
                        size_t* size) {
  return guarded([&] {
    need(request != nullptr && event != nullptr, "tidal_next");
    *event = tidal::next_event(*request->core, *request->outcome);
    if (text != nullptr) *text = request->outcome->shown.c_str();
    if (size != nullptr) *size = request->outcome->shown.size();
  });
}

tidal_status tidal_run(tidal_request* request) {
  return guarded([&] {
    need(request != nullptr, "tidal_run");
    while (tidal::next_event(*request->core, *request->outcome) != TIDAL_EVENT_DONE) {
    }
  });
}

const char* tidal_request_text(const tidal_request* request, tidal_text which, size_t* size) {
  tidal::Outcome& outcome = *request->outcome;
  const std::lock_guard lock(outcome.mutex);
  std::string_view text = "";
  if (outcome.told) {
    const tidal::Completion& completion = outcome.completion;
    switch (which) {
      case TIDAL_TEXT:
        text = completion.text;
        break;
      case TIDAL_FINISH_REASON:
        text = tidal::finish_reason_name(completion.finish_reason);
        break;
      case TIDAL_ERROR:
        text = completion.error;
        break;
      case TIDAL_METHOD:
        text = completion.method;
        break;
      case TIDAL_PLAN:
        text = completion.plan;
        break;
    }
  }
  if (size != nullptr) *size = text.size();
  return text.data();
}

double tidal_request_number(const tidal_request* request, tidal_number which) {
  tidal::Outcome& outcome = *request->outcome;
  const std::lock_guard lock(outcome.mutex);
  const tidal::Completion& completion = outcome.completion;
  switch (which) {
    case TIDAL_PROMPT_TOKENS:
      return static_cast<double>(completion.prompt_tokens);
    case TIDAL_PROMPT_READ:
      return static_cast<double>(outcome.prompt_read);
    case TIDAL_REUSED_TOKENS:
      return static_cast<double>(completion.reused_tokens);
    case TIDAL_CORRECTIONS:
      return static_cast<double>(completion.corrections);
    case TIDAL_ROWS_READ:
      return static_cast<double>(completion.rows.read);
    case TIDAL_ROWS_TOTAL:
      return static_cast<double>(completion.rows.total);
    case TIDAL_ROWS_SHARE:
      return completion.rows.share();
    case TIDAL_PREFILL_MS:
      return completion.prefill_ms;
    case TIDAL_DECODE_MS:
      return completion.decode_ms;
    case TIDAL_DRAFTED:
      return static_cast<double>(completion.speculation.drafted);
    case TIDAL_ACCEPTED:
      return static_cast<double>(completion.speculation.accepted);
  }
  return 0;
}

const int32_t* tidal_request_tokens(const tidal_request* request, size_t* n_tokens) {
  tidal::Outcome& outcome = *request->outcome;
  const std::lock_guard lock(outcome.mutex);
  if (n_tokens != nullptr) *n_tokens = outcome.completion.tokens.size();
  return outcome.completion.tokens.data();
}

tidal_status tidal_eval_kld(tidal_engine* engine, const tidal_options* options, const char* methods,
                            const int32_t* tokens, size_t n_tokens, size_t n_prompt,
                            tidal_progress progress, void* user, char** json) {
  return guarded([&] {
    need(engine != nullptr && options != nullptr && methods != nullptr && json != nullptr &&
             (tokens != nullptr || n_tokens == 0),
         "tidal_eval_kld");
    const auto keep_going = [&](int64_t done, int64_t total) {
      return progress == nullptr || progress(user, done, total) != 0;
    };
    const std::string text = tidal::evaluate_divergence(
        tidal::model_of(*engine->core->engine), engine->options, options->options.method, methods,
        {tokens, n_tokens}, static_cast<int64_t>(n_prompt), keep_going);
    *json = tidal::copy_out(text.data(), text.size());
  });
}
