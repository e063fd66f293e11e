// Text to tokens and back, in the shapes of llama.cpp and vLLM at once.
#include <limits>

#include "base/json.h"
#include "base/utf8.h"
#include "server/endpoints.h"
#include "server/http_text.h"

namespace tidal::server {
namespace {

bool flag(const Json& body, const char* name, bool otherwise) {
  const auto found = body.find(name);
  return found == body.end() || found->is_null() ? otherwise : boolean_of(*found, name);
}

// A token's text, or its bytes where they are no whole characters.
Json piece_json(const std::string& piece) {
  if (valid_utf8_length(piece, 0) == piece.size()) return piece;
  Json bytes = Json::array();
  for (const char byte : piece) bytes.push_back(static_cast<unsigned char>(byte));
  return bytes;
}

}  // namespace

void post_tokenize(Service& service, HttpCall& call) {
  const auto& body = call.body;
  const bool of_vllm = body.contains("prompt");
  const char* field = of_vllm ? "prompt" : "content";
  if (!body.contains(field)) refuse("content", "give 'content', or 'prompt'");
  const bool add_special =
      of_vllm ? flag(body, "add_special_tokens", true) : flag(body, "add_special", false);
  const std::vector<int32_t> tokens = service.engine().encode(
      text_of(body[field], field), add_special, flag(body, "parse_special", true));
  Json reply = {{"tokens", Json::array()}};
  const bool with_pieces = flag(body, "with_pieces", false);
  for (const int32_t token : tokens) {
    reply["tokens"].push_back(with_pieces
                                  ? Json{{"id", token}, {"piece", piece_json(service.piece(token))}}
                                  : Json(token));
  }
  reply["count"] = tokens.size();
  reply["max_model_len"] = service.request_context();
  if (flag(body, "return_token_strs", false)) {
    for (const int32_t token : tokens) reply["token_strs"].push_back(service.piece(token));
  }
  call.responder.send(json_reply(200, dump(reply)));
}

void post_detokenize(Service& service, HttpCall& call) {
  const auto found = call.body.find("tokens");
  if (found == call.body.end() || !found->is_array()) refuse("tokens", "give a list of 'tokens'");
  std::vector<int32_t> tokens;
  tokens.reserve(found->size());
  for (const auto& token : *found) {
    tokens.push_back(
        static_cast<int32_t>(integer_of(token, "tokens", 0, std::numeric_limits<int32_t>::max())));
  }
  const std::string text = service.engine().decode(tokens);
  call.responder.send(json_reply(200, dump({{"content", text}, {"prompt", text}})));
}

void get_tokenizer_info(Service& service, HttpCall& call) {
  const ModelInfo info = service.engine().info();
  const auto piece = [&](int32_t token) { return token < 0 ? Json() : Json(service.piece(token)); };
  const std::string chat_template = service.engine().chat_template();
  call.responder.send(json_reply(200, dump({{"bos_token", piece(info.bos)},
                                            {"eos_token", piece(info.eos)},
                                            {"pad_token", nullptr},
                                            {"vocab_size", info.vocab_size},
                                            {"chat_template", chat_template}})));
}

}  // namespace tidal::server
