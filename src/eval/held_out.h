// HeldOut: one probe after a dense prompt, on which plans are compared with full attention.
//
// Owns the cache of the probe's context. Each question's last prompt token and its answer go
// through the decode path, the answer teacher-forced; all methods and full attention run side by
// side, so the weights are read once for all. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "eval/branches.h"
#include "eval/divergence.h"
#include "eval/probe.h"
#include "model/model.h"
#include "tidal/options.h"

namespace tidal {

// Divergence of decoded tokens from full attention, KL(full || method) in nats, and answers.
struct HeldOutFigures {
  double divergence = 0;  // mean over the answers' tokens
  int64_t tokens = 0;
  int64_t recovered = 0;  // answers whose every token was ranked first
  int64_t answers = 0;
  RowsReport rows;

  HeldOutFigures& operator+=(const HeldOutFigures& other);
};

class HeldOut {
 public:
  static constexpr int32_t kMaxMethods = 15;  // measured together

  // Runs the context.
  HeldOut(const std::shared_ptr<const Model>& model, const EngineOptions& options, Probe probe,
          const Progress& progress);

  // Figures of each method and, first, of full attention; on_token is called after every token.
  // Throws Error(kCorrupt) if the logits are not numbers.
  std::vector<HeldOutFigures> measure(
      std::span<const std::shared_ptr<const AttentionMethod>> methods,
      const std::function<void()>& on_token);
  int64_t length() const { return std::ssize(probe_.context); }

 private:
  void answer(const Question& question, std::span<HeldOutFigures> figures,
              const std::function<void()>& on_token);
  void compare(std::span<const float> logits, TokenId expected, std::span<HeldOutFigures> figures,
               std::vector<bool>& recovered);

  Probe probe_;
  std::shared_ptr<const AttentionMethod> full_;
  Branches branches_;
  FullDistribution distribution_;  // of the current token
};

}  // namespace tidal
