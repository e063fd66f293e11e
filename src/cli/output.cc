#include "cli/output.h"

#include <fmt/format.h>

namespace tidal::cli {

Json rows_json(const RowsReport& rows) {
  return {{"read", rows.read}, {"total", rows.total}, {"share", rows.share()}};
}

std::string rows_text(const RowsReport& rows) {
  return fmt::format("read {:.1f} % of the cache rows", 100 * rows.share());
}

}  // namespace tidal::cli
