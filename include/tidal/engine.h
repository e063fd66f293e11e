// Engine: a loaded model that serves requests with continuous batching.
//
//   tidal::EngineOptions options;
//   options.model = "model.gguf";
//   tidal::Engine engine(options);
//   tidal::Request request;
//   request.prompt = engine.encode("Once upon a time");
//   tidal::Completion completion = engine.run(std::move(request));
//
// What is const, submit(), cancel() and close() may be called from any thread; step(), wait() and
// run() from one at a time. Each request has its own method, plan, budget and sampling; its tokens
// do not depend on what else is in the batch nor on the number of threads.
//
// Requests share the cache page by page as they grow. When it is full the youngest is paused: it
// goes on later, with the same tokens, and nobody fails for it. Prompts are read in chunks, the
// shortest first, and in small ones while others decode.
//
// Callbacks come from inside step() and run(); they may submit and cancel, but not step. on_finish
// comes exactly once for every request that was submitted, also when the engine is destroyed
// (kCancelled, from the destructor). A callback that throws ends its own request with kError and
// the exception's text, and no other; what on_finish throws is logged.
// Throws tidal::Error while loading and admitting, never from step(). A prompt beyond the memory
// that is free is refused by submit(); an answer that grows beyond it ends with kError.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tidal/cache_event.h"
#include "tidal/error.h"
#include "tidal/export.h"
#include "tidal/options.h"
#include "tidal/request.h"

namespace tidal {

class Model;
class Runtime;
struct ChatPrompt;  // tidal/chat.h

// What an engine has done since it was made, and what it is doing.
struct EngineStats {
  int64_t running = 0;                // requests with rows in the cache
  int64_t waiting = 0;                // requests without
  int64_t cache_tokens = 0;           // what the cache holds
  int64_t cached_tokens = 0;          // ... of which in use, in whole pages
  int64_t kept_tokens = 0;            // ... of which kept for prompts that begin alike
  int64_t prompt_tokens = 0;          // read, again after a pause too
  int64_t reused_tokens = 0;          // of prompts, that needed no reading
  int64_t generated_tokens = 0;       // drawn
  int64_t paused = 0;                 // how often a request was
  std::array<int64_t, 4> finished{};  // requests, by FinishReason
  RowsReport rows;                    // of finished requests
};

// A request that has rows in the cache.
struct RequestInfo {
  RequestId id = 0;
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt and, behind it, of what was generated
  int64_t generated_tokens = 0;
};

struct ModelInfo {
  std::string name;
  std::string path;
  std::string architecture;
  int64_t n_parameters = 0;
  int64_t n_bytes = 0;  // of the weights
  int32_t n_layers = 0;
  int32_t d_model = 0;
  int32_t vocab_size = 0;
  int64_t trained_context = 0;  // tokens it was made for, RoPE scaling included
  int64_t token_bytes = 0;      // of a token in the cache, K and V of all layers
  int32_t bos = -1;             // -1: none
  int32_t eos = -1;
};

struct Message {
  std::string role;  // system, user, assistant
  std::string content;
};

class TIDAL_EXPORT Engine {
 public:
  explicit Engine(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  std::string model_name() const;
  ModelInfo info() const;
  bool has_chat_template() const;     // the model's or that of the options
  std::string chat_template() const;  // the text of the one in force; empty: none can be used
  int64_t context_size() const;       // tokens the cache holds
  int64_t trained_context() const;    // tokens the model was made for, RoPE scaling included

  // Text to tokens with the model's own begin token; control tokens in the text stay text.
  std::vector<int32_t> encode(std::string_view text) const;
  // add_special: begin and end tokens as the model wants them. parse_special: control tokens that
  // are spelled in the text become those tokens.
  std::vector<int32_t> encode(std::string_view text, bool add_special, bool parse_special) const;
  // Messages in the model's chat template, open for the assistant's answer, which begins with
  // `answer_prefix`. Control tokens inside the messages stay text.
  std::vector<int32_t> encode_chat(std::span<const Message> messages,
                                   std::string_view answer_prefix = {}) const;
  ChatPrompt chat_prompt(std::string_view request_json) const;  // the OpenAI API's JSON: chat.h
  std::string decode(std::span<const int32_t> tokens) const;
  std::string piece(int32_t token) const;  // its bytes; a control token's are its name

  // Queues a request. Throws Error when it can never run: an empty prompt, a prompt or budget that
  // does not fit (naming both lengths and the option) or is beyond the memory that is free, unknown
  // methods, bad plans; and Error(kExhausted, option max_queue) when too many wait.
  RequestId submit(Request request);
  // Ends a request: a chunk of its prompt that is being read is given up within a layer. Its
  // on_finish comes with kCancelled, from step(). Unknown ids are ignored.
  void cancel(RequestId id);
  // Runs one batch. False when there was nothing to do.
  bool step();
  // Sleeps until there is something to do. False once closed. `while (engine.wait())
  // engine.step();`
  bool wait();
  // Ends wait(), now and later. What has not ended stays as it is.
  void close();

  // Tells of what is kept for prompts that begin alike, from inside step(); before the first one.
  void listen_to_cache(CacheListener listener);

  EngineStats stats() const;                  // as of the last step
  std::vector<RequestInfo> requests() const;  // as of the last step, those that ran first in front
  // Submits and steps until this request is done.
  Completion run(Request request);

 private:
  friend std::shared_ptr<const Model> model_of(const Engine& engine);
  friend Runtime& runtime_of(Engine& engine);
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidal
