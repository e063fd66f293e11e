#include "server/logprobs.h"

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace tidal::server {
namespace {

// JSON has no infinity.
double finite(float logprob) { return std::isfinite(logprob) ? double{logprob} : -9999.0; }

Json bytes_of(const std::string& piece) {
  Json bytes = Json::array();
  for (const char byte : piece) bytes.push_back(static_cast<unsigned char>(byte));
  return bytes;
}

struct Shape {
  bool with_id = false;
  bool as_probabilities = false;
};

Json entry(const ReplyInfo& info, const TokenLogprob& token, Shape shape) {
  const std::string piece = info.piece(token.token);
  Json json = Json::object();
  if (shape.with_id) json["id"] = token.token;
  json["token"] = piece;
  if (shape.as_probabilities) {
    json["prob"] = std::exp(double{token.logprob});
  } else {
    json["logprob"] = finite(token.logprob);
  }
  json["bytes"] = bytes_of(piece);
  return json;
}

Json entries(const ReplyInfo& info, std::span<const TokenLogprobs> logprobs, Shape shape) {
  Json list = Json::array();
  for (const TokenLogprobs& token : logprobs) {
    Json json = entry(info, token.drawn, shape);
    Json& top = json[shape.as_probabilities ? "top_probs" : "top_logprobs"] = Json::array();
    for (const TokenLogprob& other : token.top) top.push_back(entry(info, other, shape));
    list.push_back(std::move(json));
  }
  return list;
}

int64_t characters(const std::string& text) {
  return std::ranges::count_if(text, [](char byte) { return (byte & 0xC0) != 0x80; });
}

}  // namespace

Json chat_logprobs(const ReplyInfo& info, std::span<const TokenLogprobs> logprobs,
                   bool as_probabilities) {
  const Shape shape{.with_id = false, .as_probabilities = as_probabilities};
  return {{"content", entries(info, logprobs, shape)}, {"refusal", nullptr}};
}

Json llama_logprobs(const ReplyInfo& info, std::span<const TokenLogprobs> logprobs,
                    bool as_probabilities) {
  return entries(info, logprobs, {.with_id = true, .as_probabilities = as_probabilities});
}

Json completion_logprobs(const ReplyInfo& info, std::span<const TokenLogprobs> logprobs,
                         int64_t* offset) {
  Json json = {{"tokens", Json::array()},
               {"token_logprobs", Json::array()},
               {"top_logprobs", Json::array()},
               {"text_offset", Json::array()}};
  for (const TokenLogprobs& token : logprobs) {
    const std::string piece = info.piece(token.drawn.token);
    Json top = Json::object();
    for (const TokenLogprob& other : token.top) {
      // Several tokens may have one text; the likeliest comes first.
      const std::string text = info.piece(other.token);
      if (!top.contains(text)) top[text] = finite(other.logprob);
    }
    if (!top.contains(piece)) top[piece] = finite(token.drawn.logprob);
    json["tokens"].push_back(piece);
    json["token_logprobs"].push_back(finite(token.drawn.logprob));
    json["top_logprobs"].push_back(std::move(top));
    json["text_offset"].push_back(*offset);
    *offset += characters(piece);
  }
  return json;
}

void prepend_first_token(const ReplyInfo& info, int32_t token, Json* logprobs, int64_t* offset) {
  const std::string piece = info.piece(token);
  const int64_t length = characters(piece);
  *offset += length;
  const auto put = [logprobs](const char* list, Json value) {
    Json& values = (*logprobs)[list];
    values.insert(values.begin(), std::move(value));
  };
  for (Json& of_token : (*logprobs)["text_offset"]) {
    of_token = of_token.get<int64_t>() + length;
  }
  put("tokens", piece);
  put("token_logprobs", nullptr);
  put("top_logprobs", nullptr);
  put("text_offset", 0);
}

}  // namespace tidal::server
