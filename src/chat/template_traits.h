// TemplateTraits: what a chat template can show, found by rendering small conversations with it.
//
// Templates differ in what shape they want things: arguments of calls as an object or as text, no
// content as "" or as none, a system message or none. A conversation is brought into the shape that
// its template shows in full.
#pragma once

#include "text/chat_template.h"

namespace tidal {

struct TemplateTraits {
  bool parts_only = false;        // content must be an array of parts
  bool system_role = true;        // shows a system message
  bool tools = false;             // describes tools
  bool tool_calls = false;        // shows the calls of an earlier turn
  bool object_arguments = true;   // of calls; false: JSON as text
  bool none_with_calls = false;   // a message with calls must have no content
  bool short_call_ids = false;    // nine letters or digits, or it refuses
  bool follows_thinking = false;  // enable_thinking changes what it renders
};

TemplateTraits find_traits(const ChatTemplate& chat_template);

}  // namespace tidal
