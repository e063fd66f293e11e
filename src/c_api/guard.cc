#include "c_api/guard.h"

#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "base/fail.h"
#include "tidal/error.h"

namespace tidal {
namespace {

// Of the last call of the thread that failed.
thread_local std::string last_error;
thread_local std::string last_option;

tidal_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return TIDAL_INVALID_ARGUMENT;
    case ErrorCode::kNotFound:
      return TIDAL_NOT_FOUND;
    case ErrorCode::kIo:
      return TIDAL_IO;
    case ErrorCode::kCorrupt:
      return TIDAL_CORRUPT;
    case ErrorCode::kUnsupported:
      return TIDAL_UNSUPPORTED;
    case ErrorCode::kExhausted:
      return TIDAL_EXHAUSTED;
    default:
      return TIDAL_INTERNAL;
  }
}

tidal_status note(tidal_status status, const char* message, const char* option = "") noexcept {
  try {
    last_option = option;
    last_error = message;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

}  // namespace

tidal_status guarded(const std::function<void()>& work) noexcept {
  try {
    work();
    return TIDAL_OK;
  } catch (const Error& error) {
    return note(status_of(error.code()), error.what(), error.option().c_str());
  } catch (const std::bad_alloc&) {
    return note(TIDAL_EXHAUSTED, "not enough memory, lower `context_size`", "context_size");
  } catch (const std::length_error&) {
    return note(TIDAL_EXHAUSTED, "not enough memory, lower `context_size`", "context_size");
  } catch (const std::exception& error) {
    return note(TIDAL_INTERNAL, error.what());
  } catch (...) {
    return note(TIDAL_INTERNAL, "an unknown exception");
  }
}

void need(bool kept, const char* function) {
  if (!kept) fail(ErrorCode::kInvalidArgument, "{}: a pointer that must not be NULL is", function);
}

}  // namespace tidal

const char* tidal_last_error(void) { return tidal::last_error.c_str(); }
const char* tidal_last_error_option(void) { return tidal::last_option.c_str(); }
