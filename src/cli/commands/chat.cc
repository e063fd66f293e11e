// tidal chat: a conversation in the terminal.

#include <fmt/format.h>
#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <memory>
#include <optional>
#include <sstream>

#include "attention/layer_plan.h"
#include "attention/registry.h"
#include "base/fail.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/generation.h"
#include "cli/inputs.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace tidal::cli {
namespace {

constexpr const char* kHelp =
    "  /help             this list\n"
    "  /stats            speed and rows read of the last answer\n"
    "  /method NAME PLAN full, tidal, quest, window or oracle; the plan may be left out\n"
    "  /budget K         rows a sparse layer reads: 512 or 10%\n"
    "  /file PATH        put a file's text before the next message\n"
    "  /clear            forget the conversation\n"
    "  /exit             leave (as does Ctrl-D); Ctrl-C stops an answer\n";

struct Flags {
  ModelFlags model;
  std::string system_prompt;
};

// 1, or 0 at the end of input, or -1 on Ctrl-C and errors.
int read_byte(char* byte) {
  for (;;) {
    // Not read() alone: a Ctrl-C just before it would go unseen until the next key.
    pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {interrupt_fd(), POLLIN, 0}};
    if (interrupted() || (poll(ready, 2, -1) < 0 && errno != EINTR)) return -1;
    if (ready[0].revents == 0) continue;
    const ssize_t n = read(STDIN_FILENO, byte, 1);
    if (n >= 0 || errno != EINTR) return static_cast<int>(n);
  }
}

// One character for the line editor.
int read_character(EditLine*, wchar_t* character) {
  std::mbstate_t state{};
  for (;;) {
    char byte = 0;
    const int n = read_byte(&byte);
    if (n <= 0) return n;
    const size_t used = std::mbrtowc(character, &byte, 1, &state);
    if (used == 1) return 1;
    // Bytes that do not form a character are dropped, and 0: a Ctrl-D typed while an answer came.
    if (used == static_cast<size_t>(-1)) state = {};
  }
}

// A line does not include its end, however that is written.
std::string without_end(std::string line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  return line;
}

std::optional<std::string> read_line() {
  std::string line;
  char byte = 0;
  int n = 0;
  while ((n = read_byte(&byte)) == 1 && byte != '\n') line += byte;
  if (n < 0 && !interrupted()) {
    fail(ErrorCode::kIo, "cannot read standard input: {}", std::strerror(errno));
  }
  if (n < 0 || (n == 0 && line.empty())) return std::nullopt;
  return without_end(std::move(line));
}

