// Kernels over 16 rows of K or V given by their addresses: include once per target.
//
// Rows of every type become floats in registers, once for a tile of query heads. The arithmetic of
// a (row, head) pair does not depend on its neighbours in the tile.
#if defined(TIDAL_OPS_CPU_KV_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIDAL_OPS_CPU_KV_ROWS_INL_H_
#undef TIDAL_OPS_CPU_KV_ROWS_INL_H_
#else
#define TIDAL_OPS_CPU_KV_ROWS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/check.h"
#include "ops/kv_view.h"
#include "tensor/formats/q8_0.h"

// Unrolls loops over the registers of a tile: otherwise GCC may keep the tile in memory.
#ifndef TIDAL_UNROLL
#ifdef __clang__
#define TIDAL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TIDAL_UNROLL _Pragma("GCC unroll 16")
#endif
#endif

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::CappedTag<float, 16>;
using FloatVec = hn::Vec<FloatTag>;
using Float4 = hn::CappedTag<float, 4>;
using Float8 = hn::CappedTag<float, 8>;  // the tail of a head whose size is an odd multiple of 8
inline constexpr int kLanes = static_cast<int>(hn::MaxLanes(FloatTag()));
inline constexpr bool kManyRegisters = HWY_TARGET != HWY_AVX2;
inline constexpr int kStepRows = kPageRows;  // of V at a time
inline constexpr int kDotRows = 4;           // of K
// Heads share the conversion of rows to floats, and keep their sums in registers.
inline constexpr int kHeadTile = kManyRegisters ? 6 : 2;
inline constexpr int kValueVectors = 4;

// Elements j, j + 1, ... of a row as floats; j a multiple of the lanes.
template <class D>
HWY_INLINE hn::Vec<D> load_floats(D d, const float* row, int j) {
  return hn::LoadU(d, row + j);
}
template <class D>
HWY_INLINE hn::Vec<D> load_floats(D d, const hwy::float16_t* row, int j) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, D>(), row + j));
}
template <class D>
HWY_INLINE hn::Vec<D> load_floats(D d, const hwy::bfloat16_t* row, int j) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::bfloat16_t, D>(), row + j));
}
template <class D>
HWY_INLINE hn::Vec<D> load_scale(D d, const BlockQ8_0& block) {
  const hn::Rebind<hwy::float16_t, D> d16;
  const auto bits = hn::Set(hn::Rebind<uint16_t, D>(), block.scale);
  return hn::PromoteTo(d, hn::BitCast(d16, bits));
}
template <class D>
HWY_INLINE hn::Vec<D> load_codes(D d, const BlockQ8_0& block, int j) {
  const auto codes = hn::LoadU(hn::Rebind<int8_t, D>(), block.values + j);
  return hn::ConvertTo(d, hn::PromoteTo(hn::RebindToSigned<D>(), codes));
}
template <class D>
HWY_INLINE hn::Vec<D> load_floats(D d, const BlockQ8_0* row, int j) {
  const BlockQ8_0& block = row[j / BlockQ8_0::kSize];
  return hn::Mul(load_scale(d, block), load_codes(d, block, j % BlockQ8_0::kSize));
}

// Elements j, j + 1, ... of kVectors vectors; j a multiple of their number. The scale of a block is
// loaded once for all of its vectors.
template <int kVectors, class D, typename T>
HWY_INLINE void load_vectors(D d, const T* row, int j, hn::Vec<D>* values) {
  constexpr int kStep = static_cast<int>(hn::MaxLanes(D()));
  constexpr int kPerBlock = BlockQ8_0::kSize / kStep;
  if constexpr (std::is_same_v<T, BlockQ8_0> && kVectors % kPerBlock == 0) {
    const BlockQ8_0* block = row + j / BlockQ8_0::kSize;
    TIDAL_UNROLL
    for (int b = 0; b < kVectors / kPerBlock; ++b) {
      const auto scale = load_scale(d, block[b]);
      TIDAL_UNROLL
      for (int v = 0; v < kPerBlock; ++v) {
        values[b * kPerBlock + v] = hn::Mul(scale, load_codes(d, block[b], v * kStep));
      }
    }
  } else {
    TIDAL_UNROLL
    for (int v = 0; v < kVectors; ++v) values[v] = load_floats(d, row, j + v * kStep);
  }
}

// Bytes of n elements of a row.
template <typename T>
HWY_INLINE constexpr size_t packed_bytes(int n) {
  if constexpr (std::is_same_v<T, BlockQ8_0>) {
    return static_cast<size_t>(n) * sizeof(T) / BlockQ8_0::kSize;
  } else {
    return static_cast<size_t>(n) * sizeof(T);
  }
}

