// Unicode normalisation form C: canonical decomposition, order of the marks, composition. Bytes
// that are not UTF-8 stay as they are and separate the text around them. Pure, safe from any
// thread.
#pragma once

#include <string>
#include <string_view>

namespace tidal {

std::string to_nfc(std::string_view text);

}  // namespace tidal
