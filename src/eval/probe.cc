#include "eval/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "base/check.h"
#include "base/fail.h"
#include "runtime/model_text.h"

namespace tidal {
namespace {

// What is planted and how it is asked for.
struct Fact {
  std::string planted;  // empty: it is already in the document
  std::string question;
  std::string lead;    // how the answer begins
  std::string answer;  // what has to be retrieved
};

class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  uint64_t below(uint64_t n) { return random_() % n; }  // the same on every machine
  uint64_t digits(int n) {
    uint64_t least = 1;
    while (--n > 0) least *= 10;
    return least + below(9 * least);
  }

 private:
  std::mt19937_64 random_;
};

Fact passkey(Dice& dice) {
  const uint64_t key = dice.digits(5);
  return {fmt::format("The secret passkey is {0}. Remember it. {0} is the secret passkey.", key),
          "What is the secret passkey mentioned in the text?", "The secret passkey is",
          fmt::format(" {}.", key)};
}

Fact record(Dice& dice) {
  const uint64_t name = dice.digits(4);
  const uint64_t value = dice.digits(5);
  return {fmt::format("Record {} holds the value {}.", name, value),
          fmt::format("Which value does record {} hold?", name),
          fmt::format("Record {} holds the value", name), fmt::format(" {}.", value)};
}

// Where the words of a text begin: a non-blank after a blank.
std::vector<size_t> word_starts(const std::string& text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  std::vector<size_t> starts;
  for (size_t i = 1; i < text.size(); ++i) {
    const bool blank = kBlanks.find(text[i]) != kBlanks.npos;
    if (!blank && kBlanks.find(text[i - 1]) != kBlanks.npos) starts.push_back(i);
  }
  return starts;
}

// A passage of the document that the answer must continue from its first words.
Fact passage(Dice& dice, const std::string& text, const std::vector<size_t>& words) {
  constexpr size_t kLead = 16;
  constexpr size_t kCopied = 10;
  const size_t first = dice.below(words.size() - kLead - kCopied);
  const auto part = [&](size_t from, size_t to) {
    return text.substr(words[from], words[to] - 1 - words[from]);
  };
  return {"", "Repeat word for word one passage of the text.", part(first, first + kLead),
          ' ' + part(first + kLead, first + kLead + kCopied)};
}

// The facts go before words, each somewhere in its own equal part of the text.
std::string plant(Dice& dice, const std::string& text, const std::vector<size_t>& words,
                  const std::vector<Fact>& facts) {
  std::vector<std::string> planted;
  for (const Fact& fact : facts) planted.push_back(fact.planted);
  for (size_t i = planted.size(); i > 1; --i) std::swap(planted[i - 1], planted[dice.below(i)]);
  std::string result;
  size_t done = 0;
  const size_t part = words.size() / planted.size();
  for (size_t i = 0; i < planted.size(); ++i) {
    const size_t at = words[i * part + dice.below(part)];
    result += text.substr(done, at - done) + "\n" + planted[i] + "\n";
    done = at;
  }
  return result + text.substr(done);
}

// The common beginning, leaving each at least one token.
size_t common_start(std::span<const std::vector<TokenId>> prompts) {
  size_t n = prompts.front().size() - 1;
  for (const std::vector<TokenId>& prompt : prompts) {
    const auto end = std::min(n, prompt.size() - 1);
    const auto differs = std::mismatch(prompt.begin(), prompt.begin() + static_cast<ptrdiff_t>(end),
                                       prompts.front().begin());
    n = static_cast<size_t>(differs.first - prompt.begin());
  }
  return n;
}

const std::string& text_of(const nlohmann::json& line, const char* key, const std::string& where) {
  const auto found = line.is_object() ? line.find(key) : line.end();
  if (!line.is_object() || found == line.end() || !found->is_string() ||
      found->get_ref<const std::string&>().empty()) {
    fail(ErrorCode::kInvalidArgument,
         "{}: no text '{}'; write one object {{\"prompt\": \"...\", \"answer\": \"...\"}} per line",
         where, key);
  }
  return found->get_ref<const std::string&>();
}

}  // namespace

int64_t Probe::max_length() const {
  size_t longest = 0;
  for (const Question& question : questions) {
    longest = std::max(longest, question.prompt.size() + question.answer.size());
  }
  return static_cast<int64_t>(context.size() + longest);
}

std::vector<TokenId> Asker::ask(const std::string& message, const std::string& lead) const {
  if (!chat_template) return tokenizer.encode(message + "\n\n" + lead, true, false);
  const ChatMessage messages[] = {{"user", message}};
  return encode_messages(tokenizer, *chat_template, messages, lead);
}

Probe prose_probe(std::span<const TokenId> text, int64_t n_answer) {
  TIDAL_CHECK(n_answer >= 1 && n_answer + 2 <= std::ssize(text));
  const size_t asked = text.size() - static_cast<size_t>(n_answer);
  Probe probe;
  probe.context.assign(text.begin(), text.begin() + static_cast<ptrdiff_t>(asked - 1));
  probe.questions.push_back(
      {{text[asked - 1]}, {text.begin() + static_cast<ptrdiff_t>(asked), text.end()}});
  return probe;
}

Probe retrieval_probe(const Asker& asker, std::span<const TokenId> text, uint64_t seed) {
  constexpr size_t kLeastWords = 40;
  Dice dice(seed);
  const std::string plain = asker.tokenizer.decode(text);
  const std::vector<size_t> words = word_starts(plain);
  if (words.size() < kLeastWords) {
    fail(ErrorCode::kInvalidArgument,
         "the text has {} words in {} tokens, but planting facts takes {}: give more or plainer "
         "text",
         words.size(), text.size(), kLeastWords);
  }
  std::vector<Fact> facts = {passkey(dice)};
  for (int i = 0; i < 3; ++i) facts.push_back(record(dice));
  const std::string document = plant(dice, plain, words, facts);
  const std::vector<size_t> document_words = word_starts(document);
  for (int i = 0; i < 2; ++i) facts.push_back(passage(dice, document, document_words));
  std::vector<std::vector<TokenId>> prompts;
  for (const Fact& fact : facts) {
    prompts.push_back(asker.ask(document + "\n\n" + fact.question, fact.lead));
  }
  const auto common = static_cast<ptrdiff_t>(common_start(prompts));
  Probe probe;
  probe.context.assign(prompts.front().begin(), prompts.front().begin() + common);
  for (size_t i = 0; i < facts.size(); ++i) {
    probe.questions.push_back({{prompts[i].begin() + common, prompts[i].end()},
                               asker.tokenizer.encode(facts[i].answer, false, false)});
  }
  return probe;
}

std::vector<Probe> read_probes(const Asker& asker, const std::string& lines,
                               const std::string& path) {
  std::vector<Probe> probes;
  std::istringstream in(lines);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const std::string where = fmt::format("{} line {}", path, number);
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    Probe probe;
    probe.context = asker.ask(text_of(json, "prompt", where), "");
    const auto answer = asker.tokenizer.encode(text_of(json, "answer", where), false, false);
    probe.questions.push_back({{probe.context.back()}, answer});
    probe.context.pop_back();
    probes.push_back(std::move(probe));
  }
  return probes;
}

}  // namespace tidal
