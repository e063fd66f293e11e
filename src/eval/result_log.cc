#include "eval/result_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/fail.h"
#include "base/json.h"
#include "base/mapped_file.h"

namespace tidal {
namespace {

using Json = ResultLog::Json;

void check_settings(const std::string& path, const Json& there, const Json& expected) {
  for (const auto& [key, value] : expected.items()) {
    const auto found = there.find(key);
    const bool missing = found == there.end();
    if (missing || *found != value) {
      fail(ErrorCode::kInvalidArgument,
           "{} holds results with {} {}, but this run has {}: give another file with -o, or the "
           "same "
           "settings",
           path, key, missing ? "unset" : dump(*found), dump(value));
    }
  }
}

}  // namespace

ResultLog::ResultLog(const std::string& path, const Json& settings) : path_(path) {
  if (path_.empty()) return;
  if (is_stream(path_)) {
    stream_.emplace(path_);
    write({{"settings", settings}});
    return;
  }
  fd_ = ::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(ErrorCode::kIo, "cannot write {}: {}", path_, std::strerror(errno));
  const MappedFile file(path_);
  if (file.bytes().empty()) {
    write({{"settings", settings}});
  } else {
    resume({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, settings);
  }
}

ResultLog::~ResultLog() {
  if (fd_ >= 0) ::close(fd_);
}

void ResultLog::resume(std::string_view text, const Json& settings) {
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
    const auto line = text.substr(begin, end - begin);
    Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    const char* key = begin == 0 ? "settings" : "unit";
    if (!json.is_object() || !json.contains(key)) {
      fail(ErrorCode::kInvalidArgument,
           "{} is not a file of results: line {} has no \"{}\": give another file with -o", path_,
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
  if (begin < text.size() && ::ftruncate(fd_, static_cast<off_t>(begin)) != 0) {
    fail(ErrorCode::kIo, "cannot write {}: {}", path_, std::strerror(errno));
  }
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
  const std::string text = dump(line) + "\n";
  if (stream_.has_value()) return stream_->write(text);
  if (fd_ < 0) return;
  const int error = write_all(fd_, text);
  if (error != 0) fail(ErrorCode::kIo, "cannot write {}: {}", path_, std::strerror(error));
}

}  // namespace tidal
