// A small Jinja interpreter for chat templates, with the rules transformers uses to render them
// (sandboxed, immutable values, trim_blocks, lstrip_blocks, loop controls); only a list that a
// namespace holds may be appended to and popped from, as in llama.cpp.
//
// A JinjaTemplate is parsed once, is immutable and may be rendered from any number of threads.
// Templates and contexts are untrusted: work, memory, output and nesting are bounded (kExhausted),
// a template that is not valid Jinja is kCorrupt, one that uses features this interpreter lacks is
// kUnsupported when rendering reaches them (a tag unknown to Jinja: at once), and one that fails as
// it would in Python (or raises) is kInvalidArgument. Each error names the template's line and
// quotes it.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "jinja/text.h"

namespace tidal {

struct JinjaLimits {
  int64_t max_steps = 4'000'000;  // nodes evaluated, items visited, 256-byte blocks read
  int64_t max_memory = int64_t{256}
                       << 20;  // bytes of the values that live at any one time of a render
  int64_t max_output = int64_t{16} << 20;  // bytes of the result
  int max_depth = 300;                     // nested expressions, statements and macro calls
};

struct JinjaOptions {
  JinjaLimits limits;
  std::optional<std::tm> now;  // what strftime_now() formats; none: the local time
};

namespace jinja {
struct Program;
struct Dict;
}  // namespace jinja

class JinjaTemplate {
 public:
  static JinjaTemplate parse(std::string_view source);

  // context: an object; its members are the template's variables.
  std::string render(const nlohmann::ordered_json& context, const JinjaOptions& options = {}) const;

  // The same with variables that are already values, which know what is content: the result keeps
  // it marked.
  JinjaText render_marked(const jinja::Dict& variables, const JinjaOptions& options) const;

 private:
  explicit JinjaTemplate(std::shared_ptr<const jinja::Program> program);
  std::shared_ptr<const jinja::Program> program_;
};

}  // namespace tidal
