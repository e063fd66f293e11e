// For tests: an engine over a tiny model, requests for it, and the answers to many.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "testing/paths.h"
#include "testing/poison/poison_backend.h"  // the suite runs on it too
#include "tidal/engine.h"

namespace tidal::test {

inline EngineOptions options(int32_t max_sequences = 4, int32_t threads = 2) {
  EngineOptions options;
  options.model = data_path("tiny-llama.gguf");
  options.threads = threads;
  options.context_size = 1024;
  options.max_sequences = max_sequences;
  options.prefill_chunk = 64;
  return options;
}

inline std::string long_text(size_t n, unsigned salt = 0) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += static_cast<char>('a' + (i * i + salt * 7 + i / 5) % 26);
  return text;
}

inline Request make_request(const Engine& engine, const std::string& text,
                            const std::string& method, const std::string& plan = {}) {
  Request request;
  request.prompt = engine.encode(text);
  request.max_tokens = 24;
  request.ignore_eos = true;
  request.attention.name = method;
  request.attention.plan = plan;
  request.attention.min_context = 0;
  request.sampling.temperature = 0.7f;
  request.sampling.seed = text.size();
  return request;
}

inline constexpr const char* kOwn =
    "full:0 select:1 budget:16 scope:all pool:softmax sinks:2 recent:4 own:on";

inline std::vector<Request> mixed_requests(const Engine& engine) {
  std::vector<Request> requests;
  requests.push_back(make_request(engine, long_text(150), "full"));
  requests.push_back(make_request(engine, long_text(201, 1), "tidal", kOwn));
  requests.push_back(make_request(engine, long_text(97, 2), "tidal",
                                  "full:0 select:1 budget:24 scope:q correct:3"));
  requests.push_back(make_request(engine, long_text(33, 3), "quest", "full:0 budget:32 page:16"));
  requests.push_back(make_request(engine, long_text(180, 4), "window", "sinks:2 budget:20"));
  requests.push_back(make_request(engine, long_text(64, 5), "oracle", "full:none budget:12"));
  requests.push_back(make_request(engine, long_text(129, 6), "tidal",
                                  "full:0 select:1 budget:40 "
                                  "scope:kv correct:5"));
  return requests;
}

inline std::vector<Completion> run_together(Engine& engine, std::vector<Request> requests) {
  std::map<RequestId, Completion> done;
  for (Request& request : requests) {
    request.on_finish = [&done](const Completion& completion) { done[completion.id] = completion; };
    engine.submit(std::move(request));
  }
  while (engine.step()) {
  }
  std::vector<Completion> result;
  for (auto& [id, completion] : done) result.push_back(std::move(completion));
  return result;
}

}  // namespace tidal::test
