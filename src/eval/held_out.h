// HeldOut: one probe behind a dense prompt, on which plans are compared with full attention.
//
// Owns a session that holds the probe's context, and full attention's logits of the answers'
// tokens. Each question's last prompt token and its answer go through the decode path, the
// answer as given, whatever the model would have said. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/session.h"
#include "eval/divergence.h"
#include "eval/probe.h"
#include "model/model.h"
#include "tidal/options.h"

namespace tidal {

// Divergence of decoded tokens from full attention, KL(full || plan) in nats, and answers.
struct HeldOutFigures {
  double divergence = 0;  // mean over the answers' tokens
  int64_t tokens = 0;
  int64_t recovered = 0;  // answers whose every token is the most likely one
  int64_t answers = 0;
  RowsReport rows;

  HeldOutFigures& operator+=(const HeldOutFigures& other);
};

class HeldOut {
 public:
  // Runs the context and full attention's answers.
  HeldOut(const std::shared_ptr<const Model>& model, const EngineOptions& options, Probe probe,
          const Progress& progress);

  const HeldOutFigures& full() const { return full_; }
  HeldOutFigures measure(const MethodOptions& method);
  int64_t length() const { return std::ssize(probe_.context); }

 private:
  using OnLogits = std::function<void(size_t index, int32_t answer, std::span<const float> logits)>;
  HeldOutFigures answer_all(const MethodOptions& method, const OnLogits& on_logits);

  Probe probe_;
  Session session_;
  std::vector<float> full_logits_;  // [answer tokens, vocab_size]
  FullDistribution distribution_;   // of the token at hand
  HeldOutFigures full_;
};

}  // namespace tidal
