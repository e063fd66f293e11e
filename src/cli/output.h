// What a command writes: JSON and the figures that several commands report.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/json.h"
#include "tidal/engine.h"

namespace tidal::cli {

using Json = nlohmann::ordered_json;

Json rows_json(const RowsReport& rows);
std::string rows_text(const RowsReport& rows);  // "read 12.3 % of the cache rows"

}  // namespace tidal::cli
