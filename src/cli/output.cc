#include "cli/output.h"

#include <signal.h>

#include <cerrno>
#include <cstdio>

#include "base/quote.h"
#include "runtime/option_table.h"

namespace tidal::cli {
namespace {

int first_error = 0;

void failed() {
  if (first_error != 0) return;
  first_error = errno;
  if (first_error != EPIPE) return;
  // Whoever read the results has had enough: end as programs do that leave SIGPIPE alone.
  signal(SIGPIPE, SIG_DFL);
  raise(SIGPIPE);
}

}  // namespace

void put_text(std::string_view text) {
  if (first_error != 0 || text.empty()) return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) < text.size()) failed();
}

void flush_output() {
  if (first_error == 0 && std::fflush(stdout) != 0) failed();
}

int output_error() { return first_error; }

void put_json(const Json& json) { put("{}\n", dump(json)); }

void note_text(std::string_view text) {
  flush_output();
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

void note_line(std::string_view line) { note_text(printable(line) + "\n"); }
void note_error(std::string_view message) { note("error: {}", message); }

std::string message_of(const std::exception& error) { return respell(error.what(), flag_name); }

std::string rows_text(const RowsReport& rows) {
  return fmt::format("read {:.1f} % of the cache rows", 100 * rows.share());
}

}  // namespace tidal::cli
