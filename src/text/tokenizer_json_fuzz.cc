// An untrusted tokenizer.json, then text through the tokenizer it describes: errors are fine,
// crashes, undefined behaviour, halved characters and lost text are not.
#include <cstdint>
#include <cstdlib>

#include "base/utf8.h"
#include "text/tokenizer_json.h"
#include "tidal/error.h"

namespace {

void check(bool condition) {
  if (!condition) std::abort();
}

void exercise(const tidal::Tokenizer& tokenizer, std::string_view text) {
  const std::vector<tidal::TokenId> ids = tokenizer.encode(text, true, true);
  tokenizer.decode(ids, true);
  for (const tidal::TokenId id : tokenizer.encode(text, false, false)) {
    check(id >= 0 && id < tokenizer.vocab_size());
  }
  tidal::StreamDecoder stream(tokenizer, true);
  std::string streamed;
  for (const tidal::TokenId id : ids) {
    const std::string part = stream.push(id);
    check(tidal::valid_utf8_length(part, 0) == part.size());
    streamed += part;
  }
  streamed += stream.flush();
  check(tidal::valid_utf8_length(streamed, 0) == streamed.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  // The text follows a NUL, which JSON cannot contain; it also serves as a config file.
  const size_t end = input.find('\0');
  const std::string_view rest = end == input.npos ? "" : input.substr(end + 1);
  for (const std::string_view config : {std::string_view(), rest}) {
    try {
      const tidal::Tokenizer tokenizer = tidal::Tokenizer::create(
          tidal::read_tokenizer_json(input.substr(0, end), config, "tokenizer.json"));
      exercise(tokenizer, "Hello  wo\xC3\xA9rld 123\n\xF0\x9F\x99\x82 <s>\xFF.");
      exercise(tokenizer, rest);
    } catch (const tidal::Error&) {
    }
  }
  return 0;
}
