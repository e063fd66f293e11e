// A file of finished work, one JSON object a line, which a long evaluation goes on from.
//
// The first line is {"settings": …}; every other one is {"unit": …, …}, appended and flushed when
// that unit is done. Opening a file that holds other settings throws Error(kInvalidArgument) naming
// the first that differs; a last line that was cut off while it was written is dropped. With no
// path nothing is read or written.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>

namespace tidal {

class ResultLog {
 public:
  using Json = nlohmann::ordered_json;

  ResultLog(const std::string& path, const Json& settings);

  // The finished line of this unit, or null. Valid until the next add().
  const Json* find(const Json& unit) const;
  // `result` gets "unit" in front and is written. Throws Error(kIo).
  void add(const Json& unit, const Json& result);

 private:
  void read(const Json& settings);
  void write(const Json& line);

  std::string path_;
  std::ofstream file_;
  std::unordered_map<std::string, Json> lines_;  // by their unit, printed
};

}  // namespace tidal
