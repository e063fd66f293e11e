// A file of finished work, one JSON object a line, which a long evaluation goes on from.
//
// The first line is {"settings": …}; every other one is {"unit": …, …}, appended when that unit is
// done. Opening a file that holds other settings throws Error(kInvalidArgument) naming the first
// that differs; a last line that was cut off while it was written is dropped. A pipe, a terminal or
// a device is written to and never read: only a regular file can be resumed from. With no path
// nothing is read or written.
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
  // `result` gets "unit" in front and is written. Throws Error(kIo).
  void add(const Json& unit, const Json& result);

 private:
  void resume(std::string_view text, const Json& settings);
  void write(const Json& line);

  std::string path_;
  int fd_ = -1;                                  // of a regular file
  std::optional<OutputFile> stream_;             // of anything else
  std::unordered_map<std::string, Json> lines_;  // by their unit, printed
};

}  // namespace tidal
