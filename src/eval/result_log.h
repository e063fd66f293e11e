// A file of finished work, one JSON object per line, from which a long evaluation resumes.
//
// The first line is {"settings": …}; every other one is {"unit": …, …}, appended when that unit is
// done. Opening a file with other settings throws Error(kInvalidArgument) naming the first that
// differs; a last line cut off in mid-write is dropped. A pipe, terminal or device is written but
// never read: only a regular file can be resumed from. With no path nothing is read or written.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/output_file.h"

namespace tidal {

class ResultLog {
 public:
  using Json = nlohmann::ordered_json;

  ResultLog(const std::string& path, const Json& settings);
  ~ResultLog();
  ResultLog(const ResultLog&) = delete;
  ResultLog& operator=(const ResultLog&) = delete;

  // The finished line of this unit, or null. Valid until the next add().
  const Json* find(const Json& unit) const;
  // Writes `result` with "unit" in front. Throws Error(kIo).
  void add(const Json& unit, const Json& result);

 private:
  void resume(std::string_view text, const Json& settings);
  void write(const Json& line);

  std::string path_;
  int fd_ = -1;                                  // of a regular file
  std::optional<OutputFile> stream_;             // of anything else
  std::unordered_map<std::string, Json> lines_;  // by unit, as printed
};

}  // namespace tidal
