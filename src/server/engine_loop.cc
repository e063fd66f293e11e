#include "server/engine_loop.h"

#include <utility>

namespace tidal::server {

EngineLoop::EngineLoop(Engine& engine) : engine_(engine), thread_([this] { run(); }) {}

EngineLoop::~EngineLoop() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

RequestId EngineLoop::submit(Request request) {
  const RequestId id = engine_.submit(std::move(request));
  wake();
  return id;
}

void EngineLoop::cancel(RequestId id) {
  engine_.cancel(id);
  wake();
}

void EngineLoop::wake() {
  {
    const std::lock_guard lock(mutex_);
    work_ = true;
  }
  changed_.notify_one();
}

void EngineLoop::run() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return ending_ || work_; });
      if (ending_) return;
      work_ = false;
    }
    while (engine_.step()) {
      const std::lock_guard lock(mutex_);
      if (ending_) return;
    }
  }
}

}  // namespace tidal::server
