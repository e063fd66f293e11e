// The alphabet of byte-level vocabularies: one printable character for each of the 256 bytes
// (printable Latin-1 stands for itself, the rest for U+0100 and up), as introduced by GPT-2. Pure
// functions, safe from any thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace tidal {

const std::array<char32_t, 256>& byte_alphabet();

std::string to_byte_alphabet(std::string_view bytes);

// The bytes that `text` spells; none if a character is outside the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view text);

}  // namespace tidal
