// Cuts text into the words that byte-pair merges never cross, with a list of regular expressions
// run one after another by PCRE2, each on the pieces the ones before it left.
//
// Immutable and thread-safe. A pattern that cannot be compiled, that says what PCRE2 and the
// tokenizers library read differently, or that runs into PCRE2's limits is an Error; never a silent
// other split. Work is linear in the text for every built-in pattern.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tidal {

struct SplitPattern {
  std::string regex;
  bool drop_gaps = false;  // text between matches is thrown away instead of being a piece itself
};

// What a name in tokenizer.ggml.pre stands for.
struct PreTokenizerPreset {
  std::vector<SplitPattern> patterns;
  bool ignore_merges = false;
  bool add_bos = false;
};

// Throws kUnsupported, with the known names, for any other; `source` is the file to blame.
PreTokenizerPreset find_pre_tokenizer(const std::string& name, const std::string& source);
std::vector<std::string> pre_tokenizer_names();

class PreTokenizer {
 public:
  PreTokenizer(std::vector<SplitPattern> patterns, const std::string& source);

  // Appends the pieces of `text`, views into it, in order. Where the text is not UTF-8, a run of
  // bad bytes is a piece of its own and the text on either side is cut by itself.
  void split(std::string_view text, std::vector<std::string_view>* pieces) const;

  // PCRE2's own compiler refused to make machine code for a pattern (tests only look).
  bool all_compiled_to_machine_code() const;

 private:
  class Regex;
  std::vector<std::shared_ptr<const Regex>> regexes_;
};

// The pattern in PCRE2's words, or an Error: \s is spelled out (PCRE2's holds one character more),
// scripts are named as such, and constructs that the two engines read differently are refused.
std::string translate_pattern(std::string_view pattern, const std::string& source);

}  // namespace tidal
