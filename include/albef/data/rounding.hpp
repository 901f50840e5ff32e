// Floating-point arithmetic that comes out the same for every compiler and every option.
#pragma once

namespace albef::detail {

/// Rounds a product by itself: compilers may otherwise fuse it with the addition that follows, and
/// where a result is then cut to an integer, the last bit decides.
template <class T>
inline T rounded(T x) {
  volatile T y = x;
  return y;
}

}  // namespace albef::detail
