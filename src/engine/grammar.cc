#include "engine/grammar.h"

#include "base/fail.h"

#ifdef TIDAL_HAS_XGRAMMAR
#include <pthread.h>
#include <xgrammar/xgrammar.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/quote.h"
#include "engine/json_schema.h"

namespace tidal {

class CompiledGrammar {
 public:
  explicit CompiledGrammar(xgrammar::CompiledGrammar compiled) : compiled_(std::move(compiled)) {}
  const xgrammar::CompiledGrammar& get() const { return compiled_; }

 private:
  xgrammar::CompiledGrammar compiled_;
};

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLongestText = size_t{256} << 10;
constexpr int kDeepestBrackets = 200;
constexpr size_t kCached = 32;
constexpr int kMostAbandoned = 2;
constexpr auto kCompileTime = std::chrono::seconds(2);
constexpr auto kStepTime = std::chrono::milliseconds(250);
constexpr size_t kCompileStack = size_t{256} << 20;  // address space: parsers of grammars recurse

std::string_view kind_name(GrammarKind kind) {
  switch (kind) {
    case GrammarKind::kNone:
      return "none";
    case GrammarKind::kJsonSchema:
      return "JSON schema";
    case GrammarKind::kJsonObject:
      return "JSON object";
    case GrammarKind::kRegex:
      return "regular expression";
    case GrammarKind::kEbnf:
      return "grammar";
    case GrammarKind::kStructuralTag:
      return "structural tag";
  }
  return "grammar";
}

void check_brackets(const GrammarOptions& grammar) {
  int depth = 0;
  for (size_t i = 0; i < grammar.text.size(); ++i) {
    const char c = grammar.text[i];
    if (c == '\\') ++i;
    if (c == '(' || c == '{' || c == '[') ++depth;
    if ((c == ')' || c == '}' || c == ']') && depth > 0) --depth;
    if (depth > kDeepestBrackets) {
      fail(ErrorCode::kInvalidArgument, "the {} nests more than {} brackets, simplify it",
           kind_name(grammar.kind), kDeepestBrackets);
    }
  }
}

// So that a model cannot go on with spaces for ever.
constexpr int kMostSpaces = 20;

// Checks the schemas in a structural tag, but for those with "strict": false, and bounds their
// spaces.
void prepare_schemas(nlohmann::ordered_json& tag) {
  const auto schema = tag.is_object() ? tag.find("json_schema") : tag.end();
  if (schema != tag.end()) {
    const auto strict = tag.find("strict");
    if (strict == tag.end() || *strict != false) check_json_schema(*schema);
    tag.erase("strict");
    tag["max_whitespace_cnt"] = kMostSpaces;
    return;
  }
  for (auto& part : tag) {
    if (part.is_structured()) prepare_schemas(part);
  }
}

// The text that is compiled.
std::string check_text(const GrammarOptions& grammar) {
  if (grammar.text.size() > kLongestText) {
    fail(ErrorCode::kInvalidArgument, "the {} has {} bytes, give at most {}",
         kind_name(grammar.kind), grammar.text.size(), kLongestText);
  }
  switch (grammar.kind) {
    case GrammarKind::kJsonSchema:
      check_json_schema(parse_json(grammar.text, std::string(kind_name(grammar.kind))));
      return grammar.text;
    case GrammarKind::kStructuralTag: {
      auto tag = parse_ordered_json(grammar.text, std::string(kind_name(grammar.kind)));
      prepare_schemas(tag);
      return dump(tag);
    }
    default:
      check_brackets(grammar);
      return grammar.text;
  }
}

// xgrammar lets control characters into strings of bounded length, where JSON has them escaped.
bool fits_into_json(std::string_view piece) {
  return std::ranges::none_of(piece, [](char c) { return c >= 0 && c < ' ' && c != '\n'; });
}

xgrammar::TokenizerInfo make_tokenizer_info(const Tokenizer& tokenizer, int32_t vocab_size,
                                            bool of_json) {
  std::vector<std::string> pieces(static_cast<size_t>(vocab_size));  // empty: never
  std::vector<int32_t> ends;
  for (TokenId id = 0; id < std::min(vocab_size, tokenizer.vocab_size()); ++id) {
    if (tokenizer.is_end_of_generation(id)) {
      ends.push_back(id);
    } else if (!tokenizer.is_control(id) && (!of_json || fits_into_json(tokenizer.piece(id)))) {
      pieces[static_cast<size_t>(id)] = tokenizer.piece(id);
    }
  }
  return xgrammar::TokenizerInfo(pieces, xgrammar::VocabType::RAW, vocab_size, ends);
}

xgrammar::CompiledGrammar compile_now(const xgrammar::TokenizerInfo& tokens,
                                      const GrammarOptions& grammar) {
  xgrammar::GrammarCompiler compiler(tokens, /*max_threads=*/1, /*cache_enabled=*/false);
  const auto schema = [&](const std::string& text, bool strict) {
    return compiler.CompileJSONSchema(text, /*any_whitespace=*/true, std::nullopt, std::nullopt,
                                      strict, kMostSpaces);
  };
  switch (grammar.kind) {
    case GrammarKind::kJsonSchema:
      return schema(grammar.text, /*strict=*/true);
    case GrammarKind::kRegex:
      return compiler.CompileRegex(grammar.text);
    case GrammarKind::kEbnf:
      return compiler.CompileGrammar(grammar.text);
    case GrammarKind::kStructuralTag:
      return compiler.CompileStructuralTag(grammar.text);
    default:
      return schema(R"({"type": "object"})", /*strict=*/false);
  }
}

void fill_mask(xgrammar::GrammarMatcher& matcher, std::vector<uint32_t>& bits) {
  auto size = static_cast<int64_t>(bits.size());
  DLTensor tensor{.data = bits.data(),
                  .device = {kDLCPU, 0},
                  .ndim = 1,
                  .dtype = xgrammar::GetBitmaskDLType(),
                  .shape = &size,
                  .strides = nullptr,
                  .byte_offset = 0};
  if (!matcher.FillNextTokenBitmask(&tensor)) std::ranges::fill(bits, ~uint32_t{0});
}

// One compilation, which its thread and whoever waits for it hold.
struct Job {
  xgrammar::TokenizerInfo tokens;
  GrammarOptions grammar;
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::shared_ptr<const CompiledGrammar> result;
  std::string error;
  std::function<void()> on_end;  // once nobody waits any more
};

// An ambiguous grammar takes long for its first tokens: that belongs to compiling it.
void try_out(const CompiledGrammar& grammar) {
  constexpr int kTokens = 8;
  xgrammar::GrammarMatcher matcher(grammar.get());
  std::vector<uint32_t> bits(
      static_cast<size_t>(grammar.get().GetTokenizerInfo().GetVocabSize() + 31) / 32);
  for (int i = 0; i < kTokens && !matcher.IsTerminated(); ++i) {
    fill_mask(matcher, bits);
    const auto word = std::ranges::find_if(bits, [](uint32_t w) { return w != 0; });
    if (word == bits.end()) return;
    matcher.AcceptToken(static_cast<int32_t>((word - bits.begin()) * 32 + std::countr_zero(*word)));
  }
}

// Without the time and the source file that xgrammar writes before it.
std::string reason_of(const std::exception& thrown) {
  const std::string_view text = thrown.what();
  const size_t file = text.find(".cc:");
  const size_t end = file == text.npos ? file : text.find(": ", file);
  return std::string(end == text.npos ? text : text.substr(end + 2));
}

void run_job(Job& job) {
  std::shared_ptr<const CompiledGrammar> result;
  std::string error;
  try {
    result = std::make_shared<const CompiledGrammar>(compile_now(job.tokens, job.grammar));
    try_out(*result);
  } catch (const std::exception& thrown) {
    result = nullptr;
    error = reason_of(thrown);
  }
  const std::lock_guard lock(job.mutex);
  job.done = true;
  job.result = std::move(result);
  job.error = std::move(error);
  job.changed.notify_all();
  if (job.on_end) job.on_end();
}

void start_thread(const std::shared_ptr<Job>& job) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kCompileStack);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  auto held = std::make_unique<std::shared_ptr<Job>>(job);
  pthread_t thread{};
  const auto run = [](void* argument) -> void* {
    const std::unique_ptr<std::shared_ptr<Job>> mine(static_cast<std::shared_ptr<Job>*>(argument));
    run_job(**mine);
    return nullptr;
  };
  const int error = pthread_create(&thread, &attributes, run, held.get());
  pthread_attr_destroy(&attributes);
  if (error != 0) fail(ErrorCode::kExhausted, "no thread can be started to compile a grammar");
  std::ignore = held.release();  // the thread's
}

}  // namespace

