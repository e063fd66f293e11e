#include "jinja/run.h"

#include <algorithm>
#include <utility>

#include "base/fail.h"

namespace tidal::jinja {
namespace {

constexpr int kMaxValueDepth = 100;

std::string quote_line(std::string_view source, int line) {
  constexpr size_t kWidest = 100;
  size_t begin = 0;
  for (int i = 1; i < line && begin < source.size(); ++i) {
    const size_t end = source.find('\n', begin);
    if (end == std::string_view::npos) break;
    begin = end + 1;
  }
  std::string_view text = source.substr(begin, source.find('\n', begin) - begin);
  while (!text.empty() && is_space(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  if (text.size() <= kWidest) return std::string(text);
  size_t end = 0;
  while (end < kWidest) end += character_length(text, end);
  return std::string(text.substr(0, end)) + "...";
}

}  // namespace

void fail_at(ErrorCode code, std::string_view source, int line, std::string_view message) {
  fail(code, "chat template, line {}: {}, in `{}`", line, message, quote_line(source, line));
}

void Run::raise(ErrorCode code, std::string_view message) const {
  fail_at(code, source_, line, message);
}

void Run::step(int64_t n) {
  steps_ += n;
  if (steps_ > options_.limits.max_steps) {
    raise(ErrorCode::kExhausted,
          fmt::format("rendering takes more than {} steps", options_.limits.max_steps));
  }
}

// Copying a page takes about as long as a step.
void Run::check_memory(size_t bytes) {
  constexpr size_t kPage = 4096;
  step(static_cast<int64_t>(bytes / kPage));
  if (static_cast<int64_t>(bytes) > options_.limits.max_memory - live_ - temporary_) {
    raise(ErrorCode::kExhausted,
          fmt::format("rendering needs more than {} bytes of memory", options_.limits.max_memory));
  }
}

void Run::allocate(size_t bytes) {
  check_memory(bytes);
  temporary_ += static_cast<int64_t>(bytes);
}

void Run::add(Charge& charge, size_t bytes) {
  check_memory(bytes);
  charge.add(static_cast<int64_t>(bytes));
}

Charge Run::charge(size_t bytes) {
  Charge result(&live_);
  add(result, bytes);
  return result;
}

void Run::enter() {
  if (depth_ >= options_.limits.max_depth) {
    raise(ErrorCode::kExhausted,
          fmt::format("nested more than {} levels deep", options_.limits.max_depth));
  }
  ++depth_;
}

Value Run::text(JinjaText text) {
  struct Charged {
    JinjaText text;
    Charge charge;
  };
  Charge bytes = charge(64 + text.size() + text.content().size() * sizeof(ByteRange));
  auto charged = std::make_shared<const Charged>(Charged{std::move(text), std::move(bytes)});
  return Value(std::shared_ptr<const JinjaText>(charged, &charged->text));
}

Value Run::text(std::string bytes, bool is_content) {
  return text(JinjaText(std::move(bytes), is_content));
}

int Run::checked_depth(int depth) const {
  if (depth > kMaxValueDepth) {
    raise(ErrorCode::kExhausted,
          fmt::format("lists and dicts nested more than {} levels deep", kMaxValueDepth));
  }
  return depth;
}

Value Run::list(std::vector<Value> items, ListKind kind) {
  auto list = std::make_shared<List>();
  list->charge = charge(64 + items.size() * sizeof(Value));
  list->kind = kind;
  int deepest = 0;
  for (const Value& item : items) deepest = std::max(deepest, depth_of(item));
  list->depth = checked_depth(deepest + 1);
  list->items = std::move(items);
  return Value(std::shared_ptr<const List>(std::move(list)));
}

Value Run::dict(std::vector<std::pair<Value, Value>> entries) {
  auto dict = std::make_shared<Dict>();
  dict->charge = charge(64 + entries.size() * sizeof(std::pair<Value, Value>));
  int deepest = 0;
  for (const auto& [key, value] : entries) {
    deepest = std::max({deepest, depth_of(key), depth_of(value)});
  }
  dict->depth = checked_depth(deepest + 1);
  dict->entries = std::move(entries);
  return Value(std::shared_ptr<const Dict>(std::move(dict)));
}

Value Run::make_namespace(std::vector<std::pair<std::string, Value>> attributes) {
  auto result = std::make_shared<Namespace>();
  result->charge = charge(128 + attributes.size() * sizeof(attributes[0]));
  result->attributes = std::move(attributes);
  namespaces_.push_back(result);
  return Value(std::move(result));
}

Run::~Run() {
  for (const auto& each : namespaces_) {
    if (const auto alive = each.lock()) alive->attributes.clear();
  }
}

Value from_json(Run& run, const nlohmann::ordered_json& json, bool is_content) {
  const DepthGuard guard(run);
  run.step();
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::boolean:
      return Value(json.get<bool>());
    case nlohmann::ordered_json::value_t::number_unsigned:
      if (json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
        run.unsupported("the integer {}, beyond 64 bits,", json.get<uint64_t>());
      }
      return Value(json.get<int64_t>());
    case nlohmann::ordered_json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case nlohmann::ordered_json::value_t::number_float:
      return Value(json.get<double>());
    case nlohmann::ordered_json::value_t::string:
      return run.text(json.get_ref<const std::string&>(), is_content);
    case nlohmann::ordered_json::value_t::array: {
      std::vector<Value> items;
      for (const auto& item : json) items.push_back(from_json(run, item, is_content));
      return run.list(std::move(items));
    }
    case nlohmann::ordered_json::value_t::object: {
      std::vector<std::pair<Value, Value>> entries;
      for (const auto& [key, value] : json.items()) {
        entries.emplace_back(run.text(key, is_content), from_json(run, value, is_content));
      }
      return run.dict(std::move(entries));
    }
    default:
      return Value::none();
  }
}

}  // namespace tidal::jinja
