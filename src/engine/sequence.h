// Sequence: a request on its way through the engine, from admission to its completion.
//
// Owned by the engine and touched only inside its step.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "attention/method.h"
#include "engine/stop_matcher.h"
#include "kv/sequence_kv.h"
#include "runtime/sampler.h"
#include "text/tokenizer.h"
#include "tidal/engine.h"

namespace tidal {

// What a sequence does in the next step.
enum class Work : uint8_t {
  kPrefill,  // a chunk of its prompt, full attention
  kCorrect,  // its last decoded rows again, full attention (KV cache correction)
  kDecode,   // one token, by its method
};

struct Sequence {
  RequestId id = 0;
  Request request{};
  std::shared_ptr<const AttentionMethod> method{};
  AttentionState state{};
  std::optional<SequenceKv> kv{};  // while admitted
  int64_t pages_reserved = 0;      // what it may still grow to, in all

  std::vector<int32_t> tokens{};  // prompt, then what was generated
  int64_t n_prompt = 0;
  int64_t max_length = 0;        // tokens it may reach, prompt included
  int32_t since_correction = 0;  // rows decoded since the last KV cache correction

  Sampler sampler;
  StreamDecoder decoder;
  StopMatcher stop;
  Completion completion{};
  std::chrono::steady_clock::time_point started{};  // first chunk
  std::chrono::steady_clock::time_point first_token{};

  Work next_work() const {
    if (kv->length() < n_prompt) return Work::kPrefill;
    const int32_t stride = method->correct_every();
    return stride > 0 && since_correction >= stride ? Work::kCorrect : Work::kDecode;
  }
};

}  // namespace tidal
