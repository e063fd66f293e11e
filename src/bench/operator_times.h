// The operators of timed steps: what each took, step by step.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "bench/timing_backend.h"

namespace tidal {

// The median of at least one value.
double median(std::vector<double> values);
double smallest(const std::vector<double>& values);

// One kind of operator over all timed steps.
struct Operator {
  std::string_view name;
  double calls = 0;               // in all steps
  double bytes = 0;               // in all steps
  std::vector<double> step_ms{};  // all calls of a step together
};

class OperatorTimes {
 public:
  void add_step(double milliseconds, std::span<const OperationTime> times);
  std::span<const Operator> all() const { return all_; }
  double n_steps() const { return static_cast<double>(n_steps_); }
  // All operators together, per step.
  std::vector<double> sums() const;
  // The median share of its step: whatever slows a whole step cancels out.
  double step_share(std::vector<double> step_ms) const;

 private:
  Operator& find(std::string_view name);

  size_t n_steps_ = 0;
  std::vector<double> steps_ms_;
  std::vector<Operator> all_;
};

}  // namespace tidal