// Calls f with a null pointer to the element type.
template <class F>
HWY_INLINE void with_row_type(DType type, F&& f) {
  switch (type) {
    case DType::kF16:
      return f(static_cast<const hwy::float16_t*>(nullptr));
    case DType::kBF16:
      return f(static_cast<const hwy::bfloat16_t*>(nullptr));
    case DType::kF32:
      return f(static_cast<const float*>(nullptr));
    case DType::kQ8_0:
      return f(static_cast<const BlockQ8_0*>(nullptr));
    default:
      TIDAL_CHECK(false, "cache rows of type {}", dtype_name(type));
  }
}

// The sum of a vector's blocks of 4 lanes.
template <class D>
HWY_INLINE hn::Vec<Float4> sum_of_blocks(D /* d */, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return v;
  } else {
    const hn::Half<D> dh;
    return sum_of_blocks(dh, hn::Add(hn::LowerHalf(dh, v), hn::UpperHalf(dh, v)));
  }
}

// Lane j: the sum of vector j.
HWY_INLINE hn::Vec<Float4> sums_of_4(FloatVec a, FloatVec b, FloatVec c, FloatVec e) {
  const FloatTag d;
  const hn::RepartitionToWide<FloatTag> dw;
  const FloatVec ab = hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
  const FloatVec ce = hn::Add(hn::InterleaveLower(d, c, e), hn::InterleaveUpper(d, c, e));
  const auto low = hn::InterleaveLower(dw, hn::BitCast(dw, ab), hn::BitCast(dw, ce));
  const auto high = hn::InterleaveUpper(dw, hn::BitCast(dw, ab), hn::BitCast(dw, ce));
  const FloatVec blocks = hn::Add(hn::BitCast(d, low), hn::BitCast(d, high));
  return sum_of_blocks(d, blocks);
}

// What to prefetch, spread out between multiplications: a burst of prefetches stalls the loads
// behind it. Contiguous lines are prefetched in address order, not in work order, which jumps from
// row to row: that gains a third in bandwidth.
struct Ahead {
  const std::byte* lines = nullptr;        // consecutive ones, or
  const std::byte* const* rows = nullptr;  // scattered rows, from `offset` on
  size_t offset = 0;

  // Into the second-level cache: the first would evict lines before they are used.
  static HWY_INLINE void fetch(const std::byte* from, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i += 64) __builtin_prefetch(from + i, 0, 2);
  }
};

// out[h * stride + r] = scale * (q_h · row r), for kDotRows rows.
template <typename T, int kHeads>
HWY_INLINE void dot_rows(const float* q /* [kHeads, n] */, int n, const std::byte* const* rows,
                         size_t offset, Ahead ahead, float scale, float* out, int64_t stride) {
  const FloatTag d;
  const T* row[kDotRows];
  FloatVec sum[kHeads][kDotRows];
  TIDAL_UNROLL
  for (int r = 0; r < kDotRows; ++r) {
    row[r] = reinterpret_cast<const T*>(rows[r] + offset);
    TIDAL_UNROLL
    for (int h = 0; h < kHeads; ++h) sum[h][r] = hn::Zero(d);
  }
  if (ahead.rows != nullptr) {
    for (int r = 0; r < kDotRows; ++r) {
      Ahead::fetch(ahead.rows[r] + ahead.offset, packed_bytes<T>(n));
    }
  }
  // If there are no lines, prefetch those of row 0, which are present: a branch would cost more.
  const size_t ahead_step = ahead.lines == nullptr ? 0 : 1;
  if (ahead.lines == nullptr) ahead.lines = rows[0] + offset;
  constexpr bool kBlocks = std::is_same_v<T, BlockQ8_0>;
  constexpr int kVectors = kBlocks ? BlockQ8_0::kSize / kLanes : 1;  // of a row, sharing a scale
  int j = 0;
  for (; j + kVectors * kLanes <= n; j += kVectors * kLanes) {
    [[maybe_unused]] FloatVec row_scale[kDotRows];
    if constexpr (kBlocks) {
      TIDAL_UNROLL
      for (int r = 0; r < kDotRows; ++r) {
        row_scale[r] = load_scale(d, row[r][j / BlockQ8_0::kSize]);
      }
    }
    TIDAL_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      constexpr size_t kStepBytes = packed_bytes<T>(kDotRows * kLanes);
      Ahead::fetch(ahead.lines, kStepBytes);
      ahead.lines += kStepBytes * ahead_step;
      FloatVec k[kDotRows];
      TIDAL_UNROLL
      for (int r = 0; r < kDotRows; ++r) {
        if constexpr (kBlocks) {
          const BlockQ8_0& block = row[r][j / BlockQ8_0::kSize];
          k[r] = hn::Mul(row_scale[r], load_codes(d, block, v * kLanes));
        } else {
          k[r] = load_floats(d, row[r], j);
        }
      }
      TIDAL_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        const FloatVec qv = hn::LoadU(d, q + h * n + j + v * kLanes);
        TIDAL_UNROLL
        for (int r = 0; r < kDotRows; ++r) sum[h][r] = hn::MulAdd(qv, k[r], sum[h][r]);
      }
    }
  }
  if constexpr (kLanes > 8) {
    if (j < n) {
      const Float8 d8;
      TIDAL_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        const auto qv = hn::LoadU(d8, q + h * n + j);
        TIDAL_UNROLL
        for (int r = 0; r < kDotRows; ++r) {
          const auto product = hn::Mul(qv, load_floats(d8, row[r], j));
          sum[h][r] = hn::Add(sum[h][r], hn::ZeroExtendVector(d, product));
        }
      }
    }
  }
  TIDAL_UNROLL
  for (int h = 0; h < kHeads; ++h) {
    const auto sums = sums_of_4(sum[h][0], sum[h][1], sum[h][2], sum[h][3]);
    hn::StoreU(hn::Mul(sums, hn::Set(Float4(), scale)), Float4(), out + h * stride);
  }
}

