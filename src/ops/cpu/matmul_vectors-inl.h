// Vector helpers of the matrix product kernels; included by matmul_variant-inl.h only.

using DF = hn::CappedTag<float, kMaxLanes>;
using DI = hn::RebindToSigned<DF>;
using DU = hn::RebindToUnsigned<DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;
using VU = hn::Vec<DU>;
using DBytes = hn::Repartition<int8_t, DF>;
using VBytes = hn::Vec<DBytes>;

constexpr DF df;
constexpr DI di;
constexpr DU du;
constexpr DBytes dbytes;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(DF()));  // output rows of a panel

// 16 bytes at p + 4 i stride for each 128-bit block i.
template <class D>
HWY_INLINE hn::Vec<D> load_every_fourth(D d, const uint8_t* p, size_t stride) {
  if constexpr (hn::MaxLanes(D()) <= 4) {
    return hn::BitCast(d, hn::LoadU(hn::Repartition<uint8_t, D>(), p));
  } else {
    const hn::Half<D> half;
    const uint8_t* upper = p + hn::MaxLanes(half) * stride;
    return hn::Combine(d, load_every_fourth(half, upper, stride),
                       load_every_fourth(half, p, stride));
  }
}

// Four consecutive 32-bit words of every row of the tile, transposed: lane r is row r.
struct Words {
  VU w[4];
};
HWY_INLINE Words load_words(const uint8_t* p, size_t stride) {
  const VU r0 = load_every_fourth(du, p, stride);
  const VU r1 = load_every_fourth(du, p + stride, stride);
  const VU r2 = load_every_fourth(du, p + 2 * stride, stride);
  const VU r3 = load_every_fourth(du, p + 3 * stride, stride);
  const hn::Repartition<uint64_t, DU> d64;
  const auto lower01 = hn::BitCast(d64, hn::InterleaveLower(du, r0, r1));
  const auto lower23 = hn::BitCast(d64, hn::InterleaveLower(du, r2, r3));
  const auto upper01 = hn::BitCast(d64, hn::InterleaveUpper(du, r0, r1));
  const auto upper23 = hn::BitCast(d64, hn::InterleaveUpper(du, r2, r3));
  return {{hn::BitCast(du, hn::InterleaveLower(d64, lower01, lower23)),
           hn::BitCast(du, hn::InterleaveUpper(d64, lower01, lower23)),
           hn::BitCast(du, hn::InterleaveLower(d64, upper01, upper23)),
           hn::BitCast(du, hn::InterleaveUpper(d64, upper01, upper23))}};
}

// The f16 in the low (high) half of each lane.
HWY_INLINE VF low_half_to_float(VU v) {
  const hn::Rebind<uint16_t, DF> d16;
  const hn::Rebind<hwy::float16_t, DF> df16;
  return hn::PromoteTo(df, hn::BitCast(df16, hn::TruncateTo(d16, v)));
}
HWY_INLINE VF high_half_to_float(VU v) { return low_half_to_float(hn::ShiftRight<16>(v)); }

HWY_INLINE VU set_bytes(uint32_t byte) { return hn::Set(du, byte * 0x01010101u); }
HWY_INLINE VU low_nibbles(VU v) { return hn::And(v, set_bytes(15)); }
HWY_INLINE VU high_nibbles(VU v) { return hn::And(hn::ShiftRight<4>(v), set_bytes(15)); }
HWY_INLINE void store_codes(VU v, int8_t* out) { hn::Store(hn::BitCast(dbytes, v), dbytes, out); }
HWY_INLINE VU minus_bytes(VU v, uint32_t byte) {
  return hn::BitCast(du, hn::Sub(hn::BitCast(dbytes, v), hn::BitCast(dbytes, set_bytes(byte))));
}
HWY_INLINE VF unsigned_to_float(VU v) { return hn::ConvertTo(df, hn::BitCast(di, v)); }

// sum + a.even * b.even + a.odd * b.odd over the 16-bit halves of each 32-bit lane, exactly.
HWY_INLINE VI dot_pairs(VI sum, VI a, VI b) {
#if TIDAL_VNNI
  return VI{_mm512_dpwssd_epi32(sum.raw, a.raw, b.raw)};
#elif HWY_TARGET == HWY_AVX3
  return hn::Add(sum, VI{_mm512_madd_epi16(a.raw, b.raw)});
#elif HWY_TARGET == HWY_AVX2
  return hn::Add(sum, VI{_mm256_madd_epi16(a.raw, b.raw)});
#else
  const auto low = [](VI v) { return hn::ShiftRight<16>(hn::ShiftLeft<16>(v)); };
  const auto high = [](VI v) { return hn::ShiftRight<16>(v); };
  return hn::Add(sum, hn::Add(hn::Mul(low(a), low(b)), hn::Mul(high(a), high(b))));
#endif
}
