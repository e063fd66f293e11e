// Reads a Hugging Face tokenizer.json: byte-level BPE (GPT-2, SmolLM2, Qwen2, Llama 3 and the like)
// and the SentencePiece-like BPE of Llama 2. The file is not trusted: anything malformed is
// Error(kCorrupt), and an unknown pipeline component, option or pattern is Error(kUnsupported)
// naming it; memory is bounded by the file's real size. Pure, thread-safe.
//
// Differences from the tokenizers library: added tokens that look like control tokens (<|name|>)
// are control tokens even if not marked special; special tokens are found wherever they are
// spelled, even those marked "normalized", which the library finds only after the normalizer's
// prefix; a special token that is an ordinary word is shown; a byte without a token becomes U+FFFD,
// not nothing. A role (BOS, EOS, padding, unknown) that names no token is none, with a warning.
#pragma once

#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace tidal {

// config_json: the text of tokenizer_config.json, or empty; it names BOS, EOS and padding. `path`
// is the file's name in messages, with tokenizer_config.json beside it.
TokenizerData read_tokenizer_json(std::string_view json_text, std::string_view config_json,
                                  const std::string& path);

}  // namespace tidal
