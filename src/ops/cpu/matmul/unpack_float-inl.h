// Decoders of the float formats; included by matmul_variant-inl.h only. One column of a panel.

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
