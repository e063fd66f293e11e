#include "server/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <set>

#include "base/json.h"

namespace tidal::server {

std::string random_id() {
  constexpr std::string_view kLetters =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  static thread_local std::mt19937_64 random{std::random_device{}()};
  std::uniform_int_distribution<size_t> any(0, kLetters.size() - 1);
  std::string id;
  for (int i = 0; i < 32; ++i) id += kLetters[any(random)];
  return id;
}

std::string sse(const Json& data, std::string_view event) {
  std::string text = event.empty() ? std::string() : fmt::format("event: {}\n", event);
  return text + "data: " + dump(data) + "\n\n";
}

Json usage_json(std::span<const Answer> answers, bool only_prompt) {
  int64_t prompt = 0;
  int64_t cached = 0;
  int64_t generated = 0;
  std::set<size_t> counted;  // n answers to a prompt cost it once
  for (const Answer& answer : answers) {
    if (counted.insert(answer.prompt).second) {
      prompt += answer.progress.prompt_tokens;
      cached += answer.progress.cached_tokens;
    }
    if (!only_prompt) generated += answer.progress.generated;
  }
  return {{"completion_tokens", generated},
          {"prompt_tokens", prompt},
          {"total_tokens", prompt + generated},
          {"prompt_tokens_details", {{"cached_tokens", cached}}}};
}

Json timings_json(const Progress& progress) {
  const auto read = static_cast<double>(progress.read_tokens - progress.cached_tokens);
  // The first token comes with the prompt: it costs no step.
  const auto steps = static_cast<double>(std::max<int64_t>(0, progress.generated - 1));
  const auto ratio = [](double a, double b) { return b > 0 ? a / b : 0.0; };
  Json json = {{"cache_n", progress.cached_tokens},
               {"prompt_n", progress.read_tokens - progress.cached_tokens},
               {"prompt_ms", progress.prompt_ms},
               {"prompt_per_token_ms", ratio(progress.prompt_ms, read)},
               {"prompt_per_second", ratio(1e3 * read, progress.prompt_ms)},
               {"predicted_n", progress.generated},
               {"predicted_ms", progress.generate_ms},
               {"predicted_per_token_ms", ratio(progress.generate_ms, steps)},
               {"predicted_per_second", ratio(1e3 * steps, progress.generate_ms)},
               {"rows_read", progress.rows.read},
               {"rows_total", progress.rows.total}};
  if (progress.speculation.on) {
    json["draft_n"] = progress.speculation.drafted;
    json["draft_n_accepted"] = progress.speculation.accepted;
  }
  return json;
}

Json progress_json(const Progress& progress) {
  return {{"total", progress.prompt_tokens},
          {"cache", progress.cached_tokens},
          {"processed", progress.read_tokens},
          {"time_ms", static_cast<int64_t>(progress.since_ms)}};
}

Json tidal_json(const Answer& answer) {
  const Completion& completion = *answer.completion;
  Json json = {{"method", completion.method},           {"plan", completion.plan},
               {"rows_read", completion.rows.read},     {"rows_total", completion.rows.total},
               {"rows_share", completion.rows.share()}, {"corrections", completion.corrections}};
  if (const SpeculationReport& report = completion.speculation; report.on) {
    json["lossless"] = {{"drafted", report.drafted},
                        {"accepted", report.accepted},
                        {"gained", report.gained(completion.decode_ms)}};
  }
  if (completion.method != "full" && completion.rows.read == completion.rows.total) {
    json["note"] =
        fmt::format("everything was read: {} tokens are below min_context, or within the budget",
                    completion.prompt_tokens + static_cast<int64_t>(completion.tokens.size()));
  }
  if (!completion.reuse_note.empty()) json["reuse_note"] = completion.reuse_note;
  if (!answer.warning.empty()) json["warning"] = answer.warning;
  return json;
}

std::string_view finish_reason(const Answer& answer) {
  if (answer.completion->finish_reason == FinishReason::kLength) return "length";
  return answer.tools.empty() ? "stop" : "tool_calls";
}

}  // namespace tidal::server
