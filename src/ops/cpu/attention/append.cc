// Writing K and V rows, from float to the cache's type: memory-bound, and small beside the rest.

#include <algorithm>

#include "base/check.h"
#include "base/half.h"
#include "ops/cpu/attention/attention_kernels.h"
#include "ops/cpu/simd_targets.h"
#include "tensor/formats/q8_0.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention/append.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 8>;  // n is a multiple of 8

void store_f16(const float* src, int64_t n, uint16_t* dst) {
  const Tag d;
  const hn::Rebind<hwy::float16_t, Tag> d16;
  const hn::Rebind<uint16_t, Tag> du16;
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(hn::BitCast(du16, hn::DemoteTo(d16, hn::LoadU(d, src + i))), du16, dst + i);
  }
}

// Highway's own demotion truncates; this rounds to nearest even and keeps NaN a NaN.
void store_bf16(const float* src, int64_t n, uint16_t* dst) {
  const Tag d;
  const hn::RebindToUnsigned<Tag> du;
  const hn::RebindToSigned<Tag> di;
  const hn::Rebind<uint16_t, Tag> du16;
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    const auto x = hn::LoadU(d, src + i);
    const auto bits = hn::BitCast(du, x);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
    const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff)));
    const auto quiet = hn::Or(bits, hn::Set(du, 0x400000));
    const auto nan = hn::RebindMask(du, hn::IsNaN(x));
    const auto high = hn::ShiftRight<16>(hn::IfThenElse(nan, quiet, rounded));
    hn::StoreU(hn::DemoteTo(du16, hn::BitCast(di, high)), du16, dst + i);
  }
}

// Like encode_block(); n is a multiple of 32.
void store_q8_0(const float* src, int64_t n, BlockQ8_0* dst) {
  const Tag d;
  const hn::RebindToSigned<Tag> di;
  const hn::Rebind<int8_t, Tag> d8;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(Tag()));
  for (int64_t b = 0; b < n / BlockQ8_0::kSize; ++b, src += BlockQ8_0::kSize) {
    auto largest = hn::Zero(d);
    for (int i = 0; i < BlockQ8_0::kSize; i += kLanes) {
      largest = hn::Max(largest, hn::Abs(hn::LoadU(d, src + i)));
    }
    const float scale = hn::GetLane(hn::MaxOfLanes(d, largest)) / 127.0f;
    const auto inverse = hn::Set(d, inverse_or_zero(scale));
    dst[b].scale = float_to_f16(scale);
    for (int i = 0; i < BlockQ8_0::kSize; i += kLanes) {
      const auto x = hn::Mul(hn::LoadU(d, src + i), inverse);
      // Rounds away from zero: this addition must not push values just below a half up to it.
      const auto half = hn::CopySign(hn::Set(d, 0.49999997f), x);
      const auto limit = hn::Set(d, 127.0f);
      const auto rounded = hn::Max(hn::Neg(limit), hn::Min(limit, hn::Add(x, half)));
      hn::StoreU(hn::DemoteTo(d8, hn::ConvertTo(di, rounded)), d8, dst[b].values + i);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidal::cpu {

HWY_EXPORT(store_f16);
HWY_EXPORT(store_bf16);
HWY_EXPORT(store_q8_0);

namespace {

void store_row(DType type, const float* src, int64_t n, std::byte* dst) {
  switch (type) {
    case DType::kF16:
      return HWY_DYNAMIC_DISPATCH(store_f16)(src, n, reinterpret_cast<uint16_t*>(dst));
    case DType::kBF16:
      return HWY_DYNAMIC_DISPATCH(store_bf16)(src, n, reinterpret_cast<uint16_t*>(dst));
    case DType::kQ8_0:
      return HWY_DYNAMIC_DISPATCH(store_q8_0)(src, n, reinterpret_cast<BlockQ8_0*>(dst));
    case DType::kF32:
      std::copy_n(src, n, reinterpret_cast<float*>(dst));
      return;
    default:
      TIDAL_CHECK(false, "cache rows of type {}", dtype_name(type));
  }
}

}  // namespace

void append(ThreadPool& pool, std::span<const AppendItem> items) {
  int64_t n_pages = 0;
  for (const AppendItem& item : items) {
    TIDAL_CHECK(item.first_position + item.n_rows <= item.kv.length);
    n_pages = std::max(n_pages, (item.n_rows + kPageRows - 1) / kPageRows);
  }
  pool.run(static_cast<int64_t>(items.size()) * n_pages, [&](int64_t task, int) {
    const AppendItem& item = items[static_cast<size_t>(task / n_pages)];
    const int64_t width = int64_t{item.kv.n_kv_heads} * item.kv.head_dim;
    const int64_t begin = task % n_pages * kPageRows;
    for (int64_t i = begin; i < std::min(begin + kPageRows, item.n_rows); ++i) {
      const int64_t position = item.first_position + i;
      store_row(item.kv.k.dtype, item.k + i * width, width, item.kv.k_row(position));
      store_row(item.kv.v.dtype, item.v + i * width, width, item.kv.v_row(position));
    }
  });
}

}  // namespace tidal::cpu
#endif  // HWY_ONCE
