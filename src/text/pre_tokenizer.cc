#include "text/pre_tokenizer.h"

#include <algorithm>

#include "base/fail.h"
#include "base/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace tidal {
namespace {

constexpr size_t kJitStackStart = 32 << 10;
constexpr size_t kJitStackMax = 16 << 20;
constexpr uint32_t kHeapLimitKib = 512 << 10;
// One match may take this many steps, plus as many for each byte of a long piece: far more than an
// honest pattern needs, far fewer than a runaway one would take.
constexpr uint64_t kMatchSteps = 10'000'000;
constexpr uint64_t kMatchStepsPerByte = 64;

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Code = std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Deleter<pcre2_jit_stack_free>>;

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

template <typename T>
T not_null(T object) {
  if (object == nullptr) fail(ErrorCode::kExhausted, "out of memory for a pre-tokenizer pattern");
  return object;
}

// What matching writes to: one per call of split, so that patterns can be shared.
class Scratch {
 public:
  explicit Scratch(size_t text_size)
      : data_(not_null(MatchData(pcre2_match_data_create(1, nullptr)))),
        context_(not_null(MatchContext(pcre2_match_context_create(nullptr)))),
        stack_(not_null(JitStack(pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr)))) {
    const uint64_t steps = kMatchSteps + kMatchStepsPerByte * text_size;
    pcre2_set_match_limit(context_.get(),
                          static_cast<uint32_t>(std::min<uint64_t>(steps, UINT32_MAX)));
    pcre2_set_heap_limit(context_.get(), kHeapLimitKib);
    pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
  }

  pcre2_match_data* data() { return data_.get(); }
  pcre2_match_context* context() { return context_.get(); }

 private:
  MatchData data_;
  MatchContext context_;
  JitStack stack_;
};

}  // namespace

class PreTokenizer::Regex {
 public:
  Regex(SplitPattern pattern, const std::string& source)
      : pattern_(std::move(pattern)), source_(source) {
    const std::string translated = translate_pattern(pattern_.regex, source);
    CompileContext context = not_null(CompileContext(pcre2_compile_context_create(nullptr)));
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    int error = 0;
    PCRE2_SIZE offset = 0;
    // Multi-line, as ^ and $ always are in Ruby.
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                              &error, &offset, context.get()));
    if (code_ == nullptr) {
      fail(ErrorCode::kUnsupported, "{}: the pre-tokenizer pattern does not compile ({}): {}",
           source_, error_text(error), pattern_.regex);
    }
    has_machine_code_ = pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE) == 0;
  }

  bool has_machine_code() const { return has_machine_code_; }

  void split(std::string_view text, Scratch* scratch, std::vector<std::string_view>* pieces) const {
    size_t done = 0;
    size_t from = 0;
    const auto emit = [&](size_t begin, size_t end) {
      if (end > begin) pieces->push_back(text.substr(begin, end - begin));
    };
    while (from < text.size() && match(text, from, scratch)) {
      const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(scratch->data());
      const size_t begin = bounds[0];
      const size_t end = bounds[1];
      if (!pattern_.drop_gaps) emit(done, begin);
      emit(begin, end);
      done = end;
      from = end;
      if (begin == end && end < text.size()) from += read_utf8(text, end).length;
      if (end == text.size()) break;
    }
    if (!pattern_.drop_gaps) emit(done, text.size());
  }

 private:
  bool match(std::string_view text, size_t from, Scratch* scratch) const {
    const auto run = [&](uint32_t options) {
      // The text is known to be UTF-8; rechecking it at every match would take quadratic time.
      return pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                         PCRE2_NO_UTF_CHECK | options, scratch->data(), scratch->context());
    };
    int result = run(0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = run(PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) return false;
    if (result < 0) {
      fail(ErrorCode::kExhausted,
           "{}: the pre-tokenizer pattern gave up on the text, {} bytes into a piece of {} ({}): "
           "{}",
           source_, from, text.size(), error_text(result), pattern_.regex);
    }
    return true;  // 0 only means that groups beyond the whole match were not requested
  }

  SplitPattern pattern_;
  std::string source_;
  Code code_;
  bool has_machine_code_ = false;
};

PreTokenizer::PreTokenizer(std::vector<SplitPattern> patterns, const std::string& source) {
  for (SplitPattern& pattern : patterns) {
    regexes_.push_back(std::make_shared<const Regex>(std::move(pattern), source));
  }
}

void PreTokenizer::split(std::string_view text, std::vector<std::string_view>* pieces) const {
  Scratch scratch(text.size());
  std::vector<std::string_view> current;
  std::vector<std::string_view> next;
  for (size_t at = 0; at < text.size();) {
    const size_t valid = valid_utf8_length(text, at);
    current.clear();
    if (valid > 0) current.push_back(text.substr(at, valid));
    at += valid;
    for (const auto& regex : regexes_) {
      next.clear();
      for (const std::string_view piece : current) regex->split(piece, &scratch, &next);
      std::swap(current, next);
    }
    pieces->insert(pieces->end(), current.begin(), current.end());
    const size_t bad_begin = at;
    while (at < text.size()) {
      const Utf8Step step = read_utf8(text, at);
      if (step.kind == Utf8Step::Kind::kCharacter) break;
      at += step.length;
    }
    if (at > bad_begin) pieces->push_back(text.substr(bad_begin, at - bad_begin));
  }
}

bool PreTokenizer::all_compiled_to_machine_code() const {
  return std::all_of(regexes_.begin(), regexes_.end(),
                     [](const auto& regex) { return regex->has_machine_code(); });
}

}  // namespace tidal
