// replace_file(path, content): the whole file or none of it.
//
// Writes beside the path and renames, so that a failure or Ctrl-C leaves what was there. Throws
// Error(kIo) that names the path.
#pragma once

#include <string>
#include <string_view>

namespace tidal {

void replace_file(const std::string& path, std::string_view content);

}  // namespace tidal
