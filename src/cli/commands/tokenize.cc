// tidal tokenize: text on stdin to ids, or ids back to text.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fail.h"
#include "base/quote.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/output.h"
#include "runtime/model_text.h"

namespace tidal::cli {
namespace {

struct Flags {
  std::string model;
  bool decode = false;
  bool parse_special = false;
  bool no_bos = false;
  bool json = false;
};

// Ids as this command prints them, or a JSON array.
std::vector<int32_t> parse_ids(std::string_view text) {
  constexpr std::string_view kBetween = "[], \t\r\n\v\f";
  std::vector<int32_t> ids;
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(kBetween), text.size()));
    if (text.empty()) return ids;
    const std::string_view word = text.substr(0, text.find_first_of(kBetween));
    int32_t id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id < 0) {
      fail(ErrorCode::kInvalidArgument, "{} is not a token id, give numbers as tokenize prints",
           quote(word, 20));
    }
    ids.push_back(id);
    text.remove_prefix(word.size());
  }
}

int tokenize(const Flags& flags) {
  const Tokenizer tokenizer = load_tokenizer(model_path(flags.model, "tokenizer.json"));
  const std::string input = read_text("-");
  if (flags.decode) {
    const std::vector<int32_t> ids = parse_ids(input);
    for (const int32_t id : ids) {
      if (id < tokenizer.vocab_size()) continue;
      fail(ErrorCode::kInvalidArgument, "token id {} is outside the vocabulary of {} tokens", id,
           tokenizer.vocab_size());
    }
    const std::string text = tokenizer.decode(ids, /*keep_special=*/true);
    if (flags.json) {
      put_json({{"text", text}});
    } else {
      put_text(text);
    }
    return kExitDone;
  }
  const std::vector<TokenId> ids = tokenizer.encode(input, !flags.no_bos, flags.parse_special);
  if (flags.json) {
    put_json({{"tokens", ids}, {"count", ids.size()}});
  } else {
    put("{}\n", fmt::join(ids, " "));
  }
  return kExitDone;
}

}  // namespace

void add_tokenize(CLI::App& app, Work& work) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("tokenize", "Text on stdin to token ids, or back");
  command->footer("Example: echo 'Hello world' | tidal tokenize model.gguf");
  command->add_option("MODEL,-m,--model", flags->model,
                      "GGUF file or Hugging Face folder (default: that of scripts/get-model)");
  command->add_flag("--decode", flags->decode, "Ids on stdin to text");
  command->add_flag("--special", flags->parse_special, "Control tokens in the text become tokens");
  command->add_flag("--no-bos", flags->no_bos, "Leave out what the model wants around a text");
  command->add_flag("--json", flags->json, "One JSON object on stdout");
  command->callback([flags, &work] { work = [flags] { return tokenize(*flags); }; });
}

}  // namespace tidal::cli
