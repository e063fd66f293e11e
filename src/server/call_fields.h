// The fields of a request beyond the options of runtime/option_table.h: one row each.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "server/call.h"

namespace tidal::server {

// In Options: every request without a seed gets another one.
inline constexpr uint64_t kAnySeed = UINT64_MAX;

struct CallField {
  std::string_view name;
  std::string_view schema;  // of its value, for /openapi.json
  void (*read)(GenerateCall& call, const Json& value);
};

std::span<const CallField> call_fields();
const CallField* find_field(std::string_view name);  // nullptr: there is none

// Fields of some API that change nothing here.
bool is_ignored_field(std::string_view name);

}  // namespace tidal::server
