// The rows of `tidal bench` as Markdown, CSV or one JSON object, written to stdout as they come.
#pragma once

#include <string>
#include <vector>

#include "bench/decode_bench.h"
#include "cli/output.h"

namespace tidal::cli {

struct BenchSetting {  // what all rows of a run share
  std::string model;
  std::string quant;
  std::string kv;
  std::string backend;
  int threads = 0;
  double bandwidth = 0;  // bytes per second
};

class BenchTable {
 public:
  // format: md, csv or json (written by end()). operators: with the columns that only they have.
  BenchTable(std::string format, BenchSetting setting, bool operators);

  void add(const BenchRow& row);
  // crossover: written by json, unless null.
  void end(const Json& crossover) const;

 private:
  struct Column;
  static const std::vector<Column>& columns();
  void print_line(const BenchRow& row, bool header) const;

  std::string format_;
  BenchSetting setting_;
  bool operators_;
  Json rows_ = Json::array();
  bool first_ = true;
};

}  // namespace tidal::cli
