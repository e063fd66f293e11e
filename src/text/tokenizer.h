// Text to token ids and back.
//
// TokenizerData is plain data, filled from GGUF metadata by the model loader or from a Hugging Face
// folder by read_tokenizer_json. Tokenizer::create checks it (throws Error naming the fault) and
// builds the immutable Tokenizer, which any number of threads may share; copies share one
// vocabulary. Text is bytes: bytes that are not UTF-8 each stand for themselves. A control token is
// made from text only if the caller passes parse_special, and in a prompt only from what is not
// content.
//
// Models have more logits than tokens: an id beyond the vocabulary is not an error, but empty text.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/text.h"
#include "text/pre_tokenizer.h"

namespace tidal {

using TokenId = int32_t;

// The numbers of tokenizer.ggml.token_type.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // made from text only with parse_special, hidden by decode
  kUserDefined = 4,  // always found in text as a whole, before anything else
  kUnused = 5,
  kByte = 6,
};

struct TokenizerData {
  std::string source = "tokenizer";  // file named in error messages
  std::string model;                 // tokenizer.ggml.model: "gpt2" (byte-level pairs) or "llama"
  std::string pre;                   // tokenizer.ggml.pre; "gpt2" only
  std::vector<std::string> tokens;   // tokenizer.ggml.tokens [n_vocab]
  std::vector<float> scores;         // tokenizer.ggml.scores [n_vocab]; "llama" without merges
  std::vector<int32_t> types;        // tokenizer.ggml.token_type [n_vocab]; empty: all normal
  std::vector<std::string> merges;   // tokenizer.ggml.merges, "left right", best first
  TokenId bos = -1;                  // tokenizer.ggml.bos_token_id; -1: none, as for all below
  TokenId eos = -1;                  // tokenizer.ggml.eos_token_id
  TokenId eot = -1;                  // tokenizer.ggml.eot_token_id
  TokenId unk = -1;                  // tokenizer.ggml.unknown_token_id
  TokenId pad = -1;                  // tokenizer.ggml.padding_token_id
  std::optional<bool> add_bos;       // tokenizer.ggml.add_bos_token; else depends on model or pre
  std::optional<bool> add_eos;       // tokenizer.ggml.add_eos_token; else false
  bool add_space_prefix = true;      // tokenizer.ggml.add_space_prefix; "llama" only
  std::vector<TokenId> extra_eog;    // more ids that end a turn (generation_config.json, eom)

  // What only tokenizer.json can express.
  std::vector<SplitPattern> patterns;      // instead of pre
  bool has_patterns = false;               // patterns apply, even if there are none
  std::optional<bool> ignore_merges;       // a word in the vocabulary is not split; else by pre
  bool byte_level_space_prefix = false;    // "gpt2": a space before text that begins without one
  bool space_prefix_first_only = false;    // "llama": not again after a special token
  bool space_prefix_unless_space = false;  // "llama": not before text that begins with a space
  bool byte_fallback = true;               // "llama": unknown characters become byte tokens
  bool fuse_unknown = false;               // "llama": unknown neighbours share one unk
  bool normalize_nfc = false;              // text is first normalised to Unicode form NFC
  bool normalizer_prefix = false;          // "llama": the normalizer puts U+2581 before text
  bool normalizer_marks = false;           // "llama": the normalizer turns spaces into U+2581
  bool literal_added_tokens = false;       // user-defined tokens: U+2581 in them is not a space
  std::vector<TokenId> normalized;         // added tokens matched after the normalizer
  std::vector<TokenId> strip_left;         // special tokens that swallow white space before them
  std::vector<TokenId> strip_right;        // ... and after them
};

class Tokenizer {
 public:
  static Tokenizer create(TokenizerData data);

  // add_special: BOS and EOS as the model requires. parse_special: control tokens spelled in the
  // text become those tokens; without it they are ordinary characters.
  std::vector<TokenId> encode(std::string_view text, bool add_special, bool parse_special) const;

  // Like encode(text, false, true), but a control token with even one byte of content stays text.
  std::vector<TokenId> encode_prompt(const JinjaText& prompt) const;

  // The bytes the ids stand for: exactly the text that was encoded (byte-level, unless normalised),
  // or that text minus one leading space ("llama" with a space prefix). Control and unknown tokens
  // are omitted unless keep_special.
  std::string decode(std::span<const TokenId> ids, bool keep_special = false) const;

  // The bytes one id stands for; a control token's are its name. Lives as long as any copy.
  std::string_view piece(TokenId id) const;
  // The id with this piece; if several share it, the special one.
  std::optional<TokenId> find(std::string_view piece) const;

  int32_t vocab_size() const;
  TokenId bos() const;
  TokenId eos() const;
  bool adds_bos() const;
  bool adds_eos() const;
  bool is_end_of_generation(TokenId id) const;
  bool is_control(TokenId id) const;  // control or unknown: not part of the text
  bool strips_leading_space() const;  // decode drops one space at the start of a text

 private:
  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

// Ids in, text out, never half a character: bytes wait until their character is complete; bytes
// that cannot be part of a character become U+FFFD. One stream each, not thread-safe.
class StreamDecoder {
 public:
  // at_start: the ids begin a text (decode's rule for the leading space applies); otherwise they
  // continue one, and a leading space is kept.
  explicit StreamDecoder(Tokenizer tokenizer, bool keep_special = false, bool at_start = false);

  std::string push(TokenId id);
  std::string flush();  // what is still waiting, as U+FFFD; resets the decoder

 private:
  std::string take_whole_characters();

  Tokenizer tokenizer_;
  bool keep_special_;
  bool at_start_;
  bool strip_next_;
  std::string waiting_;  // bytes of an unfinished character, at most 3 between calls
};

}  // namespace tidal
