// Vector helpers of the matrix product kernels; included by matmul_variant-inl.h only.

using DF = hn::CappedTag<float, kPanelRows>;
using DI = hn::RebindToSigned<DF>;
using DU = hn::RebindToUnsigned<DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;
using VU = hn::Vec<DU>;

constexpr DF df;
constexpr DI di;
constexpr DU du;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(DF()));  // rows per vector
constexpr int kParts = kPanelRows / kLanes;                   // vectors across a panel

// A block of a panel, from the lane of this vector's first row on. The field at byte `offset` of a
// single row's block is at 16 times that here.
struct Unit {
  const uint8_t* block;
  int lane;

  HWY_INLINE VU word(int offset) const {
    return hn::LoadU(du, reinterpret_cast<const uint32_t*>(block + kPanelRows * offset) + lane);
  }
  HWY_INLINE VF f16(int offset) const {
    const hn::Rebind<hwy::float16_t, DF> d16;
    const auto* p = reinterpret_cast<const hwy::float16_t*>(block + kPanelRows * offset);
    return hn::PromoteTo(df, hn::LoadU(d16, p + lane));
  }
  HWY_INLINE VF bf16(int offset) const {
    const hn::Rebind<uint16_t, DF> d16;
    const auto* p = reinterpret_cast<const uint16_t*>(block + kPanelRows * offset);
    const VU wide = hn::PromoteTo(du, hn::LoadU(d16, p + lane));
    return hn::BitCast(df, hn::ShiftLeft<16>(wide));
  }
};

HWY_INLINE VU set_bytes(uint32_t byte) { return hn::Set(du, byte * 0x01010101u); }
// The four bits of each byte starting at bit kShift (0 or 4).
template <int kShift>
HWY_INLINE VU nibbles(VU v) {
  return hn::And(hn::ShiftRight<kShift>(v), set_bytes(15));
}
// Shifts left by kBits, or right if kBits is negative.
template <int kBits>
HWY_INLINE VU shift(VU v) {
  if constexpr (kBits >= 0) {
    return hn::ShiftLeft<kBits>(v);
  } else {
    return hn::ShiftRight<-kBits>(v);
  }
}
HWY_INLINE VF unsigned_to_float(VU v) { return hn::ConvertTo(df, hn::BitCast(di, v)); }

HWY_INLINE VI broadcast(const void* four_bytes) {
  int32_t bits;
  std::memcpy(&bits, four_bytes, sizeof(bits));
  return hn::Set(di, bits);
}

#if TIDAL_VNNI
// sum + the products of a lane's four unsigned codes with four signed bytes of x.
HWY_INLINE VI dot_bytes(VI sum, VU codes, VI x) {
  return VI{_mm512_dpbusd_epi32(sum.raw, codes.raw, x.raw)};
}
#else
// The even and odd bytes of each lane as pairs of 16 bits.
HWY_INLINE VI even_bytes(VU v) { return hn::BitCast(di, hn::And(v, hn::Set(du, 0x00ff00ffu))); }
HWY_INLINE VI odd_bytes(VU v) {
  const hn::Repartition<uint16_t, DU> d16;
  return hn::BitCast(di, hn::ShiftRight<8>(hn::BitCast(d16, v)));
}
// sum + a.even * b.even + a.odd * b.odd over the 16-bit halves of each 32-bit lane, exactly.
HWY_INLINE VI dot_pairs(VI sum, VI a, VI b) {
#if HWY_TARGET == HWY_AVX3
  return hn::Add(sum, VI{_mm512_madd_epi16(a.raw, b.raw)});
#elif HWY_TARGET == HWY_AVX2
  return hn::Add(sum, VI{_mm256_madd_epi16(a.raw, b.raw)});
#else
  const auto low = [](VI v) { return hn::ShiftRight<16>(hn::ShiftLeft<16>(v)); };
  const auto high = [](VI v) { return hn::ShiftRight<16>(v); };
  return hn::Add(sum, hn::Add(hn::Mul(low(a), low(b)), hn::Mul(high(a), high(b))));
#endif
}
#endif
