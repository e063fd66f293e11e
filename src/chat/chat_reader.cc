#include <algorithm>
#include <random>
#include <utility>

#include "chat/harmony_reply.h"
#include "chat/reply_format.h"
#include "chat/syntax.h"
#include "chat/tagged_reply.h"
#include "tidal/chat.h"

namespace tidal {
namespace {

constexpr std::string_view kHarmony = "harmony";

std::string random_id(int length) {
  constexpr std::string_view kLetters =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  thread_local std::mt19937_64 random{std::random_device{}()};
  std::uniform_int_distribution<size_t> letter(0, kLetters.size() - 1);
  std::string id;
  for (int i = 0; i < length; ++i) id += kLetters[letter(random)];
  return id;
}

// Plain text stays as it is.
class PlainReply : public ReplyParser {
 public:
  void finish(ChatDelta&) override {}

 private:
  void run(bool, ChatDelta& delta) override { delta.content += std::exchange(pending_, {}); }
};

int id_length(const SyntaxData* syntax) {
  return syntax == nullptr || syntax->format == nullptr ? 32 : syntax->format->id_length;
}

}  // namespace

// In pieces: what is pending in text is looked through again for every tag.
void ReplyParser::push(std::string_view text, ChatDelta& delta) {
  constexpr size_t kPiece = 4096;
  while (!text.empty() && !done()) {
    pending_ += text.substr(0, kPiece);
    text.remove_prefix(std::min(text.size(), kPiece));
    run(/*at_end=*/false, delta);
  }
}

std::string_view ChatSyntax::name() const {
  return data_ == nullptr || data_->format == nullptr ? std::string_view() : data_->format->name;
}

ChatReader::ChatReader(const ChatSyntax& syntax) : syntax_(syntax) {
  if (syntax.data() == nullptr) {
    parser_ = std::make_unique<PlainReply>();
  } else if (syntax.name() == kHarmony) {
    parser_ = std::make_unique<HarmonyReply>(syntax.data());
  } else {
    parser_ = std::make_unique<TaggedReply>(syntax.data());
  }
}

ChatReader::~ChatReader() = default;
ChatReader::ChatReader(ChatReader&&) noexcept = default;
ChatReader& ChatReader::operator=(ChatReader&&) noexcept = default;

ChatDelta ChatReader::push(std::string_view text) {
  ChatDelta delta;
  parser_->push(text, delta);
  return join(std::move(delta));
}

ChatDelta ChatReader::finish() {
  ChatDelta delta;
  parser_->finish(delta);
  return join(std::move(delta));
}

bool ChatReader::done() const { return parser_->done(); }

ChatDelta ChatReader::join(ChatDelta delta) {
  reply_.content += delta.content;
  reply_.reasoning += delta.reasoning;
  reply_.warning = parser_->warning();
  for (ToolCallDelta& call : delta.tool_calls) {
    call.index = static_cast<int>(reply_.tool_calls.size());
    if (call.id.empty()) call.id = random_id(id_length(syntax_.data().get()));
    reply_.tool_calls.push_back({call.id, call.name, call.arguments});
  }
  return delta;
}

}  // namespace tidal
