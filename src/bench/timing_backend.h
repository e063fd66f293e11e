// TimingBackend: another back end's operations, adding up the time and bytes of each kind.
//
// Forwards every call, so what is timed is the step itself on the data it really reads. Off until
// timing() is switched on; then an operation costs two extra clock reads. Matrix products are named
// by the weights they read (gate and up are one call), attention by what it reads. The inner back
// end and the weights must outlive it. One caller at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/model.h"
#include "ops/forwarding_backend.h"

namespace tidal {

struct OperationTime {
  std::string_view name;  // owned by the TimingBackend
  int64_t calls = 0;
  double milliseconds = 0;
  // Bytes that had to come from memory, or go there: weights and cache rows, as the kernels count
  // them, and scores. 0 for an operation on what the previous one left in the processor's cache.
  double bytes = 0;
};

class TimingBackend final : public ForwardingBackend {
 public:
  TimingBackend(Backend& inner, const ModelWeights& weights);

  void timing(bool on) { on_ = on; }
  // The kinds of operations since the last clear(), in the order of their first call.
  std::span<const OperationTime> times() const { return times_; }
  void clear() { times_.clear(); }

  void embed(const Weight& table, std::span<const int32_t> ids, float* out) override;
  void rms_norm(const float* x, const float* gain, int64_t n_rows, int64_t width, float epsilon,
                float* out) override;
  void matmul(const float* x, int64_t n_rows, std::span<const Linear> linears) override;
  void rope(float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim, const float* cos_sin,
            RopePairing pairing) override;
  void swiglu(float* gate, const float* up, int64_t n) override;
  void append(std::span<const AppendItem> items) override;
  void attend(std::span<const AttendItem> items) override;
  void score(std::span<const ScoreItem> items) override;
  void top_k(std::span<const TopKItem> items) override;
  void update_page_bounds(std::span<const PageBoundsItem> items) override;
  void score_pages(std::span<const ScorePagesItem> items) override;
  void update_block_sums(std::span<const BlockSumsItem> items) override;
  void attend_rest(std::span<const AttendRestItem> items) override;

 private:
  using Clock = std::chrono::steady_clock;

  struct Matmul {
    MatrixRole role;
    std::string_view name;  // of the call whose first matrix this is, once there was one
  };

  std::string_view matmul_name(std::span<const Linear> linears);
  template <typename Call>
  void timed(std::string_view name, double bytes, const Call& call);
  template <typename Item, typename Call>
  void timed_rows(std::string_view name, std::span<const Item> items, const Call& call);
  OperationTime& entry(std::string_view name);

  bool on_ = false;
  bool picked_ = false;            // since the last append: this layer made its own picks
  std::deque<std::string> names_;  // a deque, so that the addresses are stable
  std::unordered_map<const std::byte*, Matmul> matmuls_;  // by the matrix's bytes
  std::vector<OperationTime> times_;
};

}  // namespace tidal
