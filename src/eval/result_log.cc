#include "eval/result_log.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "base/fail.h"
#include "base/json.h"
#include "base/mapped_file.h"

namespace tidal {
namespace {

using Json = ResultLog::Json;

void check_settings(const std::string& path, const Json& there, const Json& wanted) {
  for (const auto& [key, value] : wanted.items()) {
    const auto found = there.find(key);
    const bool missing = found == there.end();
    if (missing || *found != value) {
      fail(ErrorCode::kInvalidArgument,
           "{} holds results with {} {}, this run has {}: give another file with -o, or the same "
           "settings",
           path, key, missing ? "unset" : dump(*found), dump(value));
    }
  }
}

}  // namespace

ResultLog::ResultLog(const std::string& path, const Json& settings) : path_(path) {
  if (path_.empty()) return;
  std::error_code ignored;
  const bool empty = !std::filesystem::exists(path_, ignored) ||
                     (std::filesystem::is_regular_file(path_, ignored) &&
                      std::filesystem::file_size(path_, ignored) == 0);
  if (!empty) read(settings);
  file_.open(path_, std::ios::app | std::ios::binary);
  if (!file_) fail(ErrorCode::kIo, "cannot write {}: {}", path_, std::strerror(errno));
  if (empty) write({{"settings", settings}});
}

void ResultLog::read(const Json& settings) {
  const MappedFile file(path_);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                              file.bytes().size());
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
    const auto line = text.substr(begin, end - begin);
    Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    const char* key = begin == 0 ? "settings" : "unit";
    if (!json.is_object() || !json.contains(key)) {
      fail(ErrorCode::kInvalidArgument,
           "{} is not a file of results, line {} has no \"{}\": give another file with -o", path_,
           1 + std::count(text.begin(), text.begin() + static_cast<int64_t>(begin), '\n'), key);
    }
    if (begin == 0) {
      check_settings(path_, json["settings"], settings);
    } else {
      std::string unit = dump(json["unit"]);
      lines_.insert_or_assign(std::move(unit), std::move(json));
    }
  }
  if (begin == 0) {
    fail(ErrorCode::kInvalidArgument, "{} is not a file of results: give another file with -o",
         path_);
  }
  if (begin < text.size()) std::filesystem::resize_file(path_, begin);
}

const Json* ResultLog::find(const Json& unit) const {
  const auto found = lines_.find(dump(unit));
  return found == lines_.end() ? nullptr : &found->second;
}

void ResultLog::add(const Json& unit, const Json& result) {
  Json line = {{"unit", unit}};
  line.update(result);
  write(line);
  lines_.insert_or_assign(dump(unit), std::move(line));
}

void ResultLog::write(const Json& line) {
  if (path_.empty()) return;
  file_ << dump(line) << '\n';
  if (!file_.flush()) fail(ErrorCode::kIo, "cannot write {}: is the disk full?", path_);
}

}  // namespace tidal
