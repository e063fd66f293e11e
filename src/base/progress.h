// Progress of long work on stderr.
//
// On a terminal: a bar with rate and time left, redrawn at most ten times a second and wiped when
// destroyed. Elsewhere, e.g. in a log: a line every 30 seconds, whether or not anything new was
// reported, so that silence means the program has stopped. It runs its own timer thread; update()
// and clear() may be called from any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace tidal {

class ProgressBar {
 public:
  using Clock = std::chrono::steady_clock;

  // Where and how to show progress; tests override it.
  struct Place {
    bool terminal;
    Clock::duration between_lines;  // in a log
    void (*write)(const std::string& text);
  };
  static Place standard_error();

  // Uncounted work has no unit: only the elapsed time is shown.
  explicit ProgressBar(std::string label, std::string unit = "", Place place = standard_error());
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // total 0: unknown.
  void update(int64_t done, int64_t total);
  // Shows nothing until the next update.
  void clear();

 private:
  void keep_time();
  void draw(Clock::time_point now);               // the bar
  std::string line(Clock::time_point now) const;  // of a log
  void wipe();

  const std::string label_;
  const std::string unit_;
  const Place place_;
  const Clock::time_point start_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool stop_ = false;
  bool shown_;  // there is something to show
  bool drawn_ = false;
  int64_t done_ = 0;
  int64_t total_ = 0;
  Clock::time_point last_;
  std::thread timer_;
};

// Work in stages, a bar for each: the next one begins when a stage with another name is reported.
class StageBar {
 public:
  void update(std::string_view stage, const std::string& unit, int64_t done, int64_t total);
  void clear() { bar_.reset(); }

 private:
  std::string stage_;
  std::optional<ProgressBar> bar_;
};

}  // namespace tidal
