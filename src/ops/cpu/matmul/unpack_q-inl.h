// Decoders of the formats with blocks of 32; included by matmul_variant-inl.h only.
//
// A decoder unpacks block g of a unit (a block, or a superblock of 256):
//   weight = scale * (code - 2^kCenterBits) + min, without the power where kCenterBits is 0.
// Word j of the codes holds columns 4 j to 4 j + 3. kGroups scales belong to a block of 32; min
// exists if kHasMin.

struct Block {
  HWY_INLINE Block() {}  // GCC gives an implicit one no target

  VU codes[kBlock / 4];
  VF scales[2];
  VF min;
};

template <int kHeaderBytes>
HWY_INLINE void load_nibbles(Unit unit, Block* out) {
  HWY_UNROLL(4)
  for (int j = 0; j < 4; ++j) {
    const VU q = unit.word(kHeaderBytes + 4 * j);
    out->codes[j] = nibbles<0>(q);
    out->codes[j + 4] = nibbles<4>(q);
  }
}

// Bits 4 g to 4 g + 3 of each lane as bit 4 of the lane's four bytes. The product puts bit i at i +
// 7 j + 4 for j in 0..3: no two collide, and i == j is where byte i needs it.
template <int g>
HWY_INLINE VU spread_fifth_bits(VU bits) {
  const VU nibble = hn::And(hn::ShiftRight<4 * g>(bits), hn::Set(du, 15u));
  const VI product = hn::Mul(hn::BitCast(di, nibble), hn::Set(di, 0x02040810));
  return hn::And(hn::BitCast(du, product), set_bytes(16));
}

template <int g = 0>
HWY_INLINE void add_fifth_bits(VU bits, Block* out) {
  out->codes[g] = hn::Or(out->codes[g], spread_fifth_bits<g>(bits));
  if constexpr (g + 1 < kBlock / 4) add_fifth_bits<g + 1>(bits, out);
}

struct UnpackQ4_0 {
  static constexpr int kUnitBlocks = 1, kUnitBytes = 18, kGroups = 1, kCenterBits = 3;
  static constexpr bool kHasMin = false;
  template <int g>
  static HWY_INLINE void load(Unit unit, Block* out) {
    out->scales[0] = unit.f16(0);
    load_nibbles<2>(unit, out);
  }
};

struct UnpackQ4_1 {
  static constexpr int kUnitBlocks = 1, kUnitBytes = 20, kGroups = 1, kCenterBits = 0;
  static constexpr bool kHasMin = true;
  template <int g>
  static HWY_INLINE void load(Unit unit, Block* out) {
    out->scales[0] = unit.f16(0);
    out->min = unit.f16(2);
    load_nibbles<4>(unit, out);
  }
};

struct UnpackQ5_0 {
  static constexpr int kUnitBlocks = 1, kUnitBytes = 22, kGroups = 1, kCenterBits = 4;
  static constexpr bool kHasMin = false;
  template <int g>
  static HWY_INLINE void load(Unit unit, Block* out) {
    out->scales[0] = unit.f16(0);
    load_nibbles<6>(unit, out);
    add_fifth_bits(unit.word(2), out);
  }
};

struct UnpackQ5_1 {
  static constexpr int kUnitBlocks = 1, kUnitBytes = 24, kGroups = 1, kCenterBits = 0;
  static constexpr bool kHasMin = true;
  template <int g>
  static HWY_INLINE void load(Unit unit, Block* out) {
    out->scales[0] = unit.f16(0);
    out->min = unit.f16(2);
    load_nibbles<8>(unit, out);
    add_fifth_bits(unit.word(4), out);
  }
};

struct UnpackQ8_0 {
  static constexpr int kUnitBlocks = 1, kUnitBytes = 34, kGroups = 1, kCenterBits = 7;
  static constexpr bool kHasMin = false;
  template <int g>
  static HWY_INLINE void load(Unit unit, Block* out) {
    out->scales[0] = unit.f16(0);
    HWY_UNROLL(8)
    for (int j = 0; j < kBlock / 4; ++j) {
      out->codes[j] = hn::Xor(unit.word(2 + 4 * j), set_bytes(128));  // + 128
    }
  }
};

struct UnpackIQ4_NL {
  static constexpr int kUnitBlocks = 1, kUnitBytes = 18, kGroups = 1, kCenterBits = 7;
  static constexpr bool kHasMin = false;
  template <int g>
  static HWY_INLINE void load(Unit unit, Block* out) {
    const hn::Repartition<int8_t, DU> d8;
    const VU levels = hn::BitCast(du, hn::LoadDup128(d8, kIq4Levels));
    const auto codes = hn::BitCast(d8, hn::Xor(levels, set_bytes(128)));  // + 128
    out->scales[0] = unit.f16(0);
    load_nibbles<2>(unit, out);
    HWY_UNROLL(8)
    for (int j = 0; j < kBlock / 4; ++j) {
      const auto q = hn::BitCast(d8, out->codes[j]);
      out->codes[j] = hn::BitCast(du, hn::TableLookupBytes(codes, q));
    }
  }
};
