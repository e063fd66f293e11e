// Unicode normalisation form C: canonical decomposition, ordering of marks, composition. Bytes that
// are not UTF-8 are kept and separate the text around them. Pure, safe from any thread.
#pragma once

#include <string>
#include <string_view>

namespace tidal {

std::string to_nfc(std::string_view text);

}  // namespace tidal
