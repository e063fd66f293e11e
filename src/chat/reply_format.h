// The formats in which models call tools: a row each, which says by what a template's source gives
// it away, what begins a call in the answer, and who reads it from there.
//
// A new format is a row of reply_formats.cc, and a CallParser if none of those there will do.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tidal/chat.h"

namespace tidal {

// What a section that began like calls turned out to be.
struct CallOutcome {
  bool done = false;            // false: needs more text
  size_t length = 0;            // bytes of the section
  std::vector<ToolCall> calls;  // none: it is text. An id may be empty.
};

// Reads one section. Linear in its length: what was looked at is not looked at again.
class CallParser {
 public:
  virtual ~CallParser() = default;
  // section: from the first byte of the opening tag on, growing from call to call. at_end: all
  // there is; the outcome is done.
  virtual CallOutcome feed(std::string_view section, bool at_end) = 0;
};

struct ReplyFormat;
using MakeCallParser = std::unique_ptr<CallParser> (*)(const ReplyFormat& format,
                                                       const nlohmann::ordered_json& tools);

struct ReplyFormat {
  std::string_view name;
  std::vector<std::string_view> marks = {};  // in the source of its templates, all of them
  std::string_view open = {};                // begins a section; empty: there is no tag
  std::string_view close = {};               // ends it; empty: the end of its JSON does
  MakeCallParser make_parser = nullptr;
  bool bare_json = false;                      // an answer that is JSON of a known tool is a call
  std::vector<std::string_view> dropped = {};  // tags that are no part of the content
  std::string_view call_begin = {};            // around the arguments of one call, NAME its name
  std::string_view call_end = {};
  int id_length = 32;                       // of the ids we give
  std::vector<std::string_view> ends = {};  // what ends an answer, if no token of the model does
};

std::span<const ReplyFormat> reply_formats();

// By the source of a template that knows tools.
const ReplyFormat& find_reply_format(std::string_view template_source);
const ReplyFormat& reply_format(std::string_view name);

// Reads a whole answer as it comes; adds to the delta what has become certain.
class ReplyParser {
 public:
  virtual ~ReplyParser() = default;
  void push(std::string_view text, ChatDelta& delta);
  virtual void finish(ChatDelta& delta) = 0;
  virtual bool done() const { return false; }

  const std::string& warning() const { return warning_; }

 protected:
  // Reads what it can of pending_. at_end: no more comes.
  virtual void run(bool at_end, ChatDelta& delta) = 0;

  std::string pending_;  // not yet certain
  std::string warning_;
};

}  // namespace tidal
