#include "eval/experiment.h"

#include "base/check.h"

namespace tidal {

Experiment::Experiment(std::vector<MethodCase> cases, std::vector<Item> items,
                       const std::string& log_path, const Json& settings)
    : cases_(std::move(cases)), items_(std::move(items)), log_(log_path, settings) {}

void Experiment::run(const Measure& measure, const Progress& progress,
                     const std::function<bool()>& stop) {
  unfinished_.clear();
  int64_t done = 0;
  int64_t total = 0;
  for (size_t item = 0; item < items_.size(); ++item) {
    if (!missing(item).empty()) total += items_[item].tokens;
  }
  for (size_t item = 0; item < items_.size(); ++item) {
    const std::vector<size_t> cases = missing(item);
    if (cases.empty()) continue;
    if (stop()) return;
    std::vector<std::shared_ptr<const AttentionMethod>> methods;
    for (const size_t i : cases) methods.push_back(cases_[i].method);
    std::vector<Result> results =
        measure(item, methods, [&](int64_t of_item, int64_t) { progress(done + of_item, total); });
    TIDAL_CHECK(results.size() == cases.size());
    for (size_t i = 0; i < cases.size(); ++i) {
      if (results[i].finished) {
        log_.add(unit(item, cases[i]), results[i].json);
      } else {
        unfinished_[{item, cases[i]}] = std::move(results[i].json);
      }
    }
    done += items_[item].tokens;
  }
}

const Experiment::Json* Experiment::result(size_t item, size_t method_case) const {
  const auto found = unfinished_.find({item, method_case});
  return found != unfinished_.end() ? &found->second : log_.find(unit(item, method_case));
}

Experiment::Json Experiment::unit(size_t item, size_t method_case) const {
  Json json = items_[item].unit;
  json["case"] = cases_[method_case].json();
  return json;
}

std::vector<size_t> Experiment::missing(size_t item) const {
  std::vector<size_t> result;
  for (size_t i = 0; i < cases_.size(); ++i) {
    if (log_.find(unit(item, i)) == nullptr) result.push_back(i);
  }
  return result;
}

}  // namespace tidal
