#include "c_api/evaluate.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/fail.h"
#include "eval/divergence.h"
#include "eval/report.h"
#include "runtime/model_options.h"

namespace tidal {
namespace {

using Json = nlohmann::ordered_json;
using Methods = std::vector<std::shared_ptr<const AttentionMethod>>;

struct EndedEarly {};

Methods make_methods(const Model& model, const EngineOptions& engine, MethodOptions options,
                     std::string_view names) {
  Methods methods;
  while (!names.empty()) {
    const size_t comma = names.find(',');
    options.name = names.substr(0, comma);
    methods.push_back(method_for(model, options, engine));
    names.remove_prefix(comma == names.npos ? names.size() : comma + 1);
  }
  if (methods.empty()) {
    fail_option("method", ErrorCode::kInvalidArgument, "no method is given to compare");
  }
  return methods;
}

void check_tokens(const Model& model, std::span<const int32_t> tokens, int64_t n_prompt) {
  if (n_prompt < 1 || n_prompt >= std::ssize(tokens)) {
    fail(
        ErrorCode::kInvalidArgument,
        "a prompt of {} tokens leaves nothing to measure of {}, give at least 1 and fewer than all",
        n_prompt, tokens.size());
  }
  for (const int32_t token : tokens) {
    if (token < 0 || token >= model.config().vocab_size) {
      fail(ErrorCode::kInvalidArgument, "token {} is not in the vocabulary of {}", token,
           model.config().vocab_size);
    }
  }
}

}  // namespace

std::string evaluate_divergence(const std::shared_ptr<const Model>& model,
                                const EngineOptions& engine, const MethodOptions& options,
                                std::string_view methods, std::span<const int32_t> tokens,
                                int64_t n_prompt, const KeepGoing& keep_going) {
  check_tokens(*model, tokens, n_prompt);
  const Methods compared = make_methods(*model, engine, options, methods);
  Branches branches(model, engine, static_cast<int32_t>(compared.size()) + 1, n_prompt,
                    std::ssize(tokens) - n_prompt);
  std::vector<std::vector<TokenDivergence>> measured(compared.size());
  bool complete = true;
  const auto on_token = [&](int64_t position, std::span<const TokenDivergence> divergences) {
    for (size_t i = 0; i < compared.size(); ++i) measured[i].push_back(divergences[i]);
    complete = keep_going(position + 1, std::ssize(tokens));
    return complete;
  };
  const auto on_prompt = [&](int64_t done, int64_t total) {
    if (done < n_prompt && !keep_going(done, total)) throw EndedEarly{};
  };
  try {
    diverge(branches, compared, tokens, n_prompt, on_token, on_prompt);
  } catch (const EndedEarly&) {
    complete = false;
  }

  Json result = Json::array();
  for (size_t i = 0; i < compared.size(); ++i) {
    Json json = {{"method", compared[i]->name()}, {"plan", compared[i]->plan_line()}};
    json.update(divergence_json(summarize(measured[i])));
    const bool begun = !measured[i].empty();
    const auto branch = static_cast<int32_t>(i);
    json["rows"] = rows_json(begun ? branches.rows(branch) : RowsReport{});
    json["corrections"] = begun ? branches.corrections(branch) : 0;
    json["complete"] = complete;
    result.push_back(std::move(json));
  }
  return result.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace tidal
