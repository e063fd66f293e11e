// The operations of the reference back end, one file per concern: linear.cc, pointwise.cc,
// attention.cc, selection.cc, pages.cc, rest.cc. Meaning and shapes are those of ops/backend.h;
// caller promises that are cheap to check abort through TIDAL_CHECK.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/backend.h"

namespace tidal::reference {

// Working memory. Vectors only ever grow, so that nothing allocates once reserve() has seen the
// largest shapes.
struct Workspace {
  std::vector<float> row;           // [in_features] or [head_dim]: a decoded weight or cache row
  std::vector<double> scores;       // [context]: of one query head, or pooled over heads
  std::vector<double> sum;          // [head_dim]
  std::vector<uint8_t> loaded;      // [context]: which planes of a row this KV head has read
  std::vector<int64_t> candidates;  // [context]

  void reserve(const BackendLimits& limits);
};

double dot(const float* a, const float* b, int64_t n);

// One KV head of one position, as floats. out: [head_dim]
void load_row(const KvView& kv, const KvPlane& plane, int64_t position, int32_t kv_head,
              float* out);

void embed(const Weight& table, std::span<const int32_t> ids, float* out);
void multiply(const float* x, int64_t n_rows, const Linear& linear, Workspace& workspace);

void rms_norm(const float* x, const float* gain, int64_t n_rows, int64_t width, float epsilon,
              float* out);
void rope(float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim, const float* cos_sin,
          RopePairing pairing);
void swiglu(float* gate, const float* up, int64_t n);

void append(const AppendItem& item);
void attend(const AttendItem& item, Workspace& workspace);
void score(const ScoreItem& item, Workspace& workspace);

void top_k(const TopKItem& item, Workspace& workspace);

void update_page_bounds(const PageBoundsItem& item, Workspace& workspace);
void score_pages(const ScorePagesItem& item);

void update_block_sums(const BlockSumsItem& item, Workspace& workspace);
void attend_rest(const AttendRestItem& item, Workspace& workspace);

}  // namespace tidal::reference