struct GrammarCompiler::Impl {
  Tokenizer tokenizer;
  int32_t vocab_size;
  std::mutex mutex;  // guards the three below
  std::optional<xgrammar::TokenizerInfo> tokens, json_tokens;
  std::list<std::pair<GrammarOptions, std::shared_ptr<const CompiledGrammar>>>
      cache;  // newest first
  std::shared_ptr<std::atomic<int>> abandoned = std::make_shared<std::atomic<int>>(0);

  std::shared_ptr<const CompiledGrammar> find(const GrammarOptions& grammar) {
    const auto found = std::ranges::find_if(cache, [&](const auto& entry) {
      return entry.first.kind == grammar.kind && entry.first.text == grammar.text;
    });
    if (found == cache.end()) return nullptr;
    cache.splice(cache.begin(), cache, found);
    return found->second;
  }

  std::shared_ptr<Job> make_job(const GrammarOptions& grammar) {
    const bool of_json = grammar.kind == GrammarKind::kJsonSchema ||
                         grammar.kind == GrammarKind::kJsonObject ||
                         grammar.kind == GrammarKind::kStructuralTag;
    auto& known = of_json ? json_tokens : tokens;
    if (!known.has_value()) known = make_tokenizer_info(tokenizer, vocab_size, of_json);
    return std::shared_ptr<Job>(new Job{.tokens = *known,
                                        .grammar = grammar,
                                        .mutex = {},
                                        .changed = {},
                                        .result = {},
                                        .error = {},
                                        .on_end = {}});
  }
};

