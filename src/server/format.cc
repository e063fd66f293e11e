#include "server/format.h"

namespace tidal::server {

std::unique_ptr<Format> make_format(const GenerateCall& call, ReplyInfo info) {
  switch (call.dialect) {
    case Dialect::kCompletions:
      return make_completions_format(call, std::move(info));
    case Dialect::kLlama:
      return make_llama_format(call, std::move(info));
    case Dialect::kResponses:
      return make_responses_format(call, std::move(info));
    case Dialect::kMessages:
      return make_messages_format(call, std::move(info));
    case Dialect::kChat:
      break;
  }
  return make_chat_format(call, std::move(info));
}

}  // namespace tidal::server
