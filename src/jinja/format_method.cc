// str.format, with fields that are counted, numbered or named: {} {0} {name}.
#include <algorithm>
#include <charconv>
#include <string_view>

#include "jinja/calls.h"

namespace tidal::jinja {
namespace {

class Formatter {
 public:
  Formatter(Run& run, const JinjaText& text, const Arguments& args)
      : run_(run), text_(text), args_(args) {}

  JinjaText format() {
    const std::string& s = text_.str();
    run_.read(s.size());
    size_t at = 0;
    while (at < s.size()) {
      const size_t brace = std::min(s.find_first_of("{}", at), s.size());
      add(text_, at, brace);
      if (brace == s.size()) break;
      if (brace + 1 < s.size() && s[brace + 1] == s[brace]) {  // "{{" is a brace
        add(text_, brace, brace + 1);
        at = brace + 2;
        continue;
      }
      const size_t end = s.find('}', brace);
      if (s[brace] == '}' || end == s.npos) run_.error("format: a brace has no other");
      const JinjaText value =
          to_text(run_, field(std::string_view(s).substr(brace + 1, end - brace - 1)));
      add(value, 0, value.size());
      at = end + 1;
    }
    return std::move(result_);
  }

 private:
  void add(const JinjaText& from, size_t begin, size_t end) {
    run_.allocate(end - begin + sizeof(ByteRange));
    result_.append(from, begin, end);
  }

  Value field(std::string_view name) {
    run_.step();
    if (name.find_first_of("!:.[{") != name.npos) run_.unsupported("the field '{{{}}}'", name);
    size_t number = 0;
    const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    const bool is_number = error == std::errc() && stop == name.data() + name.size();
    if (!name.empty() && !is_number) {
      const auto found = std::ranges::find(
          args_.keywords, name, [](const auto& k) -> const std::string& { return k.first; });
      if (found == args_.keywords.end()) run_.error("format: '{}' is not given", name);
      return found->second;
    }
    if (name.empty() ? numbered_ : next_ > 0) run_.error("format: fields are counted or numbered");
    numbered_ = is_number;
    if (name.empty()) number = next_++;
    if (number >= args_.positional.size()) run_.error("format: value {} is not given", number);
    return args_.positional[number];
  }

  Run& run_;
  const JinjaText& text_;
  const Arguments& args_;
  JinjaText result_;
  size_t next_ = 0;        // of the fields that are counted
  bool numbered_ = false;  // a field was
};

}  // namespace

Value format_method(Run& run, const JinjaText& self, const std::string&, const Arguments& args) {
  return run.text(Formatter(run, self, args).format());
}

}  // namespace tidal::jinja
