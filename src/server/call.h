// GenerateCall: what a client asks for, read from the JSON of any of the endpoints that generate.
//
// Pure: no engine, no sockets. Every number is checked here, at the edge; what is wrong is an
// ApiError(400) that names the field. The fields of sampling, length and method are the rows of
// runtime/option_table.h, by their names and the aliases of other servers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/option_table.h"
#include "server/errors.h"

namespace tidal::server {

// Which API a request and its answer speak.
enum class Dialect { kChat, kCompletions, kLlama, kResponses, kMessages };

// Text still to be cut into tokens, or a token.
using PromptPart = std::variant<std::string, int32_t>;
using PromptParts = std::vector<PromptPart>;

struct LogitBias {
  std::variant<std::string, int32_t> token;  // a text: all its tokens
  float bias = 0;                            // -inf: never
};

struct GenerateCall {
  Dialect dialect = Dialect::kChat;
  Options options;  // sampling, length, stop, method
  std::vector<LogitBias> logit_bias;
  GrammarOptions grammar;            // that the answer has to be of
  std::vector<PromptParts> prompts;  // of completions
  bool several_prompts = false;      // given as a list, of one perhaps
  int64_t n = 1;                     // answers to each prompt
  int64_t best_of = 0;               // ... out of so many; 0: n
  int64_t logprobs = -1;             // of the token and of so many others; -1: none
  int64_t max_time_ms = 0;           // 0: any time
  int64_t slot = -1;                 // llama.cpp's id_slot
  std::string owner;                 // whose texts it shares; empty: everybody's
  int32_t end_token = -1;            // the model's, for replies that show settings
  std::vector<int32_t> stop_tokens;
  std::vector<std::string> response_fields;  // llama.cpp's: only these, "a/b" from within
  bool only_prompt = false;                  // max_tokens 0: read it and generate nothing
  bool echo = false;
  bool stream = false;
  bool include_usage = false;
  bool continuous_usage = false;
  bool timings_per_token = false;
  bool return_progress = false;
  bool return_tokens = false;
  bool post_sampling_probs = false;
  bool verbose = false;
};

// The body of a request: an object, at most 64 levels deep. What it names stays in its order, which
// answers to a schema and descriptions of tools keep.
Json parse_body(std::string_view body);

// `defaults`: what the server was started with. A seed below 0 becomes a random one.
GenerateCall read_call(Dialect dialect, const Json& body, const Options& defaults);

// The prompts of a completions request: a text, tokens, both mixed, or a list of such.
std::vector<PromptParts> read_prompts(const Json& prompt, bool* several);

// Names of fields that some API has and that change nothing here; others are worth a remark.
bool is_known_field(std::string_view name);

// A field's value, checked; a JSON null is no value.
int64_t integer_of(const Json& value, std::string_view field, int64_t least, int64_t most);
bool boolean_of(const Json& value, std::string_view field);
const std::string& text_of(const Json& value, std::string_view field);

}  // namespace tidal::server
