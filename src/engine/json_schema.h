// What xgrammar would leave out of a JSON schema without saying so.
//
// It reads one keyword that decides alone ("anyOf" ...) and nothing beside it, some keywords not at
// all, and others only in some company. An answer could then break the schema it was to keep to, so
// every such schema is refused. "oneOf" is the exception: it holds as "anyOf" where its parts may
// overlap. Keywords that are wrong in themselves are left to xgrammar, which refuses them.
#pragma once

#include <nlohmann/json.hpp>

namespace tidal {

// Throws Error(kInvalidArgument) that names the keyword and the place in the schema.
void check_json_schema(const nlohmann::json& schema);

}  // namespace tidal
