// AttentionCapture: what sampled query positions attend to, layer by layer, during a dense prefill.
//
// An observer for Session::observe. For every sampled position that passes by, and every layer from
// first to last, it scores the position's queries against rows 0..position, picks the top K rows as
// a selecting layer would (scope, pooling, sinks, recent rows), and hands that to `sink` together
// with the picks of all earlier layers at the same position. The sink reduces it at once: the mass
// of layer j recovered by layer i's picks is recovered_mass(probabilities of j, picks of i), the
// overlap is overlap(picks of i, picks of j). What the sink sees is valid only during the call.
//
// Memory: the picks of one chunk's sampled positions in all layers, and one layer's scores of one
// position; nothing of size layers x layers x N or N x N. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/decoder.h"
#include "ops/backend.h"
#include "ops/selection.h"

namespace tidal {

struct CaptureOptions {
  HeadScope scope = HeadScope::kAll;
  Pooling pooling = Pooling::kSoftmax;
  int64_t budget = 256;  // rows per list; >= sinks + max(recent, 1)
  int64_t sinks = 0;
  int64_t recent = 0;
};

// One layer's attention at one sampled position.
struct CapturedAttention {
  int32_t layer = 0;
  int64_t sample = 0;                    // the position's index among the sampled ones
  int64_t position = 0;                  // rows are 0..position
  std::span<const float> scores{};       // [n_heads, position + 1] scaled products q·k
  std::span<const float> probability{};  // [n_heads, position + 1] softmax of them, per head
  std::span<const float> output{};       // [n_heads, head_dim] of the attention
  std::span<const Selection> picks{};    // [layer + 1] top K of this layer and all earlier ones
};

class AttentionCapture : public AttentionObserver {
 public:
  using Sink = std::function<void(const CapturedAttention&)>;

  // positions: ascending, no repeats. The back end is that of the observed session.
  AttentionCapture(Backend& backend, const AttentionShape& shape, const CaptureOptions& options,
                   std::vector<int64_t> positions, Sink sink);

  void on_attention(int32_t layer, std::span<const AttentionItem> items) override;

 private:
  void make_room(const AttentionItem& item);
  Selection pick(int32_t layer, int64_t sample);
  void capture(int32_t layer, const AttentionItem& item, int64_t sample);

  Backend& backend_;
  AttentionShape shape_;
  CaptureOptions options_;
  std::vector<int64_t> positions_;
  Sink sink_;
  int32_t n_lists_;
  int64_t first_sample_ = 0;        // of the current chunk
  int64_t n_samples_ = 0;           // in it
  MirroredBuffer rows_;             // [n_samples, n_layers, n_lists, budget] int32
  MirroredBuffer counts_;           // [n_samples, n_layers, n_lists] int64
  std::vector<Selection> picks_;    // [n_samples, n_layers] as the host sees them
  MirroredBuffer scores_;           // [n_heads, position + 1] of the last sampled position
  std::vector<float> probability_;  // [n_heads, position + 1]
  std::vector<float> output_;       // [n_heads, head_dim]
};

// `count` positions of [first, last), ascending and evenly spread: the middle of each of `count`
// equal parts. All of them if there are fewer.
std::vector<int64_t> sample_positions(int64_t first, int64_t last, int64_t count);

// |a ∩ b| of two ascending lists without repeats.
int64_t common_rows(std::span<const int32_t> a, std::span<const int32_t> b);

// The share of b's rows that a also holds: |a ∩ b| / |b|. 1 if b is empty.
double overlap(std::span<const int32_t> a, std::span<const int32_t> b);

// The probability [n_rows] that falls on `rows`.
double recovered_mass(std::span<const float> probability, std::span<const int32_t> rows);

}  // namespace tidal
