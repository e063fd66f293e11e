// What a command writes: JSON and the figures that several commands report.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tidal/engine.h"

namespace tidal::cli {

using Json = nlohmann::ordered_json;

// One line. JSON holds Unicode only: bytes that are none come out as U+FFFD.
std::string dump(const Json& json);

Json rows_json(const RowsReport& rows);
std::string rows_text(const RowsReport& rows);  // "read 12.3 % of the cache rows"

}  // namespace tidal::cli
