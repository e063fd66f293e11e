// Grammars that keep a model's answer to a form: JSON schemas, regular expressions, rules, tags.
// In JSON at most 20 characters of white space stand in a row, spaces and line ends.
//
// xgrammar does the work; grammar.cc alone knows it. A build without it refuses every grammar with
// Error(kUnsupported). A grammar may come from anybody: its text is limited to 256 KiB, its nesting
// to 64 levels (JSON) or 200 brackets, its compilation to 2 seconds, and a step of matching to a
// quarter of a second.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "text/tokenizer.h"
#include "tidal/options.h"

namespace tidal {

class CompiledGrammar;

// For one vocabulary. Thread-safe. Keeps the grammars that were used last.
class GrammarCompiler {
 public:
  GrammarCompiler(Tokenizer tokenizer, int32_t vocab_size);
  ~GrammarCompiler();

  static bool is_built_in();

  // Throws Error naming what is wrong with the grammar, or that it is too large. A compilation that
  // takes too long goes on without anybody waiting for it; while two of those do, all others are
  // refused.
  std::shared_ptr<const CompiledGrammar> compile(const GrammarOptions& grammar);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Where an answer is in its grammar. Not thread-safe.
class GrammarMatcher {
 public:
  explicit GrammarMatcher(std::shared_ptr<const CompiledGrammar> grammar);
  GrammarMatcher(GrammarMatcher&& other) noexcept;
  GrammarMatcher& operator=(GrammarMatcher&& other) noexcept;
  ~GrammarMatcher();

  // A bit for each token that may come next; those that end a turn where the grammar may end. Valid
  // until the next call. Throws Error(kExhausted) when the grammar is too ambiguous to go on with.
  std::span<const uint32_t> mask();
  // False for a token that may not come; then nothing changes.
  bool accept(int32_t token);
  void rollback(int32_t n_tokens);
  bool may_end() const;  // what was accepted is whole

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidal
