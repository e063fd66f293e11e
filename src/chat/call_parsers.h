// The CallParsers that formats share.
#pragma once

#include <memory>

#include "chat/reply_format.h"

namespace tidal {

// One JSON value or several behind the opening tag, then the closing one if there is any.
std::unique_ptr<CallParser> make_json_calls(const ReplyFormat& format,
                                            const nlohmann::ordered_json& tools);
// The same without a tag; only for tools that are known.
std::unique_ptr<CallParser> make_bare_json_calls(const ReplyFormat& format,
                                                 const nlohmann::ordered_json& tools);
// [TOOL_CALLS] and an array, or a name, [ARGS] and the arguments.
std::unique_ptr<CallParser> make_mistral_calls(const ReplyFormat& format,
                                               const nlohmann::ordered_json& tools);

// What stands between the tags is read once the closing one has come.
// <function=NAME><parameter=KEY>VALUE</parameter></function>
std::unique_ptr<CallParser> make_function_calls(const ReplyFormat& format,
                                                const nlohmann::ordered_json& tools);
// NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>
std::unique_ptr<CallParser> make_arg_key_calls(const ReplyFormat& format,
                                               const nlohmann::ordered_json& tools);
// DeepSeek: NAME and the arguments, or a type, NAME and the arguments as a block of code.
std::unique_ptr<CallParser> make_separated_calls(const ReplyFormat& format,
                                                 const nlohmann::ordered_json& tools);
// Kimi: functions.NAME:INDEX and the arguments.
std::unique_ptr<CallParser> make_indexed_calls(const ReplyFormat& format,
                                               const nlohmann::ordered_json& tools);
// Functionary: NAME>{arguments}
std::unique_ptr<CallParser> make_named_calls(const ReplyFormat& format,
                                             const nlohmann::ordered_json& tools);

}  // namespace tidal
