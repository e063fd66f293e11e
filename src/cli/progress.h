// A progress bar on stderr with rate and time left. Draws only on a terminal, at most ten times a
// second, and wipes itself when destroyed.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace tidal::cli {

class ProgressBar {
 public:
  ProgressBar(std::string label, std::string unit);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(int64_t done, int64_t total);
  void clear();

 private:
  std::string label_;
  std::string unit_;
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace tidal::cli
