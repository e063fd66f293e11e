#include "text/byte_alphabet.h"

#include "base/utf8.h"

namespace tidal {
namespace {

constexpr char32_t kAlphabetEnd = 256 + 68;  // 68 bytes are not printable Latin-1

bool is_printable_latin1(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

}  // namespace

const std::array<char32_t, 256>& byte_alphabet() {
  static const auto alphabet = [] {
    std::array<char32_t, 256> table;
    char32_t next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      table[byte] = is_printable_latin1(byte) ? static_cast<char32_t>(byte) : next++;
    }
    return table;
  }();
  return alphabet;
}

std::string to_byte_alphabet(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) append_utf8(byte_alphabet()[static_cast<uint8_t>(byte)], &text);
  return text;
}

std::optional<std::string> from_byte_alphabet(std::string_view text) {
  static const auto bytes = [] {
    std::array<int16_t, kAlphabetEnd> table;
    table.fill(-1);
    for (int byte = 0; byte < 256; ++byte) {
      table[byte_alphabet()[byte]] = static_cast<int16_t>(byte);
    }
    return table;
  }();
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = read_utf8(text, at);
    if (step.kind != Utf8Step::Kind::kCharacter || step.code_point >= kAlphabetEnd ||
        bytes[step.code_point] < 0) {
      return std::nullopt;
    }
    out.push_back(static_cast<char>(bytes[step.code_point]));
    at += step.length;
  }
  return out;
}

}  // namespace tidal
