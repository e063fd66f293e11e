// Decoders of the float formats, one column of a panel each; included by matmul_variant-inl.h only.

struct UnpackF32 {
  static constexpr int kBytes = 4;
  static HWY_INLINE VF load(Unit unit) { return hn::BitCast(df, unit.word(0)); }
};

struct UnpackF16 {
  static constexpr int kBytes = 2;
  static HWY_INLINE VF load(Unit unit) { return unit.f16(0); }
};

struct UnpackBF16 {
  static constexpr int kBytes = 2;
  static HWY_INLINE VF load(Unit unit) { return unit.bf16(0); }
};
