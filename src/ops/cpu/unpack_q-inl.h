// Decoders of the formats with blocks of 32; included by matmul_variant-inl.h only.
//
// A decoder takes one unit (a block, or a superblock of 256) of the tile's rows at `p`, a row
// apart by `stride`, and writes kUnitBlocks blocks of the panel: weight = scale * code + min.
// kGroups scales belong to a block of 32; min exists if kHasMin.

struct UnpackQ4_0 {
  static constexpr int kUnitBlocks = 1, kUnitBytes = 18, kGroups = 1;
  static constexpr bool kHasMin = false;
  static HWY_INLINE void unpack(const uint8_t* p, size_t stride, Panel* out, int b) {
    hn::Store(low_half_to_float(load_words(p, stride).w[0]), df, out->scales[b][0]);
    const Words q = load_words(p + 2, stride);
    for (int j = 0; j < 4; ++j) {
      store_codes(minus_bytes(low_nibbles(q.w[j]), 8), out->codes[b][j]);
      store_codes(minus_bytes(high_nibbles(q.w[j]), 8), out->codes[b][j + 4]);
    }
  }
};

struct UnpackQ4_1 {
  static constexpr int kUnitBlocks = 1, kUnitBytes = 20, kGroups = 1;
  static constexpr bool kHasMin = true;
  static HWY_INLINE void unpack(const uint8_t* p, size_t stride, Panel* out, int b) {
    const VU header = load_words(p, stride).w[0];
    hn::Store(low_half_to_float(header), df, out->scales[b][0]);
    hn::Store(high_half_to_float(header), df, out->mins[b]);
    const Words q = load_words(p + 4, stride);
    for (int j = 0; j < 4; ++j) {
      store_codes(low_nibbles(q.w[j]), out->codes[b][j]);
      store_codes(high_nibbles(q.w[j]), out->codes[b][j + 4]);
    }
  }
};

// Bits 4 g to 4 g + 3 of each lane as bit 4 of the lane's four bytes. The product puts bit i at
// i + 7 j + 4 for j in 0..3: no two meet, and i == j is where byte i wants it.
HWY_INLINE VU spread_fifth_bits(VU bits, int g) {
  const VU nibble = hn::And(hn::ShiftRightSame(bits, 4 * g), hn::Set(du, 15u));
  const VI product = hn::Mul(hn::BitCast(di, nibble), hn::Set(di, 0x02040810));
  return hn::And(hn::BitCast(du, product), set_bytes(16));
}

HWY_INLINE void store_five_bits(const Words& q, VU high, uint32_t center, Panel* out, int b) {
  for (int j = 0; j < 4; ++j) {
    const VU low = hn::Or(low_nibbles(q.w[j]), spread_fifth_bits(high, j));
    const VU upper = hn::Or(high_nibbles(q.w[j]), spread_fifth_bits(high, j + 4));
    store_codes(minus_bytes(low, center), out->codes[b][j]);
    store_codes(minus_bytes(upper, center), out->codes[b][j + 4]);
  }
}

struct UnpackQ5_0 {
  static constexpr int kUnitBlocks = 1, kUnitBytes = 22, kGroups = 1;
  static constexpr bool kHasMin = false;
  static HWY_INLINE void unpack(const uint8_t* p, size_t stride, Panel* out, int b) {
    const Words header = load_words(p, stride);
    hn::Store(low_half_to_float(header.w[0]), df, out->scales[b][0]);
    const VU high = hn::Or(hn::ShiftRight<16>(header.w[0]), hn::ShiftLeft<16>(header.w[1]));
    store_five_bits(load_words(p + 6, stride), high, 16, out, b);
  }
};

struct UnpackQ5_1 {
  static constexpr int kUnitBlocks = 1, kUnitBytes = 24, kGroups = 1;
  static constexpr bool kHasMin = true;
  static HWY_INLINE void unpack(const uint8_t* p, size_t stride, Panel* out, int b) {
    const Words header = load_words(p, stride);
    hn::Store(low_half_to_float(header.w[0]), df, out->scales[b][0]);
    hn::Store(high_half_to_float(header.w[0]), df, out->mins[b]);
    store_five_bits(load_words(p + 8, stride), header.w[1], 0, out, b);
  }
};

struct UnpackQ8_0 {
  static constexpr int kUnitBlocks = 1, kUnitBytes = 34, kGroups = 1;
  static constexpr bool kHasMin = false;
  static HWY_INLINE void unpack(const uint8_t* p, size_t stride, Panel* out, int b) {
    hn::Store(low_half_to_float(load_words(p, stride).w[0]), df, out->scales[b][0]);
    for (int half = 0; half < 2; ++half) {
      const Words q = load_words(p + 2 + 16 * half, stride);
      for (int j = 0; j < 4; ++j) store_codes(q.w[j], out->codes[b][4 * half + j]);
    }
  }
};
