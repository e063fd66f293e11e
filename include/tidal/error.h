// The one exception type of tidal.
//
// Thrown while loading, configuring or admitting work; never inside a decode step. The message is
// one line for a person: what failed, where (the file, key or option at fault) and what to do.
// Programmer errors do not throw: they abort through TIDAL_CHECK (base/check.h).
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "tidal/export.h"

namespace tidal {

enum class ErrorCode {
  kInvalidArgument,  // an option, request or plan that cannot be carried out
  kNotFound,         // no such file, key, tensor or name
  kIo,               // the operating system refused
  kCorrupt,          // a file breaks its own format
  kUnsupported,      // well-formed, but not something tidal knows
  kExhausted,        // out of cache pages, memory or a bound on work
};

class TIDAL_EXPORT Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message, std::string option = {})
      : std::runtime_error(message), code_(code), option_(std::move(option)) {}
  ErrorCode code() const { return code_; }
  // The option at fault, named as in tidal/options.h, or empty.
  const std::string& option() const { return option_; }

 private:
  ErrorCode code_;
  std::string option_;
};

}  // namespace tidal