// One slice of sum_rows: kVectors vectors of tag D, from element j on.
template <class D, int kVectors, bool kMasked, typename T, int kHeads>
HWY_INLINE void sum_slice(D d, const float* p, int64_t stride, const std::byte* const* rows,
                          int n_rows, size_t offset, Ahead& ahead, int n, int j, float* acc) {
  constexpr int kStep = static_cast<int>(hn::MaxLanes(D()));
  hn::Vec<D> sum[kHeads][kVectors];
  TIDAL_UNROLL
  for (int h = 0; h < kHeads; ++h) {
    TIDAL_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[h][v] = hn::LoadU(d, acc + h * n + j + v * kStep);
  }
  for (int i = 0; i < n_rows; ++i) {
    constexpr size_t kSliceBytes = packed_bytes<T>(kVectors * kStep);
    if (ahead.lines != nullptr) {
      Ahead::fetch(ahead.lines, kSliceBytes);
      ahead.lines += kSliceBytes;
    } else if (ahead.rows != nullptr) {
      Ahead::fetch(ahead.rows[i] + ahead.offset + packed_bytes<T>(j), kSliceBytes);
    }
    const T* row = reinterpret_cast<const T*>(rows[i] + offset);
    hn::Vec<D> value[kVectors];
    load_vectors<kVectors>(d, row, j, value);
    TIDAL_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      const auto weight = hn::Set(d, p[h * stride + i]);
      TIDAL_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        if constexpr (kMasked) {
          const auto read = hn::Ne(weight, hn::Zero(d));
          sum[h][v] = hn::MulAdd(weight, hn::IfThenElseZero(read, value[v]), sum[h][v]);
        } else {
          sum[h][v] = hn::MulAdd(weight, value[v], sum[h][v]);
        }
      }
    }
  }
  TIDAL_UNROLL
  for (int h = 0; h < kHeads; ++h) {
    TIDAL_UNROLL
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[h][v], d, acc + h * n + j + v * kStep);
  }
}

// acc_h += sum over rows i of p[h * stride + i] * row i. With kMasked a weight of 0 means the head
// does not read the row: whatever it holds, even NaN, leaves no trace.
template <typename T, int kHeads, bool kMasked>
HWY_INLINE void sum_rows(const float* p, int64_t stride, const std::byte* const* rows, int n_rows,
                         size_t offset, Ahead ahead, int n, float* acc /* [kHeads, n] */) {
  const FloatTag d;
  constexpr int kSlice = kValueVectors * kLanes;
  int j = 0;
  for (; j + kSlice <= n; j += kSlice) {
    sum_slice<FloatTag, kValueVectors, kMasked, T, kHeads>(d, p, stride, rows, n_rows, offset,
                                                           ahead, n, j, acc);
  }
  for (; j + kLanes <= n; j += kLanes) {
    sum_slice<FloatTag, 1, kMasked, T, kHeads>(d, p, stride, rows, n_rows, offset, ahead, n, j,
                                               acc);
  }
  if constexpr (kLanes > 8) {
    if (j < n) {
      sum_slice<Float8, 1, kMasked, T, kHeads>(Float8(), p, stride, rows, n_rows, offset, ahead, n,
                                               j, acc);
    }
  }
}

// Calls f(std::integral_constant<int, tile>, first head) for tiles that cover n heads.
template <int kTile = kHeadTile, class F>
HWY_INLINE void for_head_tiles(int n, F&& f, int h = 0) {
  for (; h + kTile <= n; h += kTile) f(std::integral_constant<int, kTile>(), h);
  if constexpr (kTile > 1) {
    if (h < n) for_head_tiles<kTile - 1>(n, f, h);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
