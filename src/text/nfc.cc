#include "text/nfc.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"

namespace tidal {
namespace {

#include "text/nfc_data.inc"

// Hangul syllables compose by arithmetic (The Unicode Standard, 3.12).
constexpr char32_t kSyllables = 0xAC00;
constexpr char32_t kLeads = 0x1100;
constexpr char32_t kVowels = 0x1161;
constexpr char32_t kTails = 0x11A7;
constexpr char32_t kLeadCount = 19;
constexpr char32_t kVowelCount = 21;
constexpr char32_t kTailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

constexpr char32_t kFirstOfInterest = 0x300;  // text below is already in form C

struct Pair {
  char32_t first;
  char32_t second;  // 0: none
};

class Tables {
 public:
  Tables() {
    const char* at = kDecompositions.data();
    while (at != kDecompositions.data() + kDecompositions.size()) {
      const char32_t code = number(&at);
      const bool composes = at[-1] == '=';
      Pair parts = {number(&at), 0};
      if (at[-1] == '+') parts.second = number(&at);
      decompositions_.emplace(code, parts);
      if (composes) compositions_.emplace(key(parts.first, parts.second), code);
    }
    at = kCombiningClasses.data();
    while (at != kCombiningClasses.data() + kCombiningClasses.size()) {
      const char32_t first = number(&at);
      const char32_t last = number(&at);
      const auto value = static_cast<uint8_t>(number(&at));
      for (char32_t code = first; code <= last; ++code) classes_.emplace(code, value);
    }
  }

  void decompose(char32_t code, std::u32string* out) const {
    if (code >= kSyllables && code < kSyllables + kSyllableCount) {
      const char32_t index = code - kSyllables;
      out->push_back(kLeads + index / (kVowelCount * kTailCount));
      out->push_back(kVowels + index % (kVowelCount * kTailCount) / kTailCount);
      if (index % kTailCount != 0) out->push_back(kTails + index % kTailCount);
      return;
    }
    const auto found = decompositions_.find(code);
    if (found == decompositions_.end()) {
      out->push_back(code);
      return;
    }
    decompose(found->second.first, out);
    if (found->second.second != 0) decompose(found->second.second, out);
  }

  char32_t compose(char32_t first, char32_t second) const {  // 0: they do not compose
    if (first >= kLeads && first < kLeads + kLeadCount && second >= kVowels &&
        second < kVowels + kVowelCount) {
      return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTailCount;
    }
    if (first >= kSyllables && first < kSyllables + kSyllableCount &&
        (first - kSyllables) % kTailCount == 0 && second > kTails && second < kTails + kTailCount) {
      return first + (second - kTails);
    }
    const auto found = compositions_.find(key(first, second));
    return found == compositions_.end() ? 0 : found->second;
  }

  uint8_t combining_class(char32_t code) const {
    const auto found = classes_.find(code);
    return found == classes_.end() ? 0 : found->second;
  }

 private:
  static uint64_t key(char32_t first, char32_t second) { return uint64_t{first} << 32 | second; }

  // Reads digits and the character after them.
  static char32_t number(const char** at) {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(*at, *at + 8, value, 16);
    TIDAL_CHECK(error == std::errc() && end != *at, "nfc_data.inc is damaged");
    *at = end + 1;
    return value;
  }

  std::unordered_map<char32_t, Pair> decompositions_;
  std::unordered_map<uint64_t, char32_t> compositions_;
  std::unordered_map<char32_t, uint8_t> classes_;
};

const Tables& tables() {
  static const Tables kTables;
  return kTables;
}

void order_marks(std::u32string* text) {
  const auto class_of = [](char32_t code) { return tables().combining_class(code); };
  for (size_t begin = 0; begin < text->size();) {
    size_t end = begin;
    while (end < text->size() && class_of((*text)[end]) != 0) ++end;
    std::stable_sort(text->begin() + begin, text->begin() + end,
                     [&](char32_t a, char32_t b) { return class_of(a) < class_of(b); });
    begin = end + 1;
  }
}

std::u32string compose_all(const std::u32string& text) {
  constexpr size_t kNone = ~size_t{0};
  std::u32string out;
  size_t starter = kNone;
  uint8_t last_class = 0;  // of the last character kept since the starter
  for (const char32_t code : text) {
    const uint8_t current = tables().combining_class(code);
    const bool adjacent = starter != kNone && out.size() == starter + 1;
    if (starter != kNone && (adjacent || (last_class != 0 && last_class < current))) {
      const char32_t both = tables().compose(out[starter], code);
      if (both != 0) {
        out[starter] = both;
        continue;
      }
    }
    if (current == 0) starter = out.size();
    last_class = current;
    out.push_back(code);
  }
  return out;
}

}  // namespace

std::string to_nfc(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    std::u32string decomposed;
    const size_t begin = at;
    bool of_interest = false;
    Utf8Step step = {};
    for (; at < text.size(); at += step.length) {
      step = read_utf8(text, at);
      if (step.kind != Utf8Step::Kind::kCharacter) break;
      of_interest = of_interest || step.code_point >= kFirstOfInterest;
      tables().decompose(step.code_point, &decomposed);
    }
    if (of_interest) {
      order_marks(&decomposed);
      for (const char32_t code : compose_all(decomposed)) append_utf8(code, &out);
    } else {
      out.append(text, begin, at - begin);
    }
    if (at < text.size()) {
      out.append(text, at, step.length);
      at += step.length;
    }
  }
  return out;
}

}  // namespace tidal
