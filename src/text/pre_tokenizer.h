// Cuts text into the words that byte-pair merges never cross, by a list of regular expressions run
// one after another with PCRE2, each on the pieces left by those before it.
//
// Immutable and thread-safe. A pattern that does not compile, that PCRE2 and the tokenizers library
// interpret differently, or that runs into PCRE2's limits is an Error, never a silently different
// split. Work is linear in the text for every built-in pattern.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tidal {

struct SplitPattern {
  std::string regex;
  bool drop_gaps = false;  // text between matches is dropped instead of being a piece itself
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

  // Appends the pieces of `text`, views into it, in order. A run of bytes that are not UTF-8 is a
  // piece of its own, and the text on either side is cut separately.
  void split(std::string_view text, std::vector<std::string_view>* pieces) const;

  // PCRE2's JIT compiler failed on a pattern (used only by tests).
  bool all_compiled_to_machine_code() const;

 private:
  class Regex;
  std::vector<std::shared_ptr<const Regex>> regexes_;
};

// The pattern translated for PCRE2, or an Error: \s is spelled out (PCRE2's includes one more
// character), scripts are named as such, and constructs the two engines interpret differently are
// refused.
std::string translate_pattern(std::string_view pattern, const std::string& source);

}  // namespace tidal
