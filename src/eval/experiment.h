// Experiment: several methods measured on several items of work, each pair once.
//
// An item is a text or prompt that one dense reading serves. Finished results go to a ResultLog,
// and a run with the same log measures only what is missing. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "eval/method_cases.h"
#include "eval/result_log.h"
#include "runtime/session.h"

namespace tidal {

class Experiment {
 public:
  using Json = nlohmann::ordered_json;

  struct Item {
    Json unit;           // names it in the log
    int64_t tokens = 0;  // its weight in the progress
  };
  struct Result {
    Json json;
    bool finished = true;  // false: reported, but measured again by a later run
  };
  using Methods = std::span<const std::shared_ptr<const AttentionMethod>>;
  // Measures an item: one result per method, in order. Progress is in the item's tokens.
  using Measure = std::function<std::vector<Result>(size_t item, Methods, const Progress&)>;

  // log_path: see ResultLog, whose errors it throws.
  Experiment(std::vector<MethodCase> cases, std::vector<Item> items, const std::string& log_path,
             const Json& settings);

  // Measures what is missing, item by item, until `stop` is true; an exception from `measure` ends
  // the run too. Either way the results so far are kept.
  void run(const Measure& measure, const Progress& progress, const std::function<bool()>& stop);

  const std::vector<MethodCase>& cases() const { return cases_; }
  size_t n_items() const { return items_.size(); }
  // Null: not measured. Valid until the next run().
  const Json* result(size_t item, size_t method_case) const;

 private:
  Json unit(size_t item, size_t method_case) const;
  std::vector<size_t> missing(size_t item) const;  // cases

  std::vector<MethodCase> cases_;
  std::vector<Item> items_;
  ResultLog log_;
  std::map<std::pair<size_t, size_t>, Json> unfinished_;  // by item and case
};

}  // namespace tidal
