// The global functions of a chat template: range, namespace, dict, raise_exception, strftime_now.
#include <algorithm>
#include <array>
#include <ctime>

#include "jinja/calls.h"

namespace tidal::jinja {
namespace {

Value call_range(Run& run, const Arguments& args) {
  constexpr int64_t kLongest = 100'000;  // the limit of Jinja's sandbox
  const auto given = args.bind(run, "range", {"start", "stop", "step"}, 1);
  int64_t start = integer_argument(run, given[0], 0);
  int64_t stop = integer_argument(run, given[1], 0);
  const int64_t step = integer_argument(run, given[2], 1);
  if (given[1] == nullptr) stop = std::exchange(start, 0);
  if (step == 0) run.error("range: the step is 0");
  std::vector<Value> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (items.size() == kLongest) run.error("range of more than {} items", kLongest);
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  run.step(static_cast<int64_t>(items.size()));
  return run.list(std::move(items), ListKind::kView);
}

Value call_namespace(Run& run, const Arguments& args) {
  if (args.positional.size() > 1) run.error("namespace takes one dict and keywords");
  std::vector<std::pair<std::string, Value>> attributes;
  if (!args.positional.empty()) {
    if (!args.positional[0].is_dict()) run.unsupported("a namespace made of anything but a dict");
    for (const auto& [key, value] : args.positional[0].as_dict().entries) {
      if (!key.is_text()) run.unsupported("a namespace attribute that is not a string");
      attributes.emplace_back(key.str(), value);
    }
  }
  for (const auto& [name, value] : args.keywords) attributes.emplace_back(name, value);
  return run.make_namespace(std::move(attributes));
}

Value call_dict(Run& run, const Arguments& args) {
  if (args.positional.size() > 1) run.error("dict takes one dict and keywords");
  std::vector<std::pair<Value, Value>> entries;
  if (!args.positional.empty()) {
    if (!args.positional[0].is_dict()) run.unsupported("a dict made of pairs");
    entries = args.positional[0].as_dict().entries;
  }
  for (const auto& [name, value] : args.keywords) {
    run.step(static_cast<int64_t>(entries.size() / 16));
    const auto same =
        std::find_if(entries.begin(), entries.end(), [&key = name](const auto& entry) {
          return entry.first.is_text() && entry.first.str() == key;
        });
    if (same != entries.end()) {
      same->second = value;
    } else {
      entries.emplace_back(run.text(name, false), value);
    }
  }
  return run.dict(std::move(entries));
}

std::tm local_now() {
  const std::time_t now = std::time(nullptr);
  std::tm result{};
  localtime_r(&now, &result);
  return result;
}

// %z and %Z of a time without a zone are empty, as in Python.
Value call_strftime_now(Run& run, const Arguments& args) {
  static constexpr std::string_view kKnown = "aAbBcdDeFgGHIjklmMnprRStTuUVwWxXyY%";
  const JinjaText format = text_argument(run, args.bind(run, "strftime_now", {"format"}, 1)[0], "");
  std::string checked;
  for (size_t i = 0; i < format.size(); ++i) {
    const char c = format.str()[i];
    if (c != '%') {
      checked += c;
      continue;
    }
    std::string directive = "%";
    if (i + 1 < format.size() && format.str()[i + 1] == '-') directive += format.str()[++i];
    const char kind = i + 1 < format.size() ? format.str()[++i] : '\0';
    if (kind == 'z' || kind == 'Z') continue;
    if (kind == '\0' || kKnown.find(kind) == std::string_view::npos) {
      run.unsupported("'{}' in a time format", directive + kind);
    }
    checked += directive + kind;
  }
  if (checked.empty()) return run.text("", false);
  if (checked.size() > 1000) run.error("a time format of more than 1000 characters");
  const std::tm now = run.options().now.value_or(local_now());
  std::string buffer(32 * checked.size() + 64, '\0');
  buffer.resize(std::strftime(buffer.data(), buffer.size(), checked.c_str(), &now));
  return run.text(std::move(buffer), format.has_content());
}

}  // namespace

bool is_builtin(std::string_view name) {
  static constexpr std::array<std::string_view, 8> kNames = {
      "range",        "namespace", "dict",   "raise_exception",
      "strftime_now", "cycler",    "joiner", "lipsum"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

Value call_builtin(Run& run, const std::string& name, const Arguments& args) {
  run.step();
  if (name == "range") return call_range(run, args);
  if (name == "namespace") return call_namespace(run, args);
  if (name == "dict") return call_dict(run, args);
  if (name == "strftime_now") return call_strftime_now(run, args);
  if (name == "raise_exception") {
    const Value* message = args.bind(run, name, {"message"}, 1)[0];
    run.error("the template refuses: {}", to_text(run, *message).str());
  }
  run.unsupported("the function '{}'", name);
}

}  // namespace tidal::jinja
