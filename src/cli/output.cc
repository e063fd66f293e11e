#include "cli/output.h"

#include <fmt/format.h>

namespace tidal::cli {

std::string dump(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

Json rows_json(const RowsReport& rows) {
  return {{"read", rows.read}, {"total", rows.total}, {"share", rows.share()}};
}

std::string rows_text(const RowsReport& rows) {
  return fmt::format("read {:.1f} % of the cache rows", 100 * rows.share());
}

}  // namespace tidal::cli
