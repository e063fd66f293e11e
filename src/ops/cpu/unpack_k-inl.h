// Decoders of the formats with superblocks of 256; included by matmul_variant-inl.h only. Layouts:
// tensor/formats/q4_k.h, q5_k.h, q6_k.h and k_scales.h.

// Scales and mins of the eight groups of a Q4_K or Q5_K superblock, whose first 16 bytes are
// scale, min and the 12 packed bytes of k_scales.h.
HWY_INLINE void unpack_k_header(const uint8_t* p, size_t stride, Panel* out, int b) {
  const Words header = load_words(p, stride);
  const VF scale = low_half_to_float(header.w[0]);
  const VF min = hn::Neg(high_half_to_float(header.w[0]));
  for (int j = 0; j < 4; ++j) {
    const auto byte = [j](VU v) {
      return hn::And(hn::ShiftRightSame(v, 8 * j), hn::Set(du, 255u));
    };
    const auto six_bits = [](VU v) { return hn::And(v, hn::Set(du, 63u)); };
    const VU scales = byte(header.w[1]), mins = byte(header.w[2]), lower = byte(header.w[3]);
    const auto upper_two = [](VU v) { return hn::And(hn::ShiftRight<2>(v), hn::Set(du, 0x30u)); };
    const VU late_scales = hn::Or(hn::And(lower, hn::Set(du, 15u)), upper_two(scales));
    const VU late_mins = hn::Or(hn::ShiftRight<4>(lower), upper_two(mins));
    const auto store = [](VF factor, VU v, float* to) {
      hn::Store(hn::Mul(factor, unsigned_to_float(v)), df, to);
    };
    store(scale, six_bits(scales), out->scales[b + j][0]);
    store(min, six_bits(mins), out->mins[b + j]);
    store(scale, late_scales, out->scales[b + j + 4][0]);
    store(min, late_mins, out->mins[b + j + 4]);
  }
}

struct UnpackQ4_K {
  static constexpr int kUnitBlocks = 8, kUnitBytes = 144, kGroups = 1;
  static constexpr bool kHasMin = true;
  static HWY_INLINE void unpack(const uint8_t* p, size_t stride, Panel* out, int b) {
    unpack_k_header(p, stride, out, b);
    for (int part = 0; part < 8; ++part) {  // 16 bytes: half of a pair of groups
      const Words q = load_words(p + 16 + 16 * part, stride);
      const int g = b + part / 2 * 2;
      for (int j = 0; j < 4; ++j) {
        store_codes(low_nibbles(q.w[j]), out->codes[g][part % 2 * 4 + j]);
        store_codes(high_nibbles(q.w[j]), out->codes[g + 1][part % 2 * 4 + j]);
      }
    }
  }
};

struct UnpackQ5_K {
  static constexpr int kUnitBlocks = 8, kUnitBytes = 176, kGroups = 1;
  static constexpr bool kHasMin = true;
  static HWY_INLINE void unpack(const uint8_t* p, size_t stride, Panel* out, int b) {
    unpack_k_header(p, stride, out, b);
    for (int half = 0; half < 2; ++half) {  // of every group's 32 bytes
      const Words high = load_words(p + 16 + 16 * half, stride);
      for (int pair = 0; pair < 4; ++pair) {
        const Words q = load_words(p + 48 + 32 * pair + 16 * half, stride);
        for (int j = 0; j < 4; ++j) {
          const auto fifth = [&](int g) {
            const VU bit = hn::And(hn::ShiftRightSame(high.w[j], g), set_bytes(1));
            return hn::ShiftLeft<4>(bit);
          };
          int8_t(*codes)[kBlock / 4][kMaxLanes * 4] = out->codes + b + 2 * pair;
          store_codes(hn::Or(low_nibbles(q.w[j]), fifth(2 * pair)), codes[0][4 * half + j]);
          store_codes(hn::Or(high_nibbles(q.w[j]), fifth(2 * pair + 1)), codes[1][4 * half + j]);
        }
      }
    }
  }
};

struct UnpackQ6_K {
  static constexpr int kUnitBlocks = 8, kUnitBytes = 210, kGroups = 2;
  static constexpr bool kHasMin = false;
  static HWY_INLINE void unpack(const uint8_t* p, size_t stride, Panel* out, int b) {
    unpack_scales(p, stride, out, b);
    for (int part = 0; part < 4; ++part) {  // 16 bytes of high bits: half of a half
      const int half = part / 2;
      const int column = part % 2 * 4;
      const Words high = load_words(p + 128 + 16 * part, stride);
      for (int odd = 0; odd < 2; ++odd) {
        const Words q = load_words(p + 64 * half + 32 * odd + 16 * (part % 2), stride);
        for (int j = 0; j < 4; ++j) {
          const auto code = [&](VU nibbles, int r) {
            const VU bits = hn::And(hn::ShiftRightSame(high.w[j], 2 * r), set_bytes(3));
            return minus_bytes(hn::Or(nibbles, hn::ShiftLeft<4>(bits)), 32);
          };
          const int g = b + 4 * half + odd;
          store_codes(code(low_nibbles(q.w[j]), odd), out->codes[g][column + j]);
          store_codes(code(high_nibbles(q.w[j]), odd + 2), out->codes[g + 2][column + j]);
        }
      }
    }
  }

 private:
  static HWY_INLINE void unpack_scales(const uint8_t* p, size_t stride, Panel* out, int b) {
    const VF scale = high_half_to_float(load_words(p + 194, stride).w[3]);  // bytes 208, 209
    const Words groups = load_words(p + 192, stride);
    for (int j = 0; j < 4; ++j) {
      for (int k = 0; k < 4; ++k) {
        const VI top = hn::ShiftLeftSame(hn::BitCast(di, groups.w[j]), 24 - 8 * k);
        const VF group = hn::ConvertTo(df, hn::ShiftRight<24>(top));
        hn::Store(hn::Mul(scale, group), df, out->scales[b + 2 * j + k / 2][k % 2]);
      }
    }
  }
};
