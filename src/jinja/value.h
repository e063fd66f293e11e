// The values a template works on, with Python's semantics. Cheap to copy: large data is shared and
// immutable (the sandbox allows no changes), except namespaces and a generator's position. Lists
// and dicts know their depth, which is bounded, so walking or freeing one cannot overflow the
// stack. Values live within one render on one thread, except the constants of a parsed template.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "jinja/text.h"

namespace tidal::jinja {

struct List;
struct Dict;
struct Namespace;
struct LoopState;
struct Macro;

// Bytes that count toward a render's limit while this lives; the count must outlive it.
class Charge {
 public:
  Charge() = default;
  explicit Charge(int64_t* live) : live_(live) {}
  Charge(Charge&& other) noexcept : live_(other.live_), bytes_(std::exchange(other.bytes_, 0)) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(live_, other.live_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Charge() {
    if (live_ != nullptr) *live_ -= bytes_;
  }

  void add(int64_t bytes) {
    bytes_ += bytes;
    *live_ += bytes;
  }

 private:
  int64_t* live_ = nullptr;
  int64_t bytes_ = 0;
};

struct Undefined {
  std::string name;  // what was looked up, for messages
};
struct None {};
struct Builtin {  // a global function such as range
  std::string name;
};
struct Method {  // of a string, list or dict, looked up but not called
  std::string name;
};

template <typename T, typename Variant>
inline constexpr bool kIsAlternative = false;
template <typename T, typename... Ts>
inline constexpr bool kIsAlternative<T, std::variant<Ts...>> = (std::is_same_v<T, Ts> || ...);

class Value {
 public:
  using Data =
      std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const JinjaText>,
                   std::shared_ptr<const List>, std::shared_ptr<const Dict>,
                   std::shared_ptr<Namespace>, std::shared_ptr<LoopState>,
                   std::shared_ptr<const Macro>, Builtin, Method>;

  Value() = default;  // undefined
  template <typename T>
  requires kIsAlternative<T, Data>
  explicit Value(T value) : data_(std::in_place_type<T>, std::move(value)) {}
  static Value undefined(std::string name) { return Value(Undefined{std::move(name)}); }
  static Value none() { return Value(None{}); }
  static Value text(JinjaText text) {
    return Value(std::make_shared<const JinjaText>(std::move(text)));
  }
  static Value text(std::string_view bytes, bool is_content = false) {
    return text(JinjaText(std::string(bytes), is_content));
  }

  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  template <typename T>
  const T& get() const {
    return std::get<T>(data_);
  }
  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  bool is_text() const { return is<std::shared_ptr<const JinjaText>>(); }
  bool is_safe_text() const { return is_text() && as_text().is_safe(); }
  bool is_list() const { return is<std::shared_ptr<const List>>(); }
  bool is_dict() const { return is<std::shared_ptr<const Dict>>(); }
  bool is_integer() const { return is<bool>() || is<int64_t>(); }
  bool is_number() const { return is_integer() || is<double>(); }

  const JinjaText& as_text() const { return *get<std::shared_ptr<const JinjaText>>(); }
  const std::string& str() const { return as_text().str(); }
  const List& as_list() const { return *get<std::shared_ptr<const List>>(); }
  const Dict& as_dict() const { return *get<std::shared_ptr<const Dict>>(); }
  int64_t as_integer() const { return is<bool>() ? get<bool>() : get<int64_t>(); }
  double as_double() const {
    return is<double>() ? get<double>() : static_cast<double>(as_integer());
  }

 private:
  Data data_;
};

enum class ListKind {
  kList,
  kTuple,
  kView,       // of a dict, or a range: has a length, prints as neither list nor tuple
  kGenerator,  // what map, select and the like return: read once, has no length
};

struct List {
  ListKind kind = ListKind::kList;
  std::vector<Value> items;
  int depth = 1;
  mutable bool consumed = false;  // of a generator
  Charge charge = {};
};

struct Dict {
  std::vector<std::pair<Value, Value>> entries;  // in order of insertion, keys distinct
  int depth = 1;
  Charge charge = {};

  const Value* find(std::string_view key) const;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;
  Charge charge = {};

  Value* find(std::string_view name);
};

int depth_of(const Value& value);           // 0 unless a list or dict
bool truth(const Value& value);             // bool(value)
std::string type_name(const Value& value);  // as Python calls it

}  // namespace tidal::jinja
