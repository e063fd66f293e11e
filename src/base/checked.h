// Overflow-checked arithmetic for sizes that come from a file. Each returns false on overflow and
// leaves *out unspecified.
#pragma once

#include <concepts>

namespace tidal {

template <std::integral T>
[[nodiscard]] constexpr bool checked_add(T a, T b, T* out) {
  return !__builtin_add_overflow(a, b, out);
}

template <std::integral T>
[[nodiscard]] constexpr bool checked_mul(T a, T b, T* out) {
  return !__builtin_mul_overflow(a, b, out);
}

}  // namespace tidal
