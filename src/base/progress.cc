#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

namespace tidal {
namespace {

constexpr int kWidth = 24;
constexpr std::chrono::milliseconds kBetweenDrawings{100};
constexpr std::chrono::seconds kBetweenTicks{1};  // of a bar without updates
constexpr std::chrono::seconds kBetweenLines{30};

double seconds(ProgressBar::Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string duration_text(double seconds) {
  const int64_t whole = std::llround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  return fmt::format("{}:{:02} min", whole / 60, whole % 60);
}

// Failures are ignored.
void write_to_stderr(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

ProgressBar::Place ProgressBar::standard_error() {
  return {isatty(STDERR_FILENO) == 1, kBetweenLines, write_to_stderr};
}

ProgressBar::ProgressBar(std::string label, std::string unit, Place place)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      place_(place),
      start_(Clock::now()),
      shown_(unit_.empty()),
      last_(start_),
      timer_([this] { keep_time(); }) {}

ProgressBar::~ProgressBar() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wipe();
  }
  wake_.notify_one();
  timer_.join();
}

void ProgressBar::update(int64_t done, int64_t total) {
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  shown_ = true;
  done_ = done;
  total_ = std::max<int64_t>(total, 0);
  const bool last = total_ > 0 && done_ >= total_;
  if (place_.terminal && (!drawn_ || last || now - last_ >= kBetweenDrawings)) draw(now);
}

void ProgressBar::clear() {
  const std::lock_guard lock(mutex_);
  wipe();
  shown_ = false;
}

void ProgressBar::keep_time() {
  std::unique_lock lock(mutex_);
  const Clock::duration interval = place_.terminal ? kBetweenTicks : place_.between_lines;
  while (!wake_.wait_for(lock, interval, [this] { return stop_; })) {
    if (!shown_) continue;
    const Clock::time_point now = Clock::now();
    if (!place_.terminal) {
      place_.write(line(now) + "\n");
    } else if (now - last_ >= kBetweenTicks) {
      draw(now);
    }
  }
}

void ProgressBar::draw(Clock::time_point now) {
  std::string bar;
  if (total_ > 0) {
    const auto filled = static_cast<int>(kWidth * std::min(done_, total_) / total_);
    bar = fmt::format(" [{:#<{}}{:.<{}}]", "", filled, "", kWidth - filled);
  }
  const std::string text = line(now);
  place_.write(fmt::format("\r\033[K{}{}{}", label_, bar, text.substr(label_.size())));
  drawn_ = true;
  last_ = now;
}

std::string ProgressBar::line(Clock::time_point now) const {
  const double taken = seconds(now - start_);
  if (unit_.empty()) return fmt::format("{} {}", label_, duration_text(taken));
  const double rate = static_cast<double>(done_) / std::max(1e-9, taken);
  if (total_ == 0) return fmt::format("{} {} {}  {:.0f} {}/s", label_, done_, unit_, rate, unit_);
  const std::string left =
      rate > 0 ? duration_text(static_cast<double>(total_ - done_) / rate) + " left" : "";
  return fmt::format("{} {}/{} {}  {:.{}f} {}/s  {}", label_, done_, total_, unit_, rate,
                     rate < 10 ? 1 : 0, unit_, left);
}

void StageBar::update(std::string_view stage, const std::string& unit, int64_t done,
                      int64_t total) {
  if (!bar_.has_value() || stage != stage_) {
    stage_ = stage;
    bar_.emplace(stage_, unit);
  }
  bar_->update(done, total);
}

void ProgressBar::wipe() {
  if (drawn_) place_.write("\r\033[K");
  drawn_ = false;
}

}  // namespace tidal
