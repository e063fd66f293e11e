// tidal tokenize: text on stdin to ids, or ids back to text.

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/fail.h"
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
std::vector<int32_t> parse_ids(std::string text) {
  for (char& c : text) {
    if (c == '[' || c == ']' || c == ',') c = ' ';
  }
  std::vector<int32_t> ids;
  const char* next = text.c_str();
  for (;;) {
    while (std::isspace(static_cast<unsigned char>(*next))) ++next;
    if (*next == '\0') return ids;
    char* end = nullptr;
    const long long id = std::strtoll(next, &end, 10);
    if (end == next || id < 0 || id > INT32_MAX) {
      const std::string_view word(next, std::min<size_t>(std::strcspn(next, " \t\r\n"), 20));
      fail(ErrorCode::kInvalidArgument, "'{}' is not a token id, give numbers as tokenize prints",
           word);
    }
    ids.push_back(static_cast<int32_t>(id));
    next = end;
  }
}

int tokenize(const Flags& flags) {
  const Tokenizer tokenizer = load_tokenizer(*Model::load(model_path(flags.model)));
  const std::string input = read_text("-");
  if (flags.decode) {
    const std::vector<int32_t> ids = parse_ids(input);
    const std::string text = tokenizer.decode(ids, /*keep_special=*/true);
    if (flags.json) {
      fmt::print("{}\n", dump(Json{{"text", text}}));
    } else {
      std::fwrite(text.data(), 1, text.size(), stdout);
    }
    return kExitDone;
  }
  const std::vector<TokenId> ids = tokenizer.encode(input, !flags.no_bos, flags.parse_special);
  if (flags.json) {
    fmt::print("{}\n", dump(Json{{"tokens", ids}, {"count", ids.size()}}));
  } else {
    fmt::print("{}\n", fmt::join(ids, " "));
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
