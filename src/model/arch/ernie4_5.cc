// ERNIE 4.5, dense: llama whose heads turn neighbouring elements, in either kind of file.
#include <string_view>

#include "model/arch/architecture.h"

namespace tidal {
namespace {

constexpr std::string_view kModelTypes[] = {"ernie4_5"};

void complete_gguf(const GgufFile&, Config* config) {
  config->rope.pairing = RopePairing::kInterleaved;
}

void complete_hf(const JsonFields& json, Config* config) {
  config->rope.pairing = RopePairing::kInterleaved;
  refuse_true(json, "use_bias");  // of every projection, not only of q, k and v
}

}  // namespace

extern const Architecture kErnie4_5 = {"ernie4_5", kModelTypes, complete_gguf, complete_hf};

}  // namespace tidal
