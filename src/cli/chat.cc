// tidal chat: a conversation in the terminal.

#include <fmt/format.h>
#include <histedit.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>

#include "base/fail.h"
#include "cli/command.h"
#include "cli/generation.h"

namespace tidal::cli {
namespace {

constexpr const char* kHelp =
    "  /help             this list\n"
    "  /stats            speed and rows read of the last answer\n"
    "  /method NAME [PLAN]  full, tidal, quest, window or oracle, from the next answer on\n"
    "  /budget K         rows a sparse layer reads: 512 or 10%\n"
    "  /file PATH        put a file's text before the next message\n"
    "  /clear            forget the conversation\n"
    "  /exit             leave (as does Ctrl-D); Ctrl-C stops an answer\n";

struct Flags {
  ModelFlags model;
  GenerationFlags generation;
  std::string system_prompt;
};

// One line at a time: edited with history on a terminal, plain otherwise.
class LineReader {
 public:
  LineReader() {
    if (isatty(STDIN_FILENO) != 1) return;
    history_ = history_init();
    HistEvent event;
    history(history_, &event, H_SETSIZE, 500);
    edit_ = el_init("tidal", stdin, stdout, stderr);
    el_set(
        edit_, EL_PROMPT, +[](EditLine*) -> char* {
          static char prompt[] = "> ";
          return prompt;
        });
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_HIST, history, history_);
    el_set(edit_, EL_SIGNAL, 0);
  }
  ~LineReader() {
    if (edit_ == nullptr) return;
    el_end(edit_);
    history_end(history_);
  }
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  std::optional<std::string> next() {
    std::string line;
    if (edit_ == nullptr) {
      if (!std::getline(std::cin, line)) return std::nullopt;
      return line;
    }
    int count = 0;
    const char* text = el_gets(edit_, &count);
    if (text == nullptr || count <= 0) return std::nullopt;
    line.assign(text, static_cast<size_t>(count));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    HistEvent event;
    if (!line.empty()) history(history_, &event, H_ENTER, line.c_str());
    return line;
  }

 private:
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
};

class Chat {
 public:
  explicit Chat(Flags& flags) : flags_(flags), engine_(engine_options(flags)) { clear(); }

  int run() {
    if (!engine_.has_chat_template()) {
      fail(ErrorCode::kUnsupported, "{} brings no chat template, use tidal generate",
           engine_.model_name());
    }
    fmt::print(stderr, "{}, {} tokens of context. /help lists commands, Ctrl-D leaves.\n",
               engine_.model_name(), engine_.context_size());
    catch_interrupts();
    LineReader reader;
    while (std::optional<std::string> line = reader.next()) {
      reset_interrupt();
      if (line->empty()) continue;
      if (line->front() == '/') {
        if (!command(*line)) break;
      } else {
        say(std::move(*line));
      }
    }
    return kExitDone;
  }

 private:
  static EngineOptions engine_options(const Flags& flags) {
    EngineOptions options = flags.model.engine;
    options.model = model_path(options.model);
    return options;
  }

  void clear() {
    messages_.clear();
    attached_.clear();
    if (!flags_.system_prompt.empty()) messages_.push_back({"system", flags_.system_prompt});
  }

  // A message that cannot be answered leaves the conversation as it was.
  void say(std::string text) {
    messages_.push_back({"user", attached_ + text});
    try {
      Request request = make_request(flags_.generation, flags_.model.method);
      request.prompt = engine_.encode_chat(messages_);
      request.conversation = 1;
      last_ = stream(engine_, std::move(request), /*print=*/true);
      fmt::print("\n");
      messages_.push_back({"assistant", last_->text});
      attached_.clear();
    } catch (const Error& error) {
      messages_.pop_back();
      fmt::print(stderr, "error: {}\n", error.what());
    }
  }

  // False to leave.
  bool command(const std::string& line) {
    std::istringstream words(line);
    std::string name;
    std::string argument;
    words >> name >> argument;
    std::string rest;
    std::getline(words >> std::ws, rest);
    if (name == "/exit" || name == "/quit") return false;
    if (name == "/help") {
      fmt::print(stderr, "{}", kHelp);
    } else if (name == "/stats") {
      fmt::print(
          stderr, "{}\n",
          last_ ? closing_line(*last_) + "\n" + last_->plan : "nothing has been answered yet");
    } else if (name == "/clear") {
      clear();
    } else if (name == "/method" && !argument.empty()) {
      flags_.model.method.name = argument;
      flags_.model.method.plan = rest;
    } else if (name == "/budget" && !argument.empty()) {
      flags_.model.method.budget = argument;
    } else if (name == "/file" && !argument.empty()) {
      attach(argument);
    } else {
      fmt::print(stderr, "unknown command '{}', /help lists them\n", line);
    }
    return true;
  }

  void attach(const std::string& path) {
    try {
      attached_ += read_text(path) + "\n\n";
      fmt::print(stderr, "{} bytes go before the next message\n", attached_.size());
    } catch (const Error& error) {
      fmt::print(stderr, "error: {}\n", error.what());
    }
  }

  Flags& flags_;
  Engine engine_;
  std::vector<Message> messages_;
  std::string attached_;
  std::optional<Completion> last_;
};

}  // namespace

void add_chat(CLI::App& app, Work& work) {
  auto flags = std::make_shared<Flags>();
  flags->generation.max_tokens = -1;
  CLI::App* command = app.add_subcommand("chat", "Talk with the model");
  command->footer("Example: tidal chat --system-prompt 'You answer in one sentence.'");
  command->add_option("--system-prompt", flags->system_prompt, "System message (short: -sys)");
  add_generation_flags(*command, flags->generation);
  add_method_flags(*command, flags->model);
  add_model_flags(*command, flags->model);
  command->callback([flags, &work] { work = [flags] { return Chat(*flags).run(); }; });
}

}  // namespace tidal::cli
