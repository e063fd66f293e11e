// One instantiation of the matrix product kernels; included by matmul_kernels.cc once for every
// target, and for AVX-512 once more with TIDAL_VNNI, inside Highway's target attributes.
// TIDAL_VARIANT names the namespace.
//
// A vector lane is an output row. Weights of a tile are decoded, transposed, into a panel that
// stays in the first-level cache; then up to kMaxInputs rows of x at a time are multiplied with it:
//   sum[row] += scale[row] * (x.scale * integer dot of 32 columns) + min[row] * x.sum
// block after block. The integers are exact and the floats of one row of x and one output row are
// always added in this order, so nothing else in the call, and no target, changes a bit of them.

namespace tidal::cpu {
namespace HWY_NAMESPACE {
namespace TIDAL_VARIANT {
namespace hn = hwy::HWY_NAMESPACE;

#include "ops/cpu/matmul_vectors-inl.h"
#include "ops/cpu/unpack_float-inl.h"
#include "ops/cpu/unpack_k-inl.h"
#include "ops/cpu/unpack_q-inl.h"

// Rows of x multiplied at a time: two accumulators each, within the target's registers.
constexpr int kMaxInputs = HWY_TARGET == HWY_AVX3 ? 12 : HWY_TARGET == HWY_AVX2 ? 4 : 8;

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

// Adds n_blocks blocks of the panel to the sums of kInputs rows of x. x: block 0 of the panel in
// the first row, x_stride blocks to the next row.
template <class Format, int kInputs>
HWY_INLINE void add_blocks(const TileScratch* panel, int n_blocks, const QuantizedBlock* x,
                           int64_t x_stride, float (*sums)[kMaxTileRows]) {
  constexpr int kWords = kBlock / 4 / Format::kGroups;
  constexpr bool kTwoChains = kInputs <= 2;  // too few independent sums to hide the latency
  VF sum[kInputs];
  for (int i = 0; i < kInputs; ++i) sum[i] = hn::Load(df, sums[i]);
  for (int b = 0; b < n_blocks; ++b) {
    for (int group = 0; group < Format::kGroups; ++group) {
      VI dot[kInputs], dot_odd[kInputs];
      for (int i = 0; i < kInputs; ++i) dot[i] = dot_odd[i] = hn::Zero(di);
      HWY_UNROLL(8)
      for (int j = group * kWords; j < (group + 1) * kWords; ++j) {
        const VI codes = hn::BitCast(di, hn::Load(dbytes, panel->codes[b][j]));
        const hn::Repartition<int16_t, DF> d16;
        const auto c16 = hn::BitCast(d16, codes);
        const VI even = hn::BitCast(di, hn::ShiftRight<8>(hn::ShiftLeft<8>(c16)));
        const VI odd = hn::BitCast(di, hn::ShiftRight<8>(c16));
        HWY_UNROLL(12)
        for (int i = 0; i < kInputs; ++i) {
          const int16_t* q = x[i * x_stride + b].q + 4 * j;
          dot[i] = dot_pairs(dot[i], even, broadcast_pair(q));
          VI& second = kTwoChains ? dot_odd[i] : dot[i];
          second = dot_pairs(second, odd, broadcast_pair(q + 2));
        }
      }
      const VF scale = hn::Load(df, panel->scales[b][group]);
      HWY_UNROLL(12)
      for (int i = 0; i < kInputs; ++i) {
        const VI total = kTwoChains ? hn::Add(dot[i], dot_odd[i]) : dot[i];
        const VF product =
            hn::Mul(hn::ConvertTo(df, total), hn::Set(df, x[i * x_stride + b].scale));
        sum[i] = hn::MulAdd(product, scale, sum[i]);
      }
    }
    if constexpr (Format::kHasMin) {
      const VF min = hn::Load(df, panel->mins[b]);
      HWY_UNROLL(12)
      for (int i = 0; i < kInputs; ++i) {
        sum[i] = hn::MulAdd(hn::Set(df, x[i * x_stride + b].sum), min, sum[i]);
      }
    }
  }
  for (int i = 0; i < kInputs; ++i) hn::Store(sum[i], df, sums[i]);
}

// The same for float weights: each run of kRun columns is summed by itself, then added, which
// leaves several sums to work on at once even for one row of x.
template <int kInputs>
HWY_INLINE void add_columns(const TileScratch* panel, int n_columns, const float* x,
                            int64_t x_stride, float (*sums)[kMaxTileRows]) {
  constexpr int kRun = 8;
  const float(*weights)[kMaxTileRows] = panel->values;
  VF sum[kInputs];
  for (int i = 0; i < kInputs; ++i) sum[i] = hn::Load(df, sums[i]);
  for (int first = 0; first < n_columns; first += kRun) {
    VF part[kInputs];
    for (int i = 0; i < kInputs; ++i) part[i] = hn::Zero(df);
    const int end = HWY_MIN(first + kRun, n_columns);
    for (int k = first; k < end; ++k) {
      const VF weight = hn::Load(df, weights[k]);
      HWY_UNROLL(12)
      for (int i = 0; i < kInputs; ++i) {
        part[i] = hn::MulAdd(hn::Set(df, x[i * x_stride + k]), weight, part[i]);
      }
    }
    for (int i = 0; i < kInputs; ++i) sum[i] = hn::Add(sum[i], part[i]);
  }
  for (int i = 0; i < kInputs; ++i) hn::Store(sum[i], df, sums[i]);
}

// Calls add.operator()<n>(first) for runs of n <= kInputs rows that cover [first, n_inputs).
template <int kInputs, class Add>
HWY_INLINE void for_inputs(int64_t first, int64_t n_inputs, const Add& add) {
  for (; first + kInputs <= n_inputs; first += kInputs) add.template operator()<kInputs>(first);
  if constexpr (kInputs > 1) for_inputs<(kInputs > 8 ? 8 : kInputs / 2)>(first, n_inputs, add);
}

// The rows of the next tile follow this one's in memory. Sixteen streams are more than a processor
// tracks by itself, one is not: while bytes [begin, begin + n) x kLanes of this tile are decoded,
// fetch the same of the next. (Past the end of a weight a prefetch does nothing.)
HWY_INLINE void prefetch_next_tile(const Tile& tile, int64_t begin, int64_t n) {
  const uint8_t* next = tile.rows + kLanes * (static_cast<int64_t>(tile.row_bytes) + begin);
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
      prefetch_next_tile(tile, offset, Format::kUnitBytes);
      Format::unpack(tile.rows + offset, tile.row_bytes, scratch, b);
    }
    const QuantizedBlock* x = tile.quantized + first;
    for_inputs<kMaxInputs>(0, tile.n_inputs, [&]<int kInputs>(int64_t i) {
      add_blocks<Format, kInputs>(scratch, n, x + i * n_blocks, n_blocks, scratch->sums + i);
    });
  }
}

template <class Format>
void multiply_float(const Tile& tile, TileScratch* scratch) {
  constexpr int kColumns = Format::kColumns, kBytes = Format::kBytes;
  float(*values)[kMaxTileRows] = scratch->values;
  const int64_t step = tile.n_inputs <= kMaxInputs ? kBlock : kFloatPanelColumns;
  for (int64_t first = 0; first < tile.cols; first += step) {
    const int n = static_cast<int>(HWY_MIN(step, tile.cols - first));
    const uint8_t* p = tile.rows + first * kBytes;
    prefetch_next_tile(tile, first * kBytes, n * kBytes);
    int k = 0;
    for (; k + kColumns <= n; k += kColumns) {
      Format::unpack(p + k * kBytes, tile.row_bytes, values + k);
    }
    if (k < n) {  // the last columns of a row that is no multiple: 16 zeroed bytes a row
      alignas(64) uint8_t padded[kMaxTileRows][16] = {};
      for (int r = 0; r < kLanes; ++r) {
        std::memcpy(padded[r], p + r * tile.row_bytes + k * kBytes,
                    static_cast<size_t>((n - k) * kBytes));
      }
      Format::unpack(padded[0], 16, values + k);
    }
    for_inputs<kMaxInputs>(0, tile.n_inputs, [&]<int kInputs>(int64_t i) {
      add_columns<kInputs>(scratch, n, tile.x + i * tile.cols + first, tile.cols,
                           scratch->sums + i);
    });
  }
}

inline void multiply(DType dtype, const Tile& tile, TileScratch* scratch) {
  for (int64_t i = 0; i < tile.n_inputs; ++i) hn::Store(hn::Zero(df), df, scratch->sums[i]);
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

inline constexpr MatmulKernels kKernels = {kLanes, &quantize, &multiply};

}  // namespace TIDAL_VARIANT
}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
