// Decoders of the float formats; included by matmul_variant-inl.h only. A decoder turns 16 bytes of
// each row into kColumns values a row: values[column][row].

struct UnpackF32 {
  static constexpr int kColumns = 4, kBytes = 4;
  static HWY_INLINE void unpack(const uint8_t* p, size_t stride, float (*out)[kMaxLanes]) {
    const Words v = load_words(p, stride);
    for (int j = 0; j < 4; ++j) hn::Store(hn::BitCast(df, v.w[j]), df, out[j]);
  }
};

struct UnpackF16 {
  static constexpr int kColumns = 8, kBytes = 2;
  static HWY_INLINE void unpack(const uint8_t* p, size_t stride, float (*out)[kMaxLanes]) {
    const Words v = load_words(p, stride);
    for (int j = 0; j < 4; ++j) {
      hn::Store(low_half_to_float(v.w[j]), df, out[2 * j]);
      hn::Store(high_half_to_float(v.w[j]), df, out[2 * j + 1]);
    }
  }
};

struct UnpackBF16 {
  static constexpr int kColumns = 8, kBytes = 2;
  static HWY_INLINE void unpack(const uint8_t* p, size_t stride, float (*out)[kMaxLanes]) {
    const Words v = load_words(p, stride);
    for (int j = 0; j < 4; ++j) {
      const VU high = hn::And(v.w[j], hn::Set(du, 0xffff0000u));
      hn::Store(hn::BitCast(df, hn::ShiftLeft<16>(v.w[j])), df, out[2 * j]);
      hn::Store(hn::BitCast(df, high), df, out[2 * j + 1]);
    }
  }
};
