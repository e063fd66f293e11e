#include "cli/bench_table.h"

#include <fmt/format.h>

#include <fstream>
#include <functional>
#include <map>
#include <utility>

#include "base/quote.h"
#include "cli/output.h"
#include "ops/cpu/cpu_backend.h"

namespace tidal::cli {

// One column in all formats. The value is null where a test has none.
struct BenchTable::Column {
  std::string name;
  std::function<Json(const BenchSetting&, const BenchRow&)> value;
  // How Markdown shows a number; none: text, left-aligned.
  std::string (*show)(double) = nullptr;
  bool of_operators = false;
};

namespace {

std::string count(double x) { return fmt::format("{:g}", x); }
std::string milliseconds(double x) {
  return x < 1 ? fmt::format("{:.4f}", x) : fmt::format("{:.2f}", x);
}
std::string tenths(double x) { return fmt::format("{:.1f}", x); }
std::string share(double x) { return fmt::format("{:.1f} %", 100 * x); }
std::string whole_share(double x) { return fmt::format("{:.0f} %", 100 * x); }
std::string gigabytes(double x) {
  return x < 0.01 ? fmt::format("{:.6f}", x) : fmt::format("{:.3f}", x);
}
std::string times(double x) { return fmt::format("{:.2f}x", x); }

Json unless_zero(double x) { return x == 0 ? Json() : Json(x); }

// As the operating system calls it, with the generation, which x86 names leave out of virtual
// machines; empty where it does not say.
std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  std::map<std::string, std::string> first;
  for (std::string line; std::getline(file, line) && !line.empty();) {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    first.emplace(line.substr(0, line.find_first_of("\t:")), line.substr(colon + 2));
  }
  std::string name = first["model name"];
  if (first.contains("cpu family")) {
    name += fmt::format(", family {} model {}", first["cpu family"], first["model"]);
  }
  return name;
}

std::string csv_cell(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_number_integer()) return dump(value);
  if (value.is_number()) return fmt::format("{:.6g}", value.get<double>());
  std::string result = "\"";
  for (const char c : printable(value.get<std::string>())) {
    result += c == '"' ? std::string("\"\"") : std::string(1, c);
  }
  return result + "\"";
}

std::string markdown_cell(const std::string& text) {
  std::string result;
  for (const char c : printable(text)) {
    if (c == '|') result += '\\';  // else it would end the cell
    result += c;
  }
  return result;
}

}  // namespace

const std::vector<BenchTable::Column>& BenchTable::columns() {
  using S = BenchSetting;
  using R = BenchRow;
  static const std::vector<Column> list = {
      {"model", [](const S& s, const R&) { return Json(s.model); }},
      {"quant", [](const S& s, const R&) { return Json(s.quant); }},
      {"kv", [](const S& s, const R&) { return Json(s.kv); }},
      {"backend", [](const S& s, const R&) { return Json(s.backend); }},
      {"threads", [](const S& s, const R&) { return Json(s.threads); }, count},
      {"test", [](const S&, const R& r) { return Json(r.test); }},
      {"method", [](const S&, const R& r) { return Json(r.method); }},
      {"plan", [](const S&, const R& r) { return Json(r.plan); }},
      {"ms_median", [](const S&, const R& r) { return Json(r.ms_median); }, milliseconds},
      {"ms_min", [](const S&, const R& r) { return Json(r.ms_min); }, milliseconds},
      {"tok_s", [](const S&, const R& r) { return unless_zero(r.tokens_per_second); }, tenths},
      {"rows_share", [](const S&, const R& r) { return r.calls > 0 ? Json() : Json(r.rows_share); },
       share},
      {"gb_moved", [](const S&, const R& r) { return unless_zero(r.gb_moved); }, gigabytes},
      {"gb_s", [](const S&, const R& r) { return unless_zero(r.gb_per_second); }, tenths},
      {"bandwidth_share", [](const S&, const R& r) { return unless_zero(r.bandwidth_share); },
       whole_share},
      {"speedup_vs_full", [](const S&, const R& r) { return unless_zero(r.speedup_vs_full); },
       times},
      {"calls", [](const S&, const R& r) { return unless_zero(r.calls); }, count, true},
      {"step_share", [](const S&, const R& r) { return unless_zero(r.step_share); }, share, true},
  };
  return list;
}

BenchTable::BenchTable(std::string format, BenchSetting setting, bool operators)
    : format_(std::move(format)), setting_(std::move(setting)), operators_(operators) {}

void BenchTable::add(const BenchRow& row) {
  if (format_ == "json") {
    Json json = Json::object();
    for (const Column& column : columns()) {
      if (!column.of_operators || operators_) json[column.name] = column.value(setting_, row);
    }
    rows_.push_back(std::move(json));
    return;
  }
  if (first_) print_line(row, true);
  first_ = false;
  print_line(row, false);
  flush_output();
}

void BenchTable::print_line(const BenchRow& row, bool header) const {
  const bool csv = format_ == "csv";
  std::string line;
  std::string rule;  // under Markdown's header
  for (const Column& column : columns()) {
    if (column.of_operators && !operators_) continue;
    const Json value = header ? Json() : column.value(setting_, row);
    std::string cell = column.name;
    if (csv) {
      if (!header) cell = csv_cell(value);
      line += (line.empty() ? "" : ",") + cell;
      continue;
    }
    if (value.is_string()) {
      cell = markdown_cell(value.get<std::string>());
    } else if (!header) {
      cell = value.is_null() ? "" : column.show(value.get<double>());
    }
    line += fmt::format("| {} ", cell);
    rule += column.show == nullptr ? "|---" : "|--:";
  }
  put("{}{}\n", line, csv ? "" : "|");
  if (header && !csv) put("{}|\n", rule);
}

void BenchTable::end(const Json& crossover) const {
  if (format_ != "json") return;
  Json json = {{"machine",
                {{"processor", processor_name()},
                 {"target", cpu_target_name()},
                 {"backend", setting_.backend},
                 {"threads", setting_.threads}}},
               {"bandwidth_gb_s", setting_.bandwidth / 1e9},
               {"rows", rows_}};
  if (!crossover.is_null()) json["crossover"] = crossover;
  put_json(json);
}

}  // namespace tidal::cli
