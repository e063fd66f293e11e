#include "base/json.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "base/fail.h"
#include "base/mapped_file.h"
#include "base/quote.h"

namespace tidal {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxBytes = size_t{512} << 20;
constexpr int kMaxOrderedKeys = 1024;

[[noreturn]] void fail_syntax(const std::string& name, std::string_view text, size_t n_read) {
  const std::string_view before = text.substr(0, n_read > 0 ? n_read - 1 : 0);
  const auto line = std::ranges::count(before, '\n') + 1;
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  fail(ErrorCode::kCorrupt, "{}: not valid JSON at line {}, column {}", name, line,
       before.size() - line_start + 1);
}

// check_key sees every event: what is asked of an object's keys.
template <typename Json, typename KeyCheck>
Json parse(std::string_view text, const std::string& name, KeyCheck check_key) {
  if (text.size() > kMaxBytes) {
    fail(ErrorCode::kUnsupported, "{}: {} bytes of JSON; the limit is {}", name, text.size(),
         kMaxBytes);
  }
  using Event = typename Json::parse_event_t;
  const auto on_event = [&](int depth, Event event, Json& parsed) {
    if ((event == Event::object_start || event == Event::array_start) && depth >= kMaxDepth) {
      fail(ErrorCode::kCorrupt, "{}: JSON nested deeper than {} levels", name, kMaxDepth);
    }
    check_key(event, parsed);
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), on_event);
  } catch (const typename Json::parse_error& error) {
    fail_syntax(name, text, error.byte);
  } catch (const typename Json::exception&) {  // a number that fits no type
    fail(ErrorCode::kCorrupt, "{}: the JSON holds a number out of range", name);
  }
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& name,
                          DuplicateKeys duplicates) {
  using Json = nlohmann::json;
  using Event = Json::parse_event_t;
  std::vector<std::set<std::string>> open_objects;
  return parse<Json>(text, name, [&](Event event, const Json& parsed) {
    if (duplicates == DuplicateKeys::kKeepLast) return;
    if (event == Event::object_start) open_objects.emplace_back();
    if (event == Event::object_end) open_objects.pop_back();
    if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_objects.back().insert(key).second) {
        fail(ErrorCode::kCorrupt, "{}: key {} appears twice", name, quote(key));
      }
    }
  });
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& name) {
  using Json = nlohmann::ordered_json;
  using Event = Json::parse_event_t;
  std::vector<int> n_keys;  // of the open objects
  return parse<Json>(text, name, [&](Event event, const Json&) {
    if (event == Event::object_start) n_keys.push_back(0);
    if (event == Event::object_end) n_keys.pop_back();
    if (event == Event::key && ++n_keys.back() > kMaxOrderedKeys) {
      fail(ErrorCode::kCorrupt, "{}: an object of the JSON has more than {} keys", name,
           kMaxOrderedKeys);
    }
  });
}

nlohmann::json read_json_file(const std::string& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.empty()) fail(ErrorCode::kCorrupt, "{}: the file is empty, not JSON", path);
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

}  // namespace tidal
