#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace tidal::cli {
namespace {

constexpr int kWidth = 24;
constexpr double kSecondsBetweenDrawings = 0.1;

std::string time_left(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  return fmt::format("{}:{:02} min", whole / 60, whole % 60);
}

}  // namespace

ProgressBar::ProgressBar(std::string label, std::string unit)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::update(int64_t done, int64_t total) {
  if (!terminal_ || total <= 0) return;
  const auto now = std::chrono::steady_clock::now();
  const auto seconds = [&](auto since) {
    return std::chrono::duration<double>(now - since).count();
  };
  if (drawn_ && done < total && seconds(last_) < kSecondsBetweenDrawings) return;
  const double rate = static_cast<double>(done) / std::max(1e-9, seconds(start_));
  const auto filled = static_cast<int>(kWidth * done / total);
  fmt::print(stderr, "\r\033[K{} [{:#<{}}{:.<{}}] {}/{} {}  {:.0f} {}/s  {} left", label_, "",
             filled, "", kWidth - filled, done, total, unit_, rate, unit_,
             time_left(static_cast<double>(total - done) / std::max(rate, 1e-9)));
  std::fflush(stderr);
  drawn_ = true;
  last_ = now;
}

void ProgressBar::clear() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace tidal::cli