bool GrammarCompiler::is_built_in() { return true; }

GrammarCompiler::GrammarCompiler(Tokenizer tokenizer, int32_t vocab_size)
    : impl_(new Impl{.tokenizer = std::move(tokenizer),
                     .vocab_size = vocab_size,
                     .mutex = {},
                     .tokens = {},
                     .json_tokens = {},
                     .cache = {}}) {}
GrammarCompiler::~GrammarCompiler() = default;

std::shared_ptr<const CompiledGrammar> GrammarCompiler::compile(const GrammarOptions& grammar) {
  const GrammarOptions checked{grammar.kind, check_text(grammar)};
  std::shared_ptr<Job> job;
  {
    const std::lock_guard lock(impl_->mutex);
    if (auto found = impl_->find(grammar)) return found;
    if (*impl_->abandoned >= kMostAbandoned) {
      fail(ErrorCode::kExhausted,
           "grammars that take too long are still being compiled, try later");
    }
    job = impl_->make_job(checked);
  }
  start_thread(job);
  std::unique_lock lock(job->mutex);
  if (!job->changed.wait_for(lock, kCompileTime, [&] { return job->done; })) {
    ++*impl_->abandoned;
    job->on_end = [abandoned = impl_->abandoned] { --*abandoned; };
    fail(ErrorCode::kExhausted,
         "the {} takes more than {} seconds to compile and try out, simplify it",
         kind_name(grammar.kind), kCompileTime.count());
  }
  if (job->result == nullptr) {
    fail(ErrorCode::kInvalidArgument, "the {} cannot be used: {}", kind_name(grammar.kind),
         printable(job->error.substr(0, 300)));
  }
  const std::lock_guard cache_lock(impl_->mutex);
  impl_->cache.emplace_front(grammar, job->result);
  if (impl_->cache.size() > kCached) impl_->cache.pop_back();
  return job->result;
}

struct GrammarMatcher::Impl {
  std::shared_ptr<const CompiledGrammar> grammar;
  xgrammar::GrammarMatcher matcher;
  std::vector<uint32_t> bits;
  Clock::duration accepting{};  // what the last accept() took
};

GrammarMatcher::GrammarMatcher(std::shared_ptr<const CompiledGrammar> grammar) {
  const int vocab_size = grammar->get().GetTokenizerInfo().GetVocabSize();
  xgrammar::GrammarMatcher matcher(grammar->get());
  impl_.reset(new Impl{std::move(grammar), std::move(matcher),
                       std::vector<uint32_t>(static_cast<size_t>((vocab_size + 31) / 32))});
}
GrammarMatcher::GrammarMatcher(GrammarMatcher&& other) noexcept = default;
GrammarMatcher& GrammarMatcher::operator=(GrammarMatcher&& other) noexcept = default;
GrammarMatcher::~GrammarMatcher() = default;

std::span<const uint32_t> GrammarMatcher::mask() {
  const Clock::time_point start = Clock::now();
  fill_mask(impl_->matcher, impl_->bits);
  if (Clock::now() - start + impl_->accepting > kStepTime) {
    fail(ErrorCode::kExhausted,
         "`grammar` is too ambiguous: a token took more than {} ms to match, simplify it",
         kStepTime.count());
  }
  return impl_->bits;
}

bool GrammarMatcher::accept(int32_t token) {
  const Clock::time_point start = Clock::now();
  const bool accepted = impl_->matcher.AcceptToken(token);
  impl_->accepting = Clock::now() - start;
  return accepted;
}

void GrammarMatcher::rollback(int32_t n_tokens) { impl_->matcher.Rollback(n_tokens); }
bool GrammarMatcher::may_end() const { return impl_->matcher.IsCompleted(); }

}  // namespace tidal

#else  // without xgrammar

namespace tidal {

class CompiledGrammar {};
struct GrammarCompiler::Impl {};
struct GrammarMatcher::Impl {};

bool GrammarCompiler::is_built_in() { return false; }
GrammarCompiler::GrammarCompiler(Tokenizer, int32_t) {}
GrammarCompiler::~GrammarCompiler() = default;
std::shared_ptr<const CompiledGrammar> GrammarCompiler::compile(const GrammarOptions&) {
  fail(ErrorCode::kUnsupported,
       "grammars: tidal was built without xgrammar; run scripts/get-xgrammar and build again");
}

GrammarMatcher::GrammarMatcher(std::shared_ptr<const CompiledGrammar>) {}
GrammarMatcher::GrammarMatcher(GrammarMatcher&& other) noexcept = default;
GrammarMatcher& GrammarMatcher::operator=(GrammarMatcher&& other) noexcept = default;
GrammarMatcher::~GrammarMatcher() = default;
std::span<const uint32_t> GrammarMatcher::mask() { return {}; }
bool GrammarMatcher::accept(int32_t) { return true; }
void GrammarMatcher::rollback(int32_t) {}
bool GrammarMatcher::may_end() const { return true; }

}  // namespace tidal
#endif
