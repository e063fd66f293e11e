// Added tokens are looked for in two passes, as Hugging Face's tokenizers do: in the text as it is,
// and those marked "normalized" behind the normalizer, which runs between the ones found first.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/tokenizer_json.h"
#include "text/tokenizer_test_util.h"

namespace tidal::test {
namespace {

using nlohmann::json;
using Ids = std::vector<TokenId>;

TEST(AddedTokenPasses, MatchTheOracle) {
  const json setups = json::parse(read_text(data_path("text/added_tokens.json")));
  ASSERT_GT(setups.size(), 15u);
  for (const auto& [name, setup] : setups.items()) {
    const Tokenizer tokenizer =
        Tokenizer::create(read_tokenizer_json(setup["tokenizer"].dump(), "", name));
    for (const json& test : setup["cases"]) {
      const auto text = test["text"].get<std::string>();
      EXPECT_EQ(tokenizer.encode(text, false, true), test["parsed"].get<Ids>())
          << name << ": \"" << text << '"';
      if (!test.contains("plain")) continue;
      EXPECT_EQ(tokenizer.encode(text, false, false), test["plain"].get<Ids>())
          << name << ", as text: \"" << text << '"';
    }
  }
}

}  // namespace
}  // namespace tidal::test
