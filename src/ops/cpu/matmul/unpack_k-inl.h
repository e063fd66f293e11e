// Decoders of the formats with superblocks of 256; included by matmul_variant-inl.h only. Layouts:
// tensor/formats/q4_k.h, q5_k.h, q6_k.h and k_scales.h. Data shared by two blocks of a superblock
// is loaded for each of them: it is in the first-level cache.

// Byte kIndex of each lane.
template <int kIndex>
HWY_INLINE VU byte_of(VU v) {
  return hn::And(hn::ShiftRight<8 * kIndex>(v), hn::Set(du, 255u));
}

// Scale and min of block g of a Q4_K or Q5_K superblock, whose first 16 bytes are scale, min and
// the 12 packed bytes of k_scales.h.
template <int g>
HWY_INLINE void load_k_header(Unit unit, Block* out) {
  VU scale = byte_of<g % 4>(unit.word(4));
  VU min = byte_of<g % 4>(unit.word(8));
  if constexpr (g < 4) {
    scale = hn::And(scale, hn::Set(du, 63u));
    min = hn::And(min, hn::Set(du, 63u));
  } else {
    const VU lower = byte_of<g % 4>(unit.word(12));
    const auto upper_two = [](VU v) { return hn::And(hn::ShiftRight<2>(v), hn::Set(du, 0x30u)); };
    scale = hn::Or(hn::And(lower, hn::Set(du, 15u)), upper_two(scale));
    min = hn::Or(hn::ShiftRight<4>(lower), upper_two(min));
  }
  out->scales[0] = hn::Mul(unit.f16(0), unsigned_to_float(scale));
  out->min = hn::Mul(hn::Neg(unit.f16(2)), unsigned_to_float(min));
}

struct UnpackQ4_K {
  static constexpr int kUnitBlocks = 8, kUnitBytes = 144, kGroups = 1, kCenterBits = 0;
  static constexpr bool kHasMin = true;
  template <int g>
  static HWY_INLINE void load(Unit unit, Block* out) {
    load_k_header<g>(unit, out);
    HWY_UNROLL(8)
    for (int j = 0; j < kBlock / 4; ++j) {
      out->codes[j] = nibbles<g % 2 * 4>(unit.word(16 + g / 2 * 32 + 4 * j));
    }
  }
};

struct UnpackQ5_K {
  static constexpr int kUnitBlocks = 8, kUnitBytes = 176, kGroups = 1, kCenterBits = 0;
  static constexpr bool kHasMin = true;
  template <int g>
  static HWY_INLINE void load(Unit unit, Block* out) {
    load_k_header<g>(unit, out);
    HWY_UNROLL(8)
    for (int j = 0; j < kBlock / 4; ++j) {
      const VU low = nibbles<g % 2 * 4>(unit.word(48 + g / 2 * 32 + 4 * j));
      const VU fifth = hn::And(shift<4 - g>(unit.word(16 + 4 * j)), set_bytes(16));
      out->codes[j] = hn::Or(low, fifth);
    }
  }
};

struct UnpackQ6_K {
  static constexpr int kUnitBlocks = 8, kUnitBytes = 210, kGroups = 2, kCenterBits = 5;
  static constexpr bool kHasMin = false;
  template <int g>
  static HWY_INLINE void load(Unit unit, Block* out) {
    constexpr int kHalf = g / 4, kRow = g % 4;  // the layout's h and r
    const VF scale = unit.f16(208);
    const VI groups = hn::BitCast(di, unit.word(192 + g / 2 * 4));
    const auto group_scale = [&](VI top) {
      return hn::Mul(scale, hn::ConvertTo(df, hn::ShiftRight<24>(top)));
    };
    out->scales[0] = group_scale(hn::ShiftLeft<24 - g % 2 * 16>(groups));
    out->scales[1] = group_scale(hn::ShiftLeft<16 - g % 2 * 16>(groups));
    HWY_UNROLL(8)
    for (int j = 0; j < kBlock / 4; ++j) {
      const VU low = nibbles<kRow / 2 * 4>(unit.word(64 * kHalf + kRow % 2 * 32 + 4 * j));
      const VU high = shift<4 - 2 * kRow>(unit.word(128 + 32 * kHalf + 4 * j));
      out->codes[j] = hn::Or(low, hn::And(high, set_bytes(0x30)));
    }
  }
};
