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

Json entry(const ReplyInfo& info, const TokenLogprob& token, bool with_id) {
  const std::string piece = info.piece(token.token);
  Json json = Json::object();
  if (with_id) json["id"] = token.token;
  json["token"] = piece;
  json["logprob"] = finite(token.logprob);
  json["bytes"] = bytes_of(piece);
  return json;
}

Json entries(const ReplyInfo& info, std::span<const TokenLogprobs> logprobs, bool with_id) {
  Json list = Json::array();
  for (const TokenLogprobs& token : logprobs) {
    Json json = entry(info, token.drawn, with_id);
    json["top_logprobs"] = Json::array();
    for (const TokenLogprob& other : token.top) {
      json["top_logprobs"].push_back(entry(info, other, with_id));
    }
    list.push_back(std::move(json));
  }
  return list;
}

int64_t characters(const std::string& text) {
  return std::ranges::count_if(text, [](char byte) { return (byte & 0xC0) != 0x80; });
}

}  // namespace

Json chat_logprobs(const ReplyInfo& info, std::span<const TokenLogprobs> logprobs) {
  return {{"content", entries(info, logprobs, /*with_id=*/false)}, {"refusal", nullptr}};
}

Json llama_logprobs(const ReplyInfo& info, std::span<const TokenLogprobs> logprobs) {
  return entries(info, logprobs, /*with_id=*/true);
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

void prepend_first_token(const ReplyInfo& info, int32_t token, Json* logprobs) {
  const std::string piece = info.piece(token);
  const auto put = [logprobs](const char* list, Json value) {
    Json& values = (*logprobs)[list];
    values.insert(values.begin(), std::move(value));
  };
  for (Json& offset : (*logprobs)["text_offset"]) {
    offset = offset.get<int64_t>() + characters(piece);
  }
  put("tokens", piece);
  put("token_logprobs", nullptr);
  put("top_logprobs", nullptr);
  put("text_offset", 0);
}

}  // namespace tidal::server
