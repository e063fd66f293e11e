// One instantiation of the matrix product kernels; included by matmul_kernels.cc once for every
// target, and for AVX-512 once more with TIDAL_VNNI, inside Highway's target attributes.
// TIDAL_VARIANT names the namespace.
//
// A vector lane is an output row. Weights of a tile are decoded, transposed, into panels that stay
// in the first-level cache; then up to kMaxInputs rows of x at a time are multiplied with them:
//   sum[row] += scale[row] * (x.scale * integer dot of 32 columns) + min[row] * x.sum
// block after block. The integers are exact and the floats of one row of x and one output row are
// always added in this order, so nothing else in the call, and no target, changes a bit of them.
//
// One row of x is bound by memory. One Zen 5 core, which reads 32 GB/s by itself, decodes a
// 4096 x 4096 weight at (GB/s of weight bytes): Q4_0 19, Q4_1 21, Q5_0 18, Q5_1 20, Q8_0 28,
// Q4_K 22, Q5_K 23, Q6_K 15, F16 20, BF16 22, F32 22 to 31. 512 rows of x are bound by the dot
// product instruction, 16 of them for 512 products: 150 to 185 products a nanosecond for the
// integer formats, 100 for float ones (oneDNN's sgemm: 103 on the same core).

namespace tidal::cpu {
namespace HWY_NAMESPACE {
namespace TIDAL_VARIANT {
namespace hn = hwy::HWY_NAMESPACE;

#include "ops/cpu/matmul_vectors-inl.h"
#include "ops/cpu/unpack_float-inl.h"
#include "ops/cpu/unpack_k-inl.h"
#include "ops/cpu/unpack_q-inl.h"

// What is multiplied at a time: two accumulators for each pair of a panel and a row of x have to
// fit the target's registers. Two panels halve the loads of x.
constexpr int kPanels = HWY_TARGET == HWY_AVX3 ? 2 : 1;
constexpr int kMaxInputs = HWY_TARGET == HWY_AVX3 ? 6 : HWY_TARGET == HWY_AVX2 ? 4 : 8;
constexpr int kTileRows = kPanels * kLanes;

inline void quantize(const float* x, int64_t cols, QuantizedBlock* out) {
  const hn::Rebind<int16_t, DF> d16;
  alignas(64) int16_t natural[kBlock];
  for (int64_t b = 0; b < cols / kBlock; ++b, x += kBlock, ++out) {
    VF largest = hn::Zero(df);
    for (int i = 0; i < kBlock; i += kLanes) {
      largest = hn::Max(largest, hn::Abs(hn::LoadU(df, x + i)));
    }
    const float peak = hn::GetLane(hn::MaxOfLanes(df, largest));
    const bool zero = peak < 1e-30f;  // its inverse would not be finite
    const VF inverse = hn::Set(df, zero ? 0.0f : 32767.0f / peak);
    VI total = hn::Zero(di);
    for (int i = 0; i < kBlock; i += kLanes) {
      const VI q = hn::NearestInt(hn::Mul(hn::LoadU(df, x + i), inverse));
      total = hn::Add(total, q);
      hn::Store(hn::DemoteTo(d16, q), d16, natural + i);
    }
    for (int i = 0; i < kBlock; i += 4) {
      out->q[i] = natural[i];
      out->q[i + 1] = natural[i + 2];
      out->q[i + 2] = natural[i + 1];
      out->q[i + 3] = natural[i + 3];
    }
    out->scale = zero ? 0.0f : peak / 32767.0f;
    out->sum = out->scale * static_cast<float>(hn::GetLane(hn::SumOfLanes(di, total)));
  }
}

HWY_INLINE VI broadcast_pair(const int16_t* pair) {
  int32_t bits;
  std::memcpy(&bits, pair, sizeof(bits));
  return hn::Set(di, bits);
}

// Adds n_blocks blocks of the panels to the sums of kInputs rows of x. x: block 0 of the panels in
// the first row, x_stride blocks to the next row.
template <class Format, int kInputs>
HWY_INLINE void add_blocks(const Panel* panels, int n_blocks, const QuantizedBlock* x,
                           int64_t x_stride, float (*sums)[kMaxTileRows]) {
  constexpr int kWords = kBlock / 4 / Format::kGroups;
  const hn::Repartition<int16_t, DF> d16;
  VF sum[kPanels][kInputs];
  for (int p = 0; p < kPanels; ++p) {
    for (int i = 0; i < kInputs; ++i) sum[p][i] = hn::Load(df, sums[i] + p * kLanes);
  }
  for (int b = 0; b < n_blocks; ++b) {
    for (int group = 0; group < Format::kGroups; ++group) {
      VI dot[kPanels][kInputs];
      for (int p = 0; p < kPanels; ++p) {
        for (int i = 0; i < kInputs; ++i) dot[p][i] = hn::Zero(di);
      }
      HWY_UNROLL(8)
      for (int j = group * kWords; j < (group + 1) * kWords; ++j) {
        VI even[kPanels], odd[kPanels];
        for (int p = 0; p < kPanels; ++p) {
          const auto codes = hn::BitCast(d16, hn::Load(dbytes, panels[p].codes[b][j]));
          even[p] = hn::BitCast(di, hn::ShiftRight<8>(hn::ShiftLeft<8>(codes)));
          odd[p] = hn::BitCast(di, hn::ShiftRight<8>(codes));
        }
        HWY_UNROLL(8)
        for (int i = 0; i < kInputs; ++i) {
          const int16_t* q = x[i * x_stride + b].q + 4 * j;
          const VI x_even = broadcast_pair(q), x_odd = broadcast_pair(q + 2);
          for (int p = 0; p < kPanels; ++p) {
            dot[p][i] = dot_pairs(dot_pairs(dot[p][i], even[p], x_even), odd[p], x_odd);
          }
        }
      }
      HWY_UNROLL(8)
      for (int i = 0; i < kInputs; ++i) {
        const VF x_scale = hn::Set(df, x[i * x_stride + b].scale);
        for (int p = 0; p < kPanels; ++p) {
          const VF product = hn::Mul(hn::ConvertTo(df, dot[p][i]), x_scale);
          sum[p][i] = hn::MulAdd(product, hn::Load(df, panels[p].scales[b][group]), sum[p][i]);
        }
      }
    }
    if constexpr (Format::kHasMin) {
      HWY_UNROLL(8)
      for (int i = 0; i < kInputs; ++i) {
        const VF x_sum = hn::Set(df, x[i * x_stride + b].sum);
        for (int p = 0; p < kPanels; ++p) {
          sum[p][i] = hn::MulAdd(x_sum, hn::Load(df, panels[p].mins[b]), sum[p][i]);
        }
      }
    }
  }
  for (int p = 0; p < kPanels; ++p) {
    for (int i = 0; i < kInputs; ++i) hn::Store(sum[p][i], df, sums[i] + p * kLanes);
  }
}

// The same for float weights: each run of kRun columns is summed by itself, then added, which
// leaves several sums to work on at once even for one row of x.
template <int kInputs>
HWY_INLINE void add_columns(const Panel* panels, int n_columns, const float* x, int64_t x_stride,
                            float (*sums)[kMaxTileRows]) {
  constexpr int kRun = 8;
  VF sum[kPanels][kInputs];
  for (int p = 0; p < kPanels; ++p) {
    for (int i = 0; i < kInputs; ++i) sum[p][i] = hn::Load(df, sums[i] + p * kLanes);
  }
  for (int first = 0; first < n_columns; first += kRun) {
    VF part[kPanels][kInputs];
    for (int p = 0; p < kPanels; ++p) {
      for (int i = 0; i < kInputs; ++i) part[p][i] = hn::Zero(df);
    }
    const int end = HWY_MIN(first + kRun, n_columns);
    for (int k = first; k < end; ++k) {
      HWY_UNROLL(8)
      for (int i = 0; i < kInputs; ++i) {
        const VF value = hn::Set(df, x[i * x_stride + k]);
        for (int p = 0; p < kPanels; ++p) {
          part[p][i] = hn::MulAdd(value, hn::Load(df, panels[p].values[k]), part[p][i]);
        }
      }
    }
    for (int p = 0; p < kPanels; ++p) {
      for (int i = 0; i < kInputs; ++i) sum[p][i] = hn::Add(sum[p][i], part[p][i]);
    }
  }
  for (int p = 0; p < kPanels; ++p) {
    for (int i = 0; i < kInputs; ++i) hn::Store(sum[p][i], df, sums[i] + p * kLanes);
  }
}

// Calls add.operator()<n>(first) for runs of n <= kInputs rows that cover [first, n_inputs).
template <int kInputs, class Add>
HWY_INLINE void for_inputs(int64_t first, int64_t n_inputs, const Add& add) {
  for (; first + kInputs <= n_inputs; first += kInputs) add.template operator()<kInputs>(first);
  if constexpr (kInputs > 1) for_inputs<(kInputs > 4 ? 4 : kInputs / 2)>(first, n_inputs, add);
}

// The rows of the next tile follow this one's in memory. As many streams as there are rows are more
// than a processor tracks by itself, one is not: while bytes [begin, begin + n) of a panel's rows
// are decoded, fetch as much of the next tile. (Past the end of a weight a prefetch does nothing.)
HWY_INLINE void prefetch_next_tile(const Tile& tile, int panel, int64_t begin, int64_t n) {
  const int64_t done = kTileRows * begin + panel * kLanes * n;
  const uint8_t* next = tile.rows + kTileRows * static_cast<int64_t>(tile.row_bytes) + done;
  for (int64_t i = 0; i < n * kLanes; i += 64) hwy::Prefetch(next + i);
}

template <class Format>
void multiply_quantized(const Tile& tile, TileScratch* scratch) {
  constexpr int kUnitBlocks = Format::kUnitBlocks;
  const int n_blocks = static_cast<int>(tile.cols / kBlock);
  // Few rows of x leave the decoding to wait for memory: alternate as finely as possible.
  const int step = tile.n_inputs <= kMaxInputs ? kUnitBlocks : kPanelBlocks;
  for (int first = 0; first < n_blocks; first += step) {
    const int n = HWY_MIN(step, n_blocks - first);
    for (int b = 0; b < n; b += kUnitBlocks) {
      const int64_t offset = int64_t{(first + b) / kUnitBlocks} * Format::kUnitBytes;
      HWY_UNROLL(1)  // the decoders of superblocks would outgrow the instruction cache
      for (int panel = 0; panel < kPanels; ++panel) {
        prefetch_next_tile(tile, panel, offset, Format::kUnitBytes);
        const uint8_t* p = tile.rows + panel * kLanes * tile.row_bytes + offset;
        Format::unpack(p, tile.row_bytes, scratch->panels + panel, b);
      }
    }
    const QuantizedBlock* x = tile.quantized + first;
    for_inputs<kMaxInputs>(0, tile.n_inputs, [&]<int kInputs>(int64_t i) {
      add_blocks<Format, kInputs>(scratch->panels, n, x + i * n_blocks, n_blocks,
                                  scratch->sums + i);
    });
  }
}

// Columns [0, n) of kLanes rows.
template <class Format>
HWY_INLINE void unpack_columns(const uint8_t* p, size_t stride, int n, Panel* panel) {
  constexpr int kColumns = Format::kColumns, kBytes = Format::kBytes;
  int k = 0;
  for (; k + kColumns <= n; k += kColumns) {
    Format::unpack(p + k * kBytes, stride, panel->values + k);
  }
  if (k < n) {  // the last columns of a row that is no multiple: 16 bytes a row, padded with zeros
    alignas(64) uint8_t padded[kLanes][16] = {};
    for (int r = 0; r < kLanes; ++r) {
      std::memcpy(padded[r], p + r * stride + k * kBytes, static_cast<size_t>((n - k) * kBytes));
    }
    Format::unpack(padded[0], 16, panel->values + k);
  }
}

template <class Format>
void multiply_float(const Tile& tile, TileScratch* scratch) {
  const int64_t step = tile.n_inputs <= kMaxInputs ? kBlock : kFloatPanelColumns;
  for (int64_t first = 0; first < tile.cols; first += step) {
    const int n = static_cast<int>(HWY_MIN(step, tile.cols - first));
    for (int panel = 0; panel < kPanels; ++panel) {
      prefetch_next_tile(tile, panel, first * Format::kBytes, n * Format::kBytes);
      const uint8_t* p = tile.rows + panel * kLanes * tile.row_bytes + first * Format::kBytes;
      unpack_columns<Format>(p, tile.row_bytes, n, scratch->panels + panel);
    }
    for_inputs<kMaxInputs>(0, tile.n_inputs, [&]<int kInputs>(int64_t i) {
      add_columns<kInputs>(scratch->panels, n, tile.x + i * tile.cols + first, tile.cols,
                           scratch->sums + i);
    });
  }
}

inline void multiply(DType dtype, const Tile& tile, TileScratch* scratch) {
  std::memset(scratch->sums, 0, static_cast<size_t>(tile.n_inputs) * sizeof(scratch->sums[0]));
  switch (dtype) {
    case DType::kF32:
      return multiply_float<UnpackF32>(tile, scratch);
    case DType::kF16:
      return multiply_float<UnpackF16>(tile, scratch);
    case DType::kBF16:
      return multiply_float<UnpackBF16>(tile, scratch);
    case DType::kQ4_0:
      return multiply_quantized<UnpackQ4_0>(tile, scratch);
    case DType::kQ4_1:
      return multiply_quantized<UnpackQ4_1>(tile, scratch);
    case DType::kQ5_0:
      return multiply_quantized<UnpackQ5_0>(tile, scratch);
    case DType::kQ5_1:
      return multiply_quantized<UnpackQ5_1>(tile, scratch);
    case DType::kQ8_0:
      return multiply_quantized<UnpackQ8_0>(tile, scratch);
    case DType::kQ4_K:
      return multiply_quantized<UnpackQ4_K>(tile, scratch);
    case DType::kQ5_K:
      return multiply_quantized<UnpackQ5_K>(tile, scratch);
    case DType::kQ6_K:
      return multiply_quantized<UnpackQ6_K>(tile, scratch);
  }
}

inline constexpr MatmulKernels kKernels = {kTileRows, &quantize, &multiply};

}  // namespace TIDAL_VARIANT
}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
