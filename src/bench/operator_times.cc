#include "bench/operator_times.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace tidal {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double smallest(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

void OperatorTimes::add_step(double milliseconds, std::span<const OperationTime> times) {
  ++n_steps_;
  steps_ms_.push_back(milliseconds);
  for (const OperationTime& time : times) {
    Operator& op = find(time.name);
    op.step_ms.resize(n_steps_);
    op.step_ms.back() = time.milliseconds;
    op.calls += static_cast<double>(time.calls);
    op.bytes += time.bytes;
  }
  for (Operator& op : all_) op.step_ms.resize(n_steps_);
}

std::vector<double> OperatorTimes::sums() const {
  std::vector<double> result(n_steps_);
  for (const Operator& op : all_) {
    std::transform(result.begin(), result.end(), op.step_ms.begin(), result.begin(), std::plus<>());
  }
  return result;
}

double OperatorTimes::step_share(std::vector<double> step_ms) const {
  std::transform(step_ms.begin(), step_ms.end(), steps_ms_.begin(), step_ms.begin(),
                 std::divides<>());
  return median(std::move(step_ms));
}

Operator& OperatorTimes::find(std::string_view name) {
  const auto found =
      std::find_if(all_.begin(), all_.end(), [&](const Operator& op) { return op.name == name; });
  return found != all_.end() ? *found : all_.emplace_back(Operator{.name = name});
}

}  // namespace tidal
