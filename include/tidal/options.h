// What a user of tidal may choose. Plain data; every default is what `tidal --help` prints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tidal {

// Tokens that a lossless request can draft before full attention decides.
inline constexpr int32_t kMostDrafts = 15;

// Which rows of the KV cache the decode steps of a request read.
struct MethodOptions {
  std::string name = "tidal";     // full, tidal, quest, window, oracle
  std::string plan;               // preset, plan line or plan file; empty: the method's default
  std::string budget;             // "512" or "10%"; empty: the plan's
  int64_t min_context = -1;       // below it everything is read; -1: the default crossover
  int32_t correct_every = -1;     // KV cache correction stride, 0 = off; -1: the plan's
  bool lossless = false;          // the method drafts, full attention decides: its tokens, sooner
  int32_t drafts = -1;            // tokens drafted before each decision, 0 to 15; -1: what pays
  std::string default_plan_file;  // the plan file beside the model, or empty
};

inline std::vector<std::string> default_dry_sequence_breakers() { return {"\n", ":", "\"", "*"}; }

// As llama.cpp has them, and in its order: bias, penalties, DRY, top_n_sigma, top_k, typical_p,
// top_p, min_p, XTC, temperature.
struct SamplingOptions {
  float temperature = 0.8f;  // 0: always the most likely token
  int32_t top_k = 40;        // 0: off
  float top_p = 0.95f;       // 1: off
  float min_p = 0.05f;       // 0: off
  uint64_t seed = 0;         // equal seeds, equal tokens

  std::vector<std::pair<int32_t, float>> logit_bias{};  // added to a token's logit; -inf: never
  float repeat_penalty = 1;  // divides the logits of tokens that were there; 1: off
  int32_t repeat_last_n =
      64;  // among this many last tokens, the prompt's included; 0: off, -1: all
  float presence_penalty = 0;   // taken from the logits of these
  float frequency_penalty = 0;  // and this for each time
  float dry_multiplier = 0;     // of what continues a repetition; 0: off
  float dry_base = 1.75f;       // to the power of the repetition's length beyond the allowed one
  int32_t dry_allowed_length = 2;
  int32_t dry_penalty_last_n = -1;  // looks at this many last tokens; 0: off, -1: all
  std::vector<std::string> dry_sequence_breakers = default_dry_sequence_breakers();
  float top_n_sigma = -1;  // within so many standard deviations of the best logit; 0 or less: off
  float typical_p = 1;     // the least surprising ones up to this probability; 1: off
  float xtc_probability = 0;   // how often all of the most likely but the last are left out; 0: off
  float xtc_threshold = 0.1f;  // what counts as likely for that; above 0.5: off
};

// What an answer has to be like.
enum class GrammarKind {
  kNone,
  kJsonSchema,     // JSON that a schema describes
  kJsonObject,     // any JSON object; without text
  kRegex,          // a regular expression, for the whole answer
  kEbnf,           // rules as llama.cpp writes them (GBNF), from `root` on
  kStructuralTag,  // free text with parts of a form: xgrammar's structural tags, as JSON
};

struct GrammarOptions {
  GrammarKind kind = GrammarKind::kNone;
  std::string text;
};

struct RopeOptions {                   // what is not set stays the model's
  std::optional<std::string> scaling;  // none, linear, yarn
  std::optional<double> scale;         // context extension factor
  std::optional<double> freq_base;
  std::optional<int64_t> yarn_original_context;
};

struct EngineOptions {
  std::string model;                 // a GGUF file or a Hugging Face folder
  std::string backend = "cpu";       // cpu, reference
  int32_t threads = 0;               // 0: the physical cores this process may use
  std::string k_cache_type = "f16";  // f16, bf16, f32, q8_0
  std::string v_cache_type = "f16";
  int64_t context_size = 0;     // cache capacity in tokens, all sequences together; 0: the model's
  int32_t max_sequences = 1;    // requests decoded at the same time
  int32_t prefill_chunk = 512;  // tokens of a prompt run in one step; fewer while others decode
  int32_t max_queue = 0;        // requests that may wait; 0: any number
  RopeOptions rope;
  std::string chat_template;  // chatml, llama3, command-r or a Jinja text; empty: the model's own
};

}  // namespace tidal
