#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "base/quote.h"

namespace tidal {
namespace {

// Keeps the message on one line: it may contain names from files.
class PrintableMessage : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string line = printable({message.payload.data(), message.payload.size()});
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
    return std::make_unique<PrintableMessage>();
  }
};

}  // namespace

void init_logging(bool verbose) {
  auto logger =
      std::make_shared<spdlog::logger>("tidal", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<PrintableMessage>('*').set_pattern("%l: %*");
  logger->set_formatter(std::move(formatter));
  logger->set_error_handler([](const std::string&) {});  // losing a log message is not an error
  const char* level = std::getenv("TIDAL_LOG");
  logger->set_level(level != nullptr ? spdlog::level::from_str(level)
                    : verbose        ? spdlog::level::info
                                     : spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace tidal
