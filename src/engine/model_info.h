// What an engine says of its model.
#pragma once

#include "model/model.h"
#include "text/tokenizer.h"
#include "tidal/engine.h"

namespace tidal {

// token_bytes: of a token in the cache.
ModelInfo model_info(const Model& model, const Tokenizer& tokenizer, size_t token_bytes);

}  // namespace tidal
