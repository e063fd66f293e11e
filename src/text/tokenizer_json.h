// Reads a Hugging Face tokenizer.json: byte-level BPE (GPT-2, SmolLM2, Qwen2, Llama 3 and the like)
// and the SentencePiece-like BPE of Llama 2. The file is not trusted: anything malformed is
// Error(kCorrupt), and a pipeline component, option or pattern that is not known is
// Error(kUnsupported) that names it; memory is bounded by the file's real size. Pure, thread-safe.
//
// Departures from the tokenizers library: added tokens that read like control tokens (<|name|>) are
// control tokens even if not marked special; special tokens are found wherever they are spelled,
// also those marked "normalized", which the library finds only where the normalizer's prefix stands
// before them; a special token that is an ordinary word is shown; a byte without token becomes
// U+FFFD and not nothing. A role (BOS, EOS, padding, unknown) that names no token is none, with a
// warning.
#pragma once

#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace tidal {

// config_json: the text of tokenizer_config.json, or empty; it names BOS, EOS and padding. `path`
// is what messages call the file, tokenizer_config.json stands beside it.
TokenizerData read_tokenizer_json(std::string_view json_text, std::string_view config_json,
                                  const std::string& path);

}  // namespace tidal
