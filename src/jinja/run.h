// How much of its limits one render has used, and where it is. Everything that may take long or
// grow is charged here first, so that a hostile template ends in kExhausted. One thread, one
// render.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/jinja.h"
#include "jinja/value.h"
#include "tidal/error.h"

namespace tidal::jinja {

// "chat template, line 3: MESSAGE, in `SOURCE LINE`"
[[noreturn]] void fail_at(ErrorCode code, std::string_view source, int line,
                          std::string_view message);

class Run {
 public:
  Run(std::string_view source, const JinjaOptions& options) : source_(source), options_(options) {}
  ~Run();  // empties the namespaces, which may refer to each other
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  const JinjaOptions& options() const { return options_; }
  int line = 1;

  void step(int64_t n = 1);
  void read(size_t bytes) { step(static_cast<int64_t>(bytes / 256) + 1); }
  // Memory of the expression or statement being evaluated, released at its end.
  void allocate(size_t bytes);
  // Memory that is released when the charge ends.
  Charge charge(size_t bytes);
  void add(Charge& charge, size_t bytes);

  // Values whose size counts toward the limits.
  Value text(JinjaText text);
  Value text(std::string bytes, bool is_content);
  Value list(std::vector<Value> items, ListKind kind = ListKind::kList);
  Value dict(std::vector<std::pair<Value, Value>> entries);

  Value make_namespace(std::vector<std::pair<std::string, Value>> attributes);

  template <typename... Args>
  [[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) const {
    raise(ErrorCode::kUnsupported,
          fmt::format(format, std::forward<Args>(args)...) + " is not supported");
  }
  template <typename... Args>
  [[noreturn]] void error(fmt::format_string<Args...> format, Args&&... args) const {
    raise(ErrorCode::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...));
  }
  [[noreturn]] void raise(ErrorCode code, std::string_view message) const;

 private:
  friend class DepthGuard;
  int checked_depth(int depth) const;
  void enter();
  void check_memory(size_t bytes);

  std::string_view source_;
  const JinjaOptions& options_;
  int64_t steps_ = 0;
  int64_t live_ = 0;       // bytes, of charges
  int64_t temporary_ = 0;  // bytes, of what is being evaluated
  int depth_ = 0;
  std::vector<std::weak_ptr<Namespace>> namespaces_;
};

// Counts one level of nesting while it lives, and releases what was allocated meanwhile.
class DepthGuard {
 public:
  explicit DepthGuard(Run& run) : run_(run), temporary_(run.temporary_) { run_.enter(); }
  ~DepthGuard() {
    --run_.depth_;
    run_.temporary_ = temporary_;
  }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Run& run_;
  int64_t temporary_;
};

// Python's ==, <, in and str(). compare: negative, 0 or positive; an error for types without an
// order.
bool equal(Run& run, const Value& a, const Value& b);
int compare(Run& run, const Value& a, const Value& b);
bool contains(Run& run, const Value& container, const Value& item);
JinjaText to_text(Run& run, const Value& value);
std::string float_repr(double value);

// The elements of an iteration: of a list, a dict (its keys), a string (its characters), an
// undefined (none). An error for what Python cannot iterate. A generator is empty the second time.
std::vector<Value> iterate(Run& run, const Value& value);
Value length(Run& run, const Value& value);

// The dict's entry with a key of any type; nullptr if there is none.
const Value* lookup(Run& run, const Dict& dict, const Value& key);

Value from_json(Run& run, const nlohmann::ordered_json& json, bool is_content);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<JinjaText> indent;
  JinjaText item_separator;
  JinjaText key_separator;
};
JinjaText to_json(Run& run, const Value& value, const JsonStyle& style);

}  // namespace tidal::jinja
