// Request and Completion: what an engine is asked, and what it answers. Plain data.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tidal/export.h"
#include "tidal/options.h"

namespace tidal {

using RequestId = uint64_t;

enum class FinishReason { kStop, kLength, kCancelled, kError };
TIDAL_EXPORT std::string_view finish_reason_name(FinishReason reason);  // "stop", "length", ...

// Rows of the cache that decode steps read, K and V, over all layers and KV heads: counted by the
// kernels where they walk them. total is what full attention would have read.
struct RowsReport {
  int64_t read = 0;
  int64_t total = 0;
  double share() const {
    return total == 0 ? 1.0 : static_cast<double>(read) / static_cast<double>(total);
  }
};

// Natural logarithms of what the softmax of the model's own logits gives, before any sampling; or,
// where a request asks for that, of what its sampler drew with.
struct TokenLogprob {
  int32_t token = -1;
  float logprob = 0;
};
struct TokenLogprobs {
  TokenLogprob drawn;             // of the token that is there
  std::vector<TokenLogprob> top;  // of the most likely ones, the likeliest first
};

// Of a request with MethodOptions::lossless: its tokens are full attention's.
struct SpeculationReport {
  bool on = false;
  int64_t drafted = 0;   // tokens
  int64_t accepted = 0;  // ... that full attention said too
  double full_ms = 0;    // what full attention's steps would have taken, as far as was measured

  // Times as fast as full attention, of a request that took so long; 0: not known.
  double gained(double decode_ms) const { return decode_ms > 0 ? full_ms / decode_ms : 0; }
};

struct Completion {
  RequestId id = 0;
  std::vector<int32_t> tokens;  // generated, the end-of-generation token excluded
  std::string text;
  std::vector<TokenLogprobs> logprobs;  // of tokens, one each, where the request asks for them
  std::vector<TokenLogprobs> prompt_logprobs;  // of the prompt's tokens but the first, likewise
  FinishReason finish_reason = FinishReason::kLength;
  std::string error;        // with kError: what and why
  int32_t stop_token = -1;  // the one of Request::stop_tokens that ended it
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;  // of the prompt, whose rows were kept from requests before
  std::string reuse_note;     // where reuse ended before it had to, and why
  std::string method;
  std::string plan;
  RowsReport rows;
  int64_t corrections = 0;  // KV cache corrections done
  SpeculationReport speculation;
  double prefill_ms = 0;  // from the first chunk to the first token
  double decode_ms = 0;   // from the first token to the last
};

// One streamed token: `text` is complete UTF-8, empty while a character or a possible stop string
// is still open.
struct TokenEvent {
  int32_t token = -1;  // -1: text that was held back, at the end
  std::string_view text;
  // Where the request asks for them; during the call.
  const TokenLogprobs* logprobs = nullptr;
  std::span<const TokenLogprobs> prompt_logprobs;  // with the first token
};

struct Request {
  std::vector<int32_t> prompt;
  int64_t max_tokens = 128;  // -1: until the cache is full
  // Nothing but the end of a grammar or of the cache ends the text within so many tokens: those
  // that would are not drawn, and stop strings are not looked for.
  int64_t min_tokens = 0;
  bool ignore_eos = false;
  bool keep_special = false;  // control tokens show in the text, by their names
  int32_t logprobs = -1;      // of each token and of this many of the most likely ones; -1: none
  bool sampled_logprobs = false;  // with logprobs: of what is left to draw from, as it is drawn
  bool prompt_logprobs = false;  // with logprobs: of the prompt's tokens too; it is read as a whole
  // Rows of a prompt that full attention wrote are kept while there is room, and requests with the
  // same salt whose prompts begin alike read them no second time: whole pages of 16, bit for bit.
  bool cache_prompt = true;  // false: neither reuses rows nor leaves any
  std::string cache_salt;
  std::vector<std::string> stop;     // ends the text before any of these
  std::vector<int32_t> stop_tokens;  // ... and before any of these tokens
  SamplingOptions sampling;
  GrammarOptions grammar;  // needs a build with xgrammar
  MethodOptions attention;
  std::function<void(const TokenEvent&)> on_token;
  std::function<void(const Completion&)> on_finish;
  // Prompt tokens: what is reused when it begins, and then after each chunk.
  std::function<void(int64_t done, int64_t total)> on_prefill;
};

}  // namespace tidal
