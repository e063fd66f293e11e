// e^x for the targets of Highway: include once per target.
//
// Relative error at most 2.3e-7 for -87.3 <= x <= 88; 0 below that range, NaN for NaN.
#if defined(TIDAL_OPS_CPU_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIDAL_OPS_CPU_EXP_INL_H_
#undef TIDAL_OPS_CPU_EXP_INL_H_
#else
#define TIDAL_OPS_CPU_EXP_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// x = n ln 2 + f ln 2 with |f| <= 1/2; 2^f by a minimax polynomial, 2^n by the exponent field.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V fast_exp(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504f)));
  V f = hn::MulSub(x, hn::Set(d, 1.44269504f), n);
  f = hn::MulAdd(x, hn::Set(d, 1.925963e-8f), f);  // the low part of log2 e
  V p = hn::Set(d, 0.0013276472f);
  p = hn::MulAdd(p, f, hn::Set(d, 0.009675542f));
  p = hn::MulAdd(p, f, hn::Set(d, 0.05550713f));
  p = hn::MulAdd(p, f, hn::Set(d, 0.2402212f));
  p = hn::MulAdd(p, f, hn::Set(d, 0.69314694f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  const auto scale = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  const V y = hn::Mul(p, hn::BitCast(d, scale));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.3f)), y);
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
