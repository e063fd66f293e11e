// The one exception type of tidal.
//
// Thrown while loading, configuring or admitting work; never inside a decode step. The message is
// one line for a person: what failed, where (the file, key or option at fault) and what to do.
// Programmer errors do not throw: they abort through TIDAL_CHECK (base/check.h).
#pragma once

#include <stdexcept>
#include <string>

namespace tidal {

enum class ErrorCode {
  kInvalidArgument,  // an option, request or plan that cannot be carried out
  kNotFound,         // no such file, key, tensor or name
  kIo,               // the operating system refused
  kCorrupt,          // a file breaks its own format
  kUnsupported,      // well-formed, but not something tidal knows
  kExhausted,        // out of cache pages, memory or a bound on work
  kCancelled,
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace tidal
