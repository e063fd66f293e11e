// Hostile chat templates: parsing and rendering yield text or an Error, within their limits. The
// input is the template; anything after a zero byte is the user's message.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/added_tokens.h"
#include "text/chat_template.h"
#include "tidal/error.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_marks(const tidal::JinjaText& text) {
  size_t end = 0;
  for (const tidal::ByteRange& range : text.content()) {
    require(range.begin < range.end && range.end <= text.size());
    require(range.begin > end || end == 0);
    end = range.end;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t zero = input.find('\0');
  const std::string content(zero == std::string_view::npos ? "Hi <s> \n" : input.substr(zero + 1));
  tidal::ChatOptions options;
  options.jinja.limits = {20'000, 1 << 20, 1 << 16, 300};
  options.jinja.now = std::tm{};
  options.jinja.now->tm_mday = 1;
  options.variables = {{"n", 3}, {"f", 0.5}, {"enable_thinking", false}};
  options.tools = {{{"name", "t"}, {"list", {1, nullptr, true}}}};
  const nlohmann::ordered_json messages = {{{"role", "system"}, {"content", "S"}},
                                           {{"role", "user"}, {"content", content}},
                                           {{"role", "assistant"}, {"content", nullptr}},
                                           {{"role", "user"}, {"content", "é\n"}}};
  try {
    const auto chat = tidal::ChatTemplate::create(input.substr(0, zero), "<s>", "</s>");
    const tidal::JinjaText text = chat.render_marked(messages, options);
    require(text.size() <= static_cast<size_t>(options.jinja.limits.max_output));
    check_marks(text);
    tidal::AddedTokens tokens;
    for (const char* control : {"<s>", "</s>", "<|im_end|>"}) tokens.add(control, 0, true);
    size_t end = 0;
    for (const tidal::TextPart& part : tokens.cut(text.str(), text.content(), true)) {
      require(part.begin == end && part.end > end);
      end = part.end;
    }
    require(end == text.size());
  } catch (const tidal::Error&) {
  }
  return 0;
}
