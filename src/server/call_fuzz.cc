// Hostile requests: reading one ends in a call or in an ApiError that is the client's fault, and
// what was read can be shown again. The input is a body after a byte that chooses the API.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/json.h"
#include "server/call.h"
#include "server/convert.h"
#include "server/format.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tidal::server;
  if (size == 0) return 0;
  const auto dialect = static_cast<Dialect>(data[0] % 5);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const Json body = parse_body(text);
    const GenerateCall call = read_call(dialect, body, {});
    require(call.n >= 1 && call.n <= 16 && call.logprobs >= -1 && call.logprobs <= 100);
    require(call.options.max_tokens == -1 || call.options.max_tokens >= 1);
    require(!tidal::dump(settings_json(call)).empty());
    Json chat;
    if (dialect == Dialect::kResponses) chat = chat_from_responses(body);
    if (dialect == Dialect::kMessages) chat = chat_from_messages(body);
    require(chat.is_null() || chat["messages"].is_array());
  } catch (const ApiError& error) {
    require(error.status == 400 || error.status == 501);
    require(!tidal::dump(error_json(error)).empty());
  }
  return 0;
}
