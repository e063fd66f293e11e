// What a template holds but never reaches costs it nothing: a construct that is not supported is
// refused where it is reached, and memory counts while it lives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "jinja/jinja.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

using ::testing::HasSubstr;

std::string render(const std::string& source, const JinjaOptions& options = {}) {
  return JinjaTemplate::parse(source).render({{"x", std::string(4500, 'w')}, {"xs", {1, 2}}},
                                             options);
}

ErrorCode error_of(const std::string& source, std::string_view part,
                   const JinjaOptions& options = {}) {
  try {
    render(source, options);
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(part));
    return error.code();
  }
  ADD_FAILURE() << "no error: " << source;
  return ErrorCode::kIo;
}

TEST(JinjaConstructs, AreRefusedWhereTheyAreReached) {
  for (const std::string construct :
       {"{% include 'a' %}", "{% import 'a' as b %}", "{% from 'a' import b %}",
        "{% extends 'a' %}", "{% print 1 %}", "{% block b %}x{% endblock b %}",
        "{% autoescape true %}x{% endautoescape %}", "{{ xs[1, 2] }}", "{{ 99999999999999999999 }}",
        "{{ x | wordwrap }}", "{{ x is frob }}", "{{ cycler(1) }}",
        "{% for a in xs recursive %}{{ a }}{% endfor %}"}) {
    EXPECT_EQ(render("{% if false %}" + construct + "{% endif %}ok"), "ok") << construct;
    EXPECT_EQ(error_of("\n" + construct, "line 2"), ErrorCode::kUnsupported) << construct;
  }
}

TEST(JinjaConstructs, MemoryCountsWhileItLives) {
  // 400 copies of a growing text: 360 MB in all, 1.8 MB at a time.
  EXPECT_EQ(render("{% set n = namespace(s='') %}{% for i in range(400) %}{% set n.s = n.s ~ x %}"
                   "{% endfor %}{{ n.s | length }}"),
            "1800000");
  JinjaOptions options;
  options.limits.max_memory = 1 << 20;
  const std::string loop = "{% for i in range(500) %}";
  for (const std::string body :
       {"{% set s = x ~ 'a' %}", "{% set s = [x, x] | join %}", "{% set s = x | upper %}",
        "{% set s %}{{ x }}{% endset %}", "{% set s = x.replace('w', 'v') %}",
        "{% set n = namespace(s=x ~ 'a') %}", "{% set s = xs * 100 %}",
        "{% macro m() %}{{ x }}{% endmacro %}{% set n.s = m() %}"}) {
    const bool has_macro = body.find("macro") != std::string::npos;
    EXPECT_EQ(render("{% set n = namespace() %}" +
                         (has_macro ? body + "{% for i in range(500) %}{% set n.s = m() %}"
                                    : loop + body) +
                         "{% endfor %}ok",
                     options),
              "ok")
        << body;
  }
  // What stays alive still counts.
  EXPECT_EQ(
      error_of("{% set n = namespace(s=[]) %}" + loop + "{% set n.s = n.s + [x ~ i] %}{% endfor %}",
               "1048576", options),
      ErrorCode::kExhausted);
  EXPECT_EQ(
      error_of("{% set n = namespace(s='a') %}" + loop + "{% set n.s = n.s ~ n.s %}{% endfor %}",
               "1048576", options),
      ErrorCode::kExhausted);
  EXPECT_EQ(error_of("{{ x * 1000 }}", "1048576", options), ErrorCode::kExhausted);
  EXPECT_EQ(error_of(loop + "{{ x }}{% endfor %}", "1048576", options), ErrorCode::kExhausted);
}

}  // namespace
}  // namespace tidal::test
