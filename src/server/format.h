// Format: the shape of the replies of one API. Pure: answers in, text out.
//
// A reply is either whole() or a stream of server-sent events, in pieces: what each function gives
// is written as it is, and may be empty. Not thread-safe, one for each request.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "server/answer.h"
#include "server/call.h"
#include "server/errors.h"

namespace tidal::server {

class Format {
 public:
  Format(const GenerateCall& call, ReplyInfo info) : call_(call), info_(std::move(info)) {}
  virtual ~Format() = default;
  Format(const Format&) = delete;
  Format& operator=(const Format&) = delete;

  virtual Json whole(std::span<const Answer> answers) = 0;

  // A part of the prompt was read, or none yet.
  virtual std::string progress(const Answer&) { return {}; }
  virtual std::string piece(const Answer& answer, const Piece& piece) = 0;
  virtual std::string finish(const Answer& answer) = 0;          // of one answer
  virtual std::string end(std::span<const Answer> answers) = 0;  // of all
  virtual Json error(const ApiError& error) { return error_json(error); }
  std::string error_event(const ApiError& failure) { return sse(error(failure), error_name()); }

 protected:
  virtual std::string_view error_name() const { return {}; }

  const GenerateCall& call_;
  ReplyInfo info_;
};

// llama.cpp's generation_settings: the options in force.
Json settings_json(const GenerateCall& call);

// The call must outlive it.
std::unique_ptr<Format> make_format(const GenerateCall& call, ReplyInfo info);

std::unique_ptr<Format> make_chat_format(const GenerateCall& call, ReplyInfo info);
std::unique_ptr<Format> make_completions_format(const GenerateCall& call, ReplyInfo info);
std::unique_ptr<Format> make_llama_format(const GenerateCall& call, ReplyInfo info);
std::unique_ptr<Format> make_responses_format(const GenerateCall& call, ReplyInfo info);
std::unique_ptr<Format> make_messages_format(const GenerateCall& call, ReplyInfo info);

}  // namespace tidal::server
