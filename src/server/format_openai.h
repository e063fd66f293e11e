// What the replies of chat and of completions have in common.
#pragma once

#include <string>

#include "server/format.h"

namespace tidal::server {

inline constexpr std::string_view kFingerprint = "b-tidal-";  // and the version

class OpenAiFormat : public Format {
 public:
  using Format::Format;
  std::string progress(const Answer& answer) override;
  std::string end(std::span<const Answer> answers) override;

 protected:
  virtual const char* object(bool is_chunk) const = 0;
  virtual std::string id() const = 0;
  virtual Json progress_choice(const Answer& answer) = 0;  // as a part of `choices`

  Json head(bool is_chunk) const;                       // all but choices
  Json chunk(const Answer& answer, Json choice) const;  // with one, and what was asked for
  void add_verbose(Json& reply, const Answer& answer) const;
  // Behind the choices: usage, timings, and what the method did.
  void add_numbers(Json& reply, std::span<const Answer> answers, bool with_usage) const;
};

}  // namespace tidal::server
