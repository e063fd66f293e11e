// Generation: a call on its way through the engine, and its answer on the way back.
//
// One for each HTTP request that generates; it lives as long as somebody may still call it. When
// the client goes away its requests are cancelled.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/format.h"
#include "server/service.h"
#include "tidal/chat.h"

namespace tidal::server {

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  Generation(Service& service, GenerateCall call, const Responder& responder);
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // On a thread that reads requests. Throws ApiError where a prompt does not fit, or Error as
  // Engine::submit; then nothing was sent.
  void start(const std::vector<ChatPrompt>& prompts);
  void cancel();  // from any thread

 private:
  using Clock = std::chrono::steady_clock;

  Request make_request(const ChatPrompt& prompt, size_t index);
  std::vector<std::pair<int32_t, float>> logit_bias() const;
  int64_t room_for(const ChatPrompt& prompt) const;

  // Does `event` on the thread that writes, after start() is through.
  void post(std::function<void()> event);
  void open();
  void on_prompt(size_t index, int64_t done, Clock::time_point now);
  void on_token(size_t index, const Piece& more, Clock::time_point now);
  void on_finish(size_t index, const Completion& completion, Clock::time_point now);
  void end_early(size_t index, FinishReason reason);
  void flush(size_t index);
  void keep_best();
  std::string stop_string(const Completion& completion) const;
  void fail(const ApiError& error);

  Service& service_;
  GenerateCall call_;
  Responder responder_;
  std::unique_ptr<Format> format_;
  Clock::time_point began_ = Clock::now();

  std::mutex mutex_;  // guards the next
  std::vector<RequestId> requests_;

  // On the thread that writes.
  struct Times {
    Clock::time_point prompt;  // its reading began
    Clock::time_point first;   // token
    Clock::time_point last;    // token so far
  };
  bool is_open_ = false;
  bool ended_ = false;
  std::vector<std::function<void()>> early_;
  std::vector<Answer> answers_;
  std::vector<Times> times_;
  std::vector<ChatReader> readers_;
  std::vector<Piece> pieces_;                             // what has not been sent
  std::vector<std::optional<FinishReason>> ended_early_;  // why we cancelled the request
  size_t n_finished_ = 0;
};

}  // namespace tidal::server
