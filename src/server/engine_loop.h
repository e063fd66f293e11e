// EngineLoop: the thread that steps an engine while there is work.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "tidal/engine.h"

namespace tidal::server {

class EngineLoop {
 public:
  explicit EngineLoop(Engine& engine);
  ~EngineLoop();  // requests that have not ended stay with the engine
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

  // As the engine's; from any thread.
  RequestId submit(Request request);
  void cancel(RequestId id);

 private:
  void run();
  void wake();

  Engine& engine_;
  std::mutex mutex_;  // guards the two below
  bool work_ = false;
  bool ending_ = false;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace tidal::server
