// The OpenAPI document of the endpoints, made from their table and those of the fields.
#pragma once

#include "server/errors.h"

namespace tidal::server {

Json openapi_document();
Json request_schemas();  // of the bodies, by the names that Endpoint has

}  // namespace tidal::server
