#include "eval/needle_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/fail.h"
#include "runtime/model_text.h"

namespace tidal {
namespace {

constexpr int kNeedles = 4;  // of kMulti
constexpr int64_t kAnswerTokens = 16;
constexpr int64_t kSentenceSearch = 64;  // tokens back to the end of a sentence

constexpr auto kSentences = std::to_array<std::string_view>({
    "The morning was cool and the path along the river was empty. ",
    "A boat with a blue sail passed slowly under the old bridge. ",
    "She put the letters back into the drawer and closed it. ",
    "Nobody remembered who had planted the trees beside the mill. ",
    "It rained for most of the week, and the fields turned green again. ",
    "The baker opened his shop before the first bell of the day. ",
    "They talked about the harvest, the weather and the price of wool. ",
    "A cat slept on the warm stones in front of the door. ",
    "The road to the village climbs through a wood of beech and oak. ",
    "In the evening the lamps were lit one after another. ",
    "He mended the fence, and then he went down to the shore. ",
    "The children counted the carts that came in from the market. ",
    "There was a smell of bread and of wet leaves in the street. ",
    "Snow lay on the roofs until the end of the month. ",
    "The old clock in the hall had stopped again during the night. ",
    "Two sailors sat on the wall and looked at the clouds. ",
});
constexpr auto kCities = std::to_array<std::string_view>(
    {"Oslo", "Lima", "Cairo", "Kyoto", "Paris", "Delhi", "Quito", "Dublin"});
constexpr auto kAdjectives = std::to_array<std::string_view>(
    {"amber", "quiet", "early", "golden", "narrow", "silver", "broken", "gentle", "hollow",
     "crimson", "distant", "frozen", "humble", "ancient", "bright", "lonely"});
constexpr auto kNouns = std::to_array<std::string_view>(
    {"river", "garden", "window", "castle", "forest", "ladder", "market", "valley", "harbor",
     "meadow", "bridge", "candle", "island", "orchard", "tower", "wagon"});

// splitmix64: the same numbers on every machine.
uint64_t next_random(uint64_t& state) {
  uint64_t x = state += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

int64_t below(int64_t n, uint64_t& random) {
  return static_cast<int64_t>(next_random(random) % static_cast<uint64_t>(n));
}

std::string five_digits(uint64_t& random) { return std::to_string(10000 + below(90000, random)); }

void append(std::vector<int32_t>& to, std::span<const int32_t> from) {
  to.insert(to.end(), from.begin(), from.end());
}

// What a text hides, and how it is asked for.
struct Hidden {
  std::vector<std::string> expected;
  std::vector<std::string> needles;
  std::string question;
  std::string answer_prefix;
};

Hidden draw_hidden(NeedleKind kind, uint64_t& random) {
  Hidden hidden;
  if (kind == NeedleKind::kPasskey) {
    hidden.expected.push_back(five_digits(random));
    hidden.needles.push_back(
        fmt::format("\n\nThe secret passkey is {0}. Remember it. {0} is the secret passkey.\n\n",
                    hidden.expected.front()));
    hidden.question = "\n\nWhat is the secret passkey mentioned in the text above?";
    hidden.answer_prefix = "The secret passkey is";
    return hidden;
  }
  const int64_t first = below(std::ssize(kCities), random);
  std::vector<std::string_view> cities;
  for (int64_t i = 0; i < kNeedles; ++i) {
    cities.push_back(kCities[static_cast<size_t>((first + i) % std::ssize(kCities))]);
    hidden.expected.push_back(five_digits(random));
    hidden.needles.push_back(fmt::format("\n\nThe secret number of {} is {}. Remember it.\n\n",
                                         cities.back(), hidden.expected.back()));
  }
  hidden.question = fmt::format(
      "\n\nWhat are the secret numbers of {} mentioned in the text above? Name them in this order.",
      fmt::join(cities, ", "));
  hidden.answer_prefix = fmt::format("The secret number of {} is", cities.front());
  return hidden;
}

[[noreturn]] void too_short(int64_t length, size_t needed) {
  fail(ErrorCode::kInvalidArgument,
       "a prompt of {} tokens cannot hold needle and question, which take {}: raise --lengths",
       length, needed);
}

}  // namespace

NeedleKind needle_kind(std::string_view name) {
  if (name == "passkey") return NeedleKind::kPasskey;
  if (name == "pairs") return NeedleKind::kPairs;
  if (name == "multi") return NeedleKind::kMulti;
  fail(ErrorCode::kInvalidArgument, "--kind is '{}'; give passkey, pairs or multi", name);
}

double needle_score(std::string_view answer, const std::vector<std::string>& expected) {
  TIDAL_CHECK(!expected.empty());
  const auto found = std::count_if(expected.begin(), expected.end(), [&](const std::string& one) {
    return answer.find(one) != std::string_view::npos;
  });
  return static_cast<double>(found) / static_cast<double>(expected.size());
}

NeedlePrompts::NeedlePrompts(Tokenizer tokenizer, const std::optional<ChatTemplate>& chat_template,
                             std::vector<std::vector<int32_t>> books)
    : tokenizer_(std::move(tokenizer)), chat_template_(chat_template), books_(std::move(books)) {}

NeedlePrompt NeedlePrompts::make(NeedleKind kind, int64_t length, double depth,
                                 uint64_t seed) const {
  TIDAL_CHECK(depth >= 0 && depth <= 1);
  uint64_t random = seed;
  NeedlePrompt prompt = kind == NeedleKind::kPairs ? make_pairs(length, depth, random)
                                                   : make_hidden(kind, length, depth, random);
  TIDAL_CHECK(std::ssize(prompt.tokens) == length);
  return prompt;
}

NeedlePrompts::Tokens NeedlePrompts::encode(std::string_view text) const {
  return tokenizer_.encode(text, /*add_special=*/false, /*parse_special=*/false);
}

// What surrounds a marker that takes the place of the user's text.
NeedlePrompts::Frame NeedlePrompts::frame(std::string_view answer_prefix) const {
  if (!chat_template_.has_value()) {
    Tokens head;
    if (tokenizer_.adds_bos()) head.push_back(tokenizer_.bos());
    return {head, encode(fmt::format("\n\n{}", answer_prefix))};
  }
  constexpr std::string_view kMarker = "marker";
  const ChatMessage message = {"user", std::string(kMarker)};
  const Tokens all = encode_messages(tokenizer_, *chat_template_, {&message, 1}, answer_prefix);
  std::string text;
  std::vector<size_t> begins;  // of each token in the text
  for (const int32_t id : all) {
    begins.push_back(text.size());
    text += tokenizer_.piece(id);
  }
  const size_t found = text.find(kMarker);
  TIDAL_CHECK(found != std::string::npos);
  Frame frame;
  for (size_t i = 0; i < all.size(); ++i) {
    const size_t end = i + 1 < all.size() ? begins[i + 1] : text.size();
    if (end <= found) frame.head.push_back(all[i]);
    if (begins[i] >= found + kMarker.size()) frame.tail.push_back(all[i]);
  }
  return frame;
}

NeedlePrompts::Tokens NeedlePrompts::filler(int64_t n, uint64_t& random) const {
  if (!books_.empty()) {
    return book_part(books_[static_cast<size_t>(below(std::ssize(books_), random))], n, random);
  }
  Tokens tokens;
  size_t last = kSentences.size();
  while (std::ssize(tokens) < n) {
    std::string text;
    for (int i = 0; i < 64; ++i) {
      const auto drawn = static_cast<size_t>(below(std::ssize(kSentences) - 1, random));
      last = drawn < last ? drawn : drawn + 1;  // never the same twice in a row
      text += kSentences[last];
    }
    append(tokens, encode(text));
  }
  tokens.resize(static_cast<size_t>(n));
  return tokens;
}

NeedlePrompts::Tokens NeedlePrompts::book_part(const Tokens& book, int64_t n,
                                               uint64_t& random) const {
  const int64_t room = std::ssize(book) - n;
  if (room < 0) {
    fail(ErrorCode::kInvalidArgument,
         "the text has {} tokens, but a prompt takes {} of it: give more text or lower --lengths",
         book.size(), n);
  }
  const int64_t first = sentence_end_before(book, below(room + 1, random));
  return {book.begin() + first, book.begin() + first + n};
}

// The place after the last sentence that ends at `index` or shortly before; `index` if none does.
int64_t NeedlePrompts::sentence_end_before(const Tokens& text, int64_t index) const {
  for (int64_t i = index; i > 0 && i > index - kSentenceSearch; --i) {
    const std::string_view piece = tokenizer_.piece(text[static_cast<size_t>(i - 1)]);
    if (piece.ends_with('.') || piece.ends_with('\n')) return i;
  }
  return index;
}

NeedlePrompt NeedlePrompts::make_hidden(NeedleKind kind, int64_t length, double depth,
                                        uint64_t& random) const {
  NeedlePrompt prompt;
  const Hidden hidden = draw_hidden(kind, random);
  prompt.expected = hidden.expected;
  prompt.answer_tokens = kAnswerTokens * std::ssize(hidden.needles);
  std::vector<Tokens> needles;
  for (const std::string& needle : hidden.needles) needles.push_back(encode(needle));

  const Frame around = frame(hidden.answer_prefix);
  const Tokens asked = encode(hidden.question);
  size_t fixed = around.head.size() + asked.size() + around.tail.size();
  for (const Tokens& needle : needles) fixed += needle.size();
  if (length <= static_cast<int64_t>(fixed)) too_short(length, fixed);
  const int64_t n_filler = length - static_cast<int64_t>(fixed);
  const Tokens text = filler(n_filler, random);

  prompt.tokens = around.head;
  int64_t done = 0;
  for (size_t i = 0; i < needles.size(); ++i) {
    const double share = (static_cast<double>(i) + depth) / static_cast<double>(needles.size());
    const auto target = static_cast<int64_t>(std::llround(share * static_cast<double>(n_filler)));
    const bool inside = target > 0 && target < n_filler;
    const int64_t place = std::max(done, inside ? sentence_end_before(text, target) : target);
    append(prompt.tokens,
           std::span(text).subspan(static_cast<size_t>(done), static_cast<size_t>(place - done)));
    append(prompt.tokens, needles[i]);
    done = place;
  }
  append(prompt.tokens, std::span(text).subspan(static_cast<size_t>(done)));
  append(prompt.tokens, asked);
  append(prompt.tokens, around.tail);
  return prompt;
}

NeedlePrompt NeedlePrompts::make_pairs(int64_t length, double depth, uint64_t& random) const {
  // Names may share words: the number makes them unique. The one asked for is drawn first.
  const auto draw_name = [&](int64_t i) {
    return fmt::format("{}-{}-{}", kAdjectives[static_cast<size_t>(below(16, random))],
                       kNouns[static_cast<size_t>(below(16, random))], 10 + i);
  };
  const std::string name = draw_name(0);
  const std::string value = five_digits(random);
  const auto line = [&](std::string_view key, std::string_view number) {
    return encode(fmt::format("  \"{}\": \"{}\",\n", key, number));
  };
  const Tokens needle = line(name, value);
  const Frame around = frame(fmt::format("The value of \"{}\" is \"", name));
  const Tokens opening = encode("Here is a JSON object:\n\n{\n");
  const Tokens asked =
      encode(fmt::format("}}\n\nWhat is the value of \"{}\" in the JSON object above?", name));
  const Tokens padding = encode("\n");
  const size_t fixed =
      around.head.size() + opening.size() + needle.size() + asked.size() + around.tail.size();
  if (length <= static_cast<int64_t>(fixed)) too_short(length, fixed);

  std::vector<Tokens> lines;
  int64_t left = length - static_cast<int64_t>(fixed);
  for (int64_t i = 1;; ++i) {
    const std::string other = draw_name(i);
    Tokens next = line(other, five_digits(random));
    if (std::ssize(next) > left) break;
    left -= std::ssize(next);
    lines.push_back(std::move(next));
  }
  const auto place =
      static_cast<int64_t>(std::llround(depth * static_cast<double>(std::ssize(lines))));
  lines.insert(lines.begin() + place, needle);

  NeedlePrompt prompt;
  prompt.expected = {value};
  prompt.answer_tokens = kAnswerTokens;
  prompt.tokens = around.head;
  append(prompt.tokens, opening);
  for (const Tokens& one : lines) append(prompt.tokens, one);
  prompt.tokens.insert(prompt.tokens.end(), static_cast<size_t>(left), padding.back());
  append(prompt.tokens, asked);
  append(prompt.tokens, around.tail);
  return prompt;
}

}  // namespace tidal
