// The interpreter against jinja2 in tests/data/jinja_cases.json, and what jinja2 cannot check: the
// errors, the limits and the marks of content.
#include "jinja/jinja.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <string>
#include <string_view>

#include "jinja/run.h"
#include "testing/paths.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

using testing::HasSubstr;
using Json = nlohmann::ordered_json;

std::string render(std::string_view source, const Json& context = Json::object(),
                   const JinjaOptions& options = {}) {
  return JinjaTemplate::parse(source).render(context, options);
}

void expect_error(ErrorCode code, std::string_view part, std::string_view source,
                  const JinjaOptions& options = {}) {
  SCOPED_TRACE(source.substr(0, 200));
  try {
    render(source, {{"x", "text"}, {"xs", {1, 2, 3}}}, options);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

TEST(Jinja, RendersAsJinja2Does) {
  std::ifstream file(data_path("jinja_cases.json"));
  const Json data = Json::parse(file);
  for (const auto& [group, cases] : data["groups"].items()) {
    for (const auto& test_case : cases) {
      const std::string source = test_case["template"];
      SCOPED_TRACE(testing::Message() << group << ": " << source);
      if (test_case.contains("error")) {
        EXPECT_THROW(render(source, data["context"]), Error) << test_case["error"];
        continue;
      }
      try {
        EXPECT_EQ(render(source, data["context"]), test_case["expected"].get<std::string>());
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
      }
    }
  }
}

// What scripts/test-clients --templates gives: cases as above, each with its own context.
TEST(Jinja, RendersGivenCases) {
  const char* path = std::getenv("TIDAL_JINJA_CASES");
  if (path == nullptr) GTEST_SKIP() << "no TIDAL_JINJA_CASES";
  JinjaOptions options;
  options.now = std::tm{};
  std::istringstream("2024-07-26 15:04:05") >> std::get_time(&*options.now, "%Y-%m-%d %H:%M:%S");
  std::mktime(&*options.now);
  std::ifstream file(path);
  for (const Json& given : Json::parse(file)) {
    std::string ours;
    bool failed = false;
    try {
      ours = render(given["template"].get<std::string>(), given["context"], options);
    } catch (const Error& error) {
      failed = true;
      ours = error.what();
    }
    const bool same = given.contains("error") ? failed : !failed && given["expected"] == ours;
    if (!same) ADD_FAILURE() << "\ndiffers: " << given["name"].get<std::string>() << "\n" << ours;
  }
}

TEST(Jinja, QuotesWhatItDoesNotKnow) {
  const auto code = ErrorCode::kUnsupported;
  expect_error(code, "line 2: the tag {% import %} is not supported, in `{% import 'a' as b %}`",
               "a\n  {% import 'a' as b %}\n");
  expect_error(code, "{% block %}", "{% block a %}{% endblock %}");
  expect_error(code, "{% frobnicate %}", "{% frobnicate %}");
  expect_error(code, "line 3: the filter 'wordwrap' is not supported, in `{{ x | wordwrap }}`",
               "a\nb\n{{ x | wordwrap }}");
  expect_error(code, "the test 'frob'", "{{ x is frob }}");
  expect_error(code, "the method 'casefold' of a string", "{{ x.casefold() }}");
  expect_error(code, "the function 'cycler'", "{{ cycler(1) }}");
  expect_error(code, "a recursive loop", "{% for a in xs recursive %}{% endfor %}");
  expect_error(code, "the method 'upper' of text behind 'safe'", "{{ (x | safe).upper() }}");
  expect_error(code, "the filter 'trim' behind 'safe'", "{{ x | safe | trim }}");
  expect_error(code, "a slice of text behind 'safe'", "{{ (x | safe)[1:] }}");
  expect_error(code, "'%Q' in a time format", "{{ strftime_now('%Q') }}");
}

// As in templates of Kimi K2: what transformers refuses and llama.cpp does.
TEST(Jinja, ListsOfNamespacesGrowAndShrink) {
  EXPECT_EQ(render("{% set n = namespace(a=[1]) %}{% set b = n.a %}{% set x = n.a.append([2, 3]) %}"
                   "{{ x }}{{ n.a }}{{ n.a.pop(0) }}{{ n.a.pop() }}{{ n.a }}{{ b }}"),
            "None[1, [2, 3]]1[2, 3][][1]");
  const auto code = ErrorCode::kInvalidArgument;
  expect_error(code, "has no item 0", "{% set n = namespace(a=[]) %}{{ n.a.pop(0) }}");
  expect_error(code, "needs its argument", "{% set n = namespace(a=[]) %}{{ n.a.append() }}");
  expect_error(code, "has no method 'append'", "{{ xs.append(1) }}");
  expect_error(ErrorCode::kExhausted, "deep",
               "{% set n = namespace(a=[]) %}{% for i in range(999) %}{% set _ = n.a.append(n.a) %}"
               "{% endfor %}");
}

TEST(Jinja, FormatsOnlyPlainFields) {
  const auto code = ErrorCode::kUnsupported;
  expect_error(code, "the field '{:>10}'", "{{ '{:>10}'.format(x) }}");
  expect_error(code, "the field '{0.real}'", "{{ '{0.real}'.format(1) }}");
  expect_error(code, "the field '{!r}'", "{{ '{!r}'.format(x) }}");
}

TEST(Jinja, TellsKindsOfErrorsApart) {
  expect_error(ErrorCode::kCorrupt, "line 2", "\n{% if x %}");
  expect_error(ErrorCode::kCorrupt, "expected", "{{ 1 + }}");
  expect_error(ErrorCode::kInvalidArgument, "the template refuses: go away",
               "{{ raise_exception('go ' ~ 'away') }}");
  expect_error(ErrorCode::kInvalidArgument, "'missing' is undefined", "{{ missing.a }}");
}

TEST(Jinja, FormatsTheTimeItIsGiven) {
  JinjaOptions options;
  options.now = std::tm{};
  options.now->tm_year = 124;
  options.now->tm_mon = 6;
  options.now->tm_mday = 26;
  EXPECT_EQ(render("{{ strftime_now('%d %b %Y%z') }}", Json::object(), options), "26 Jul 2024");
}

// Each would run forever, fill the memory or overflow the stack if allowed to.
TEST(Jinja, IsBounded) {
  const auto code = ErrorCode::kExhausted;
  JinjaOptions few_steps;
  few_steps.limits.max_steps = 100;
  expect_error(code, "more than 100 steps", "{% for x in range(200) %}{% endfor %}", few_steps);
  JinjaOptions short_output;
  short_output.limits.max_output = 10;
  expect_error(code, "longer than 10 bytes", "0123456789{{ x }}", short_output);
  const std::string loop = "{% for a in range(99999) %}";
  const std::string end = "{% endfor %}";
  expect_error(code, "", loop + loop + loop + end + end + end);
  expect_error(code, "bytes", loop + loop + "0123456789abcdef" + end + end);
  const std::string doubling = "{% for a in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}";
  expect_error(code, "", "{% set n = namespace(s='ab') %}" + doubling);
  expect_error(code, "", "{% set n = namespace(s=[1]) %}" + doubling);
  expect_error(code, "", "{{ 'x' * 9223372036854775807 }}");
  expect_error(code, "", "{{ 'x' | indent(1000000, true) | replace('', 'y' * 100000) }}");
  expect_error(code, "deep", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  expect_error(code, "deep", "{% set n = namespace(s=1) %}" + loop + "{% set n.s = [n.s] %}" + end);
  expect_error(code, "", "{{ " + std::string(5000, '(') + std::string(5000, ')') + " }}");
  expect_error(code, "", "{{ " + std::string(5000, '[') + std::string(5000, ']') + " }}");
  std::string sum = "{{ 1";
  std::string nots = "{{ ";
  std::string ifs;
  for (int i = 0; i < 5000; ++i) {
    sum += " + 1";
    nots += "not ";
    ifs += "{% if 1 %}";
  }
  expect_error(code, "", sum + " }}");
  expect_error(code, "", nots + "1 }}");
  expect_error(code, "", ifs);
  // A tree with shared nodes: 2^90 leaves if walked.
  expect_error(code, "",
               "{% set n = namespace(s=1) %}{% for a in range(90) %}"
               "{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s == n.s[:] }}");
}

TEST(Jinja, RefusesDeepContext) {
  Json deep = 1;
  for (int i = 0; i < 5000; ++i) {
    Json outer = Json::array();
    outer.push_back(std::move(deep));
    deep = std::move(outer);
  }
  Json context = Json::object();
  context["deep"] = std::move(deep);
  EXPECT_THROW(render("x", context), Error);
}

TEST(Jinja, NestsAsDeepAsTemplatesDo) {
  std::string sum = "{{ 'a'";
  for (int i = 0; i < 200; ++i) sum += " + 'b'";
  EXPECT_EQ(render(sum + " }}").size(), 201U);
  std::string elifs = "{% if false %}";
  for (int i = 0; i < 1000; ++i) elifs += "{% elif false %}";
  EXPECT_EQ(render(elifs + "{% else %}x{% endif %}"), "x");
}

// Renders with x as content and shows which parts of the result are marked.
std::string marked(std::string_view source, std::string x) {
  const JinjaOptions options;
  jinja::Run run("", options);
  const jinja::Value variables = run.dict({{run.text("x", false), run.text(std::move(x), true)}});
  const JinjaText text = JinjaTemplate::parse(source).render_marked(variables.as_dict(), options);
  std::string result;
  size_t at = 0;
  for (const ByteRange& range : text.content()) {
    result += text.str().substr(at, range.begin - at) + "[" +
              text.str().substr(range.begin, range.end - range.begin) + "]";
    at = range.end;
  }
  return result + text.str().substr(at);
}

TEST(Jinja, MarksContent) {
  EXPECT_EQ(marked("<{{ x }}>", "abc"), "<[abc]>");
  EXPECT_EQ(marked("{{ '<' + x ~ '>' + 'y' }}", "abc"), "<[abc]>y");
  EXPECT_EQ(marked("{{ ('<' + x).strip() }}{{ x | trim }}", " a "), "<[ aa]");
  EXPECT_EQ(marked("{{ x.split('|')[-1] + '!' + ('-' + x)[:3] }}", "a|b"), "[b]!-[a|]");
  EXPECT_EQ(marked("{{ ['a', x, 'b'] | join('+') }}", "X"), "a+[X]+b");
  EXPECT_EQ(marked("{{ ('a' + x).replace('q', 'r') }}", "qq"), "arr");
  EXPECT_EQ(marked("{{ 'ab'.replace('b', x) }}", "X"), "a[X]");
  EXPECT_EQ(marked("{{ {'k': x} | tojson }}", "a\"b"), R"({"k": "[a\"b]"})");
  EXPECT_EQ(marked("{{ [x] }}", "a"), "[['a']]");
  EXPECT_EQ(marked("{{ ('a' + x) | upper }}", "b"), "[AB]");
  EXPECT_EQ(marked("{% set y %}<{{ x }}>{% endset %}{{ y }}", "a"), "<[a]>");
  EXPECT_EQ(marked("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(x) | indent(1, true) }}", "a\nb"),
            " <[a]\n [b]>");
  EXPECT_EQ(marked("{% for c in x %}{{ c }}.{% endfor %}", "ab"), "[a].[b].");
  EXPECT_EQ(marked("{{ ('a' ~ x)[::-1] }}{{ x * 2 }}", "bc"), "[cb]a[bcbc]");
  EXPECT_EQ(marked("{{ ('<' | safe) + x + '>' }}", "a<b&"), "<[a&lt;b&amp;]&gt;");
  EXPECT_EQ(marked("{{ '<{}>{{'.format(x) }}{{ x.format('y') }}", "-{}"), "<[-{}]>{[-]y");
}

}  // namespace
}  // namespace tidal::test