// One line at a time: edited with history on a terminal, plain otherwise.
class LineReader {
 public:
  LineReader() {
    if (isatty(STDIN_FILENO) != 1) return;
    // The editor takes characters apart by the locale; text here is UTF-8 in any.
    if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) {
      std::setlocale(LC_CTYPE, "C.UTF-8");
    }
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
    el_set(edit_, EL_GETCFN, read_character);
  }
  ~LineReader() {
    if (edit_ == nullptr) return;
    el_end(edit_);
    history_end(history_);
  }
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  std::optional<std::string> next() {
    if (edit_ == nullptr) return read_line();
    int count = 0;
    const char* text = el_gets(edit_, &count);
    while (text == nullptr && interrupted()) {  // Ctrl-C gives up the line, not the program
      put("\n");
      flush_output();
      reset_interrupt();
      text = el_gets(edit_, &count);
    }
    if (text == nullptr || count <= 0) {
      put("\n");
      return std::nullopt;
    }
    const std::string line = without_end({text, static_cast<size_t>(count)});
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
  explicit Chat(Flags& flags) : flags_(flags), engine_(load_engine(engine_options(flags))) {
    clear();
  }

  int run() {
    note("{}, {} tokens of context. /help lists commands, Ctrl-D leaves.", engine_.model_name(),
         engine_.context_size());
    warn_beyond_training(engine_, engine_.context_size());
    catch_interrupts(/*keep_running=*/true);
    claim_stdin();
    LineReader reader;
    for (;;) {
      reset_interrupt();
      std::optional<std::string> line = reader.next();
      if (!line.has_value() || output_error() != 0) break;
      reset_interrupt();  // one that came as the line was finished is not meant for its answer
      if (line->empty()) continue;
      if (line->front() == '/') {
        if (!command(*line)) break;
      } else {
        say(*line);
      }
    }
    if (interrupted()) return kExitInterrupted;
    return failed_ && isatty(STDIN_FILENO) != 1 ? kExitFailed : kExitDone;
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
  void say(const std::string& text) {
    messages_.push_back({"user", attached_ + text});
    try {
      Request request = make_request(flags_.model);
      request.prompt = engine_.encode_chat(messages_);
      last_ = stream(engine_, std::move(request), /*print=*/!flags_.model.json);
      put("{}\n", flags_.model.json ? dump(completion_json(engine_, *last_)) : "");
      flush_output();
      if (last_->finish_reason == FinishReason::kError) {
        failed_ = true;
        fail(ErrorCode::kCorrupt, "{}", last_->error);
      }
      messages_.push_back({"assistant", last_->text});
      attached_.clear();
      if (last_->finish_reason == FinishReason::kLength) {
        note("(cut off: {})",
             flags_.model.max_tokens > 0
                 ? fmt::format("-n allows {} tokens", flags_.model.max_tokens)
                 : "the context is full, /clear or a larger --ctx-size makes room");
      }
    } catch (const Error& error) {
      messages_.pop_back();
      note_error(message_of(error));
      if (error.code() == ErrorCode::kExhausted) note("/clear forgets the conversation so far");
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
      note_text(kHelp);
    } else if (name == "/stats") {
      note("{}", last_ ? closing_line(*last_) : "nothing has been answered yet");
      if (last_) note("{}", last_->plan);
    } else if (name == "/clear") {
      clear();
    } else if (name == "/method") {
      set_method(argument, rest);
    } else if (name == "/budget" && !argument.empty()) {
      set_budget(argument);
    } else if (name == "/file" && !argument.empty()) {
      attach(argument);
    } else {
      note("unknown command '{}', /help lists them", line);
    }
    return true;
  }

  void set_method(const std::string& name, const std::string& plan) {
    MethodOptions& method = flags_.model.method;
    const auto names = method_names();
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) {
      note_error(fmt::format("unknown method '{}'; available: {}", name, fmt::join(names, ", ")));
      return;
    }
    if (!name.empty()) {
      method.name = name;
      method.plan = plan;
    }
    note("from the next answer on: {} {}", method.name, method.plan);
  }

  void set_budget(const std::string& budget) {
    try {
      parse_budget(budget);
      flags_.model.method.budget = budget;
      note("from the next answer on: a budget of {}", budget);
    } catch (const Error& error) {
      note_error(message_of(error));
    }
  }

  void attach(const std::string& path) {
    try {
      attached_ += read_text(path) + "\n\n";
      note("{} bytes go before the next message", attached_.size());
    } catch (const Error& error) {
      note_error(message_of(error));
    }
  }

  Flags& flags_;
  Engine engine_;
  std::vector<Message> messages_;
  std::string attached_;
  std::optional<Completion> last_;
  bool failed_ = false;  // the model, for one of the messages
};

}  // namespace

void add_chat(CLI::App& app, Work& work) {
  auto flags = std::make_shared<Flags>();
  flags->model.max_tokens = -1;
  CLI::App* command = app.add_subcommand("chat", "Talk with the model");
  command->footer("Example: tidal chat --system-prompt 'You answer in one sentence.'");
  command->add_option("--system-prompt", flags->system_prompt, "System message (short: -sys)");
  add_options(*command, OptionGroup::kGeneration, flags->model);
  add_options(*command, OptionGroup::kAttention, flags->model);
  add_options(*command, OptionGroup::kDrafting, flags->model);
  add_model_flags(*command, flags->model);
  command->callback([flags, &work] { work = [flags] { return Chat(*flags).run(); }; });
}

}  // namespace tidal::cli
