// One instantiation of the matrix product kernels; included by matmul_kernels.cc once per target,
// and for AVX-512 once more with TIDAL_VNNI, inside Highway's target attributes. TIDAL_VARIANT
// names the namespace.
//
// A vector lane is an output row. For every block of a panel,
//   sum[row] += scale[row] * (x.scale * integer dot of 32 columns) + min[row] * x.sum
// The integers are exact and the floats of one row of x and one output row are always added in this
// order, so nothing else in the call, and no target, changes a bit of them. Codes stay unsigned
// bytes: their offset is removed using the sum of x. With VNNI x is split into high and low bytes,
// 256 * high + low, each multiplied with the codes directly.
//
// One row of x is memory-bound, and one Zen 5 core keeps up with what it can read: on a 14336 x
// 4096 weight it processes Q4_0, Q4_1, Q4_K, Q6_K, F16, BF16 and F32 at 34 to 37 GB/s, Q5_K and
// Q8_0 at 33 to 38, where a plain sum of words reads 33 to 35. From 8 rows on the dot product
// instruction limits integer formats: 130 to 175 products per nanosecond for 8 rows, 160 to 185 for
// 512 (float: 60, 110).

namespace tidal::cpu {
namespace HWY_NAMESPACE {
namespace TIDAL_VARIANT {
namespace hn = hwy::HWY_NAMESPACE;

#include "ops/cpu/matmul/matmul_vectors-inl.h"
#include "ops/cpu/matmul/unpack_float-inl.h"
#include "ops/cpu/matmul/unpack_q-inl.h"
// After unpack_q-inl.h.
#include "ops/cpu/matmul/unpack_k-inl.h"

// How much is multiplied at a time: an accumulator and a sum for each pair of a vector of rows and
// a row of x must fit the target's registers.
constexpr int kTilePanels = HWY_TARGET == HWY_AVX3 ? 2 : 1;
constexpr int kVectors = kTilePanels * kParts;
constexpr int kMaxInputs = HWY_TARGET == HWY_AVX3 ? 6 : 2;
constexpr int kFewInputs = 16;
constexpr int kPrefetchBytes = 4096;  // ahead of the current block

inline void quantize(const float* x, int64_t cols, QuantizedBlock* out) {
  constexpr int kHalf = kBlock / 2;
  for (int64_t b = 0; b < cols / kBlock; ++b, x += kBlock, ++out) {
    VF largest = hn::Zero(df);
    for (int i = 0; i < kBlock; i += kLanes) {
      largest = hn::Max(largest, hn::Abs(hn::LoadU(df, x + i)));
    }
    const float peak = hn::GetLane(hn::MaxOfLanes(df, largest));
    const bool zero = peak < 1e-30f;  // its inverse would not be finite
    const VF inverse = hn::Set(df, zero ? 0.0f : 32639.0f / peak);
    VI totals[2] = {hn::Zero(di), hn::Zero(di)};
#if !TIDAL_VNNI
    alignas(64) int16_t natural[kBlock];
#endif
    for (int i = 0; i < kBlock; i += kLanes) {
      // NaN becomes the smallest integer, which would overflow the totals.
      const VI any = hn::NearestInt(hn::Mul(hn::LoadU(df, x + i), inverse));
      const VI q = hn::Min(hn::Max(any, hn::Set(di, -32767)), hn::Set(di, 32767));
      totals[i / kHalf] = hn::Add(totals[i / kHalf], q);
#if TIDAL_VNNI
      const hn::Rebind<int8_t, DF> d8;
      const VI low = hn::ShiftRight<24>(hn::ShiftLeft<24>(q));
      const VI high = hn::ShiftRight<8>(hn::Sub(q, low));
      auto* bytes = reinterpret_cast<int8_t*>(out->bits);
      hn::StoreU(hn::DemoteTo(d8, high), d8, bytes + i);
      hn::StoreU(hn::DemoteTo(d8, low), d8, bytes + kBlock + i);
#else
      const hn::Rebind<int16_t, DF> d16;
      hn::Store(hn::DemoteTo(d16, q), d16, natural + i);
#endif
    }
#if !TIDAL_VNNI
    // Every four elements are in the order 0, 2, 1, 3, in which a vector of bytes splits at no
    // cost.
    for (int i = 0; i < kBlock; i += 4) {
      const int16_t four[] = {natural[i], natural[i + 2], natural[i + 1], natural[i + 3]};
      std::memcpy(out->bits + 2 * i, four, sizeof(four));
    }
#endif
    const int32_t first = hn::GetLane(hn::SumOfLanes(di, totals[0]));
    const int32_t second = hn::GetLane(hn::SumOfLanes(di, totals[1]));
    out->minus_sum[0] = -first;
    out->minus_sum[1] = -second;
    out->minus_sum[2] = -first - second;
    out->scale = zero ? 0.0f : peak / 32639.0f;
    out->sum = out->scale * static_cast<float>(first + second);
  }
}

// Initial value of a group's integer dot, which corrects for the offset of its codes.
template <class Format>
HWY_INLINE VI start_of_dot(const QuantizedBlock& x, int group) {
  if constexpr (Format::kCenterBits == 0) return hn::Zero(di);
  const int part = Format::kGroups == 1 ? 2 : group;
  return hn::ShiftLeft<Format::kCenterBits>(broadcast(x.minus_sum + part));
}

// Prefetches the n bytes that will be in this position. Superblocks, whose fields are scattered, go
// into the second-level cache: so many lines in flight to the first would delay the loads of the
// current block.
HWY_INLINE void prefetch(const uint8_t* p, int n) {
  constexpr int kManyBytes = 1024;
  for (int i = 0; i < n; i += 64) {
    if (n > kManyBytes) {
      __builtin_prefetch(p + kPrefetchBytes + i, 0, 2);
    } else {
      hwy::Prefetch(p + kPrefetchBytes + i);
    }
  }
}

// Columns of float weights are summed in separate runs, which gives several independent sums even
// for one row of x.
constexpr int kRun = 8;

#include "ops/cpu/matmul/matmul_few-inl.h"
#include "ops/cpu/matmul/matmul_many-inl.h"

template <class Format>
void multiply_quantized(const Tile& tile, TileScratch* scratch) {
  if (tile.n_inputs == 1) return multiply_one_quantized<Format>(tile, scratch);
  if (tile.n_inputs <= kFewInputs) return multiply_few_quantized<Format>(tile, scratch);
  multiply_many_quantized<Format>(tile, scratch);
}

template <class Format>
void multiply_float(const Tile& tile, TileScratch* scratch) {
  if (tile.n_inputs == 1) return multiply_one_float<Format>(tile, scratch);
  if (tile.n_inputs <= kFewInputs) return multiply_few_float<Format>(tile, scratch);
  multiply_many_float<Format>(tile, scratch);
}

// A line of formats.def: its decoder is Unpack followed by the name.
template <class Format, int kBlockSize, int kBlockBytes>
HWY_INLINE void multiply_format(const Tile& tile, TileScratch* scratch) {
  if constexpr (kBlockSize == 1) {
    static_assert(Format::kBytes == kBlockBytes);
    multiply_float<Format>(tile, scratch);
  } else {
    static_assert(Format::kUnitBlocks * kBlock == kBlockSize && Format::kUnitBytes == kBlockBytes);
    multiply_quantized<Format>(tile, scratch);
  }
}

inline void multiply(DType dtype, const Tile& tile, TileScratch* scratch) {
  std::memset(scratch->sums, 0, static_cast<size_t>(tile.n_inputs) * sizeof(scratch->sums[0]));
  switch (dtype) {
#define TIDAL_FORMAT(name, ggml_type, block_size, block_bytes) \
  case DType::k##name:                                         \
    return multiply_format<Unpack##name, block_size, block_bytes>(tile, scratch);
#include "tensor/formats.def"
#undef TIDAL_FORMAT
  }
}

inline constexpr MatmulKernels kKernels = {kTilePanels, &quantize, &multiply};

}  // namespace TIDAL_VARIANT
}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
