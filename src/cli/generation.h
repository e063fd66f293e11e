// What generate and chat share: streaming to the terminal, the closing line.
#pragma once

#include <string>

#include "cli/output.h"
#include "tidal/engine.h"

namespace tidal::cli {

// Room for what a chat template puts around the messages.
inline constexpr int64_t kTemplateTokens = 1024;

// An engine, with a progress bar while its model is loaded.
Engine load_engine(const EngineOptions& options);

// Runs the request with a progress bar for its prompt; print: its text goes to stdout as it comes.
// Ctrl-C cancels it and gives what is done.
Completion stream(Engine& engine, Request request, bool print);

// Says on stderr when a sequence would outgrow what the model was made for.
void warn_beyond_training(const Engine& engine, int64_t n_tokens);

// The completion as one JSON object.
Json completion_json(const Engine& engine, const Completion& completion);

double per_second(double count, double ms);  // 0 when no time has passed

// "6012 prompt tokens in 2.1 s (2863/s), 64 tokens at 5.1 ms (196/s); tidal read 18.2 % of ..."
std::string closing_line(const Completion& completion);

}  // namespace tidal::cli
