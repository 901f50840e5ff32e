// Packs of float or double as wide as the instruction set compiled for, with the arithmetic and
// the elementary functions that kernels need. Compiler vector extensions, no intrinsics.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "albef/core/compiler.hpp"

namespace albef {

namespace detail {
#if defined(__AVX512F__)
inline constexpr int pack_bytes = 64;
#elif defined(__AVX__)
inline constexpr int pack_bytes = 32;
#else
inline constexpr int pack_bytes = 16;
#endif

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float Values __attribute__((vector_size(pack_bytes)));
  typedef std::int32_t Mask __attribute__((vector_size(pack_bytes)));
  typedef std::uint32_t Bits __attribute__((vector_size(pack_bytes)));
};
template <>
struct VectorOf<double> {
  typedef double Values __attribute__((vector_size(pack_bytes)));
  typedef std::int64_t Mask __attribute__((vector_size(pack_bytes)));
  typedef std::uint64_t Bits __attribute__((vector_size(pack_bytes)));
};
}  // namespace detail

/// `width` values of T in one register. Element-wise + - * / with packs and scalars.
template <class T>
struct Pack {
  static constexpr int width = detail::pack_bytes / static_cast<int>(sizeof(T));
  using Vector = typename detail::VectorOf<T>::Values;
  using Mask = typename detail::VectorOf<T>::Mask;  // of a comparison: lanes of all ones or 0
  using Bits = typename detail::VectorOf<T>::Bits;

  Vector v;

  Pack() = default;
  Pack(Vector x) : v(x) {}
  Pack(T x) : v(x - Vector{}) {}

  static Pack load(const T* p) {
    Pack r;
    std::memcpy(&r.v, p, sizeof(Vector));
    return r;
  }
  void store(T* p) const { std::memcpy(p, &v, sizeof(Vector)); }

  /// The first n lanes from p, zeros behind; touches nothing past p + n. Any n >= 0.
  static Pack load_n(const T* p, int n) { return n >= width ? load(p) : load_part(p, n); }
  /// Writes the first n lanes.
  void store_n(T* p, int n) const { n >= width ? store(p) : store_part(*this, p, n); }

  /// 0, 1, 2, ...
  static Pack iota() {
    T lanes[width];
    for (int i = 0; i < width; ++i) lanes[i] = static_cast<T>(i);
    return load(lanes);
  }

  Bits bits() const { return reinterpret_cast<Bits>(v); }
  static Pack from_bits(Bits b) { return reinterpret_cast<Vector>(b); }

  friend Pack operator+(Pack a, Pack b) { return a.v + b.v; }
  friend Pack operator-(Pack a, Pack b) { return a.v - b.v; }
  friend Pack operator*(Pack a, Pack b) { return a.v * b.v; }
  friend Pack operator/(Pack a, Pack b) { return a.v / b.v; }
  friend Pack operator-(Pack a) { return -a.v; }
  Pack& operator+=(Pack b) { return v += b.v, *this; }
  Pack& operator*=(Pack b) { return v *= b.v, *this; }

  friend Mask operator<(Pack a, Pack b) { return a.v < b.v; }
  friend Mask operator>(Pack a, Pack b) { return a.v > b.v; }
  friend Mask operator<=(Pack a, Pack b) { return a.v <= b.v; }
  friend Mask operator==(Pack a, Pack b) { return a.v == b.v; }

  /// a * b + c, fused where the instruction set can.
  friend Pack fma(Pack a, Pack b, Pack c) {
#ifdef __clang__
#pragma clang fp reassociate(off)
#endif
    return a.v * b.v + c.v;
  }
  /// The same value, which compilers that may reorder sums (-ffast-math) do not look into.
  friend Pack as_written(Pack a) {
#ifdef __clang__
    return a;  // sees to it in fma()
#elif __has_builtin(__builtin_assoc_barrier)
    return __builtin_assoc_barrier(a.v);
#else
    for (int i = 0; i < width; ++i) asm("" : "+m"(a.v[i]));
    return a;
#endif
  }
  friend Pack select(Mask m, Pack a, Pack b) { return m ? a.v : b.v; }
  /// min and max return `a` when the comparison is false: pass a possible NaN as `a` to keep it.
  friend Pack min(Pack a, Pack b) { return b.v < a.v ? b.v : a.v; }
  friend Pack max(Pack a, Pack b) { return b.v > a.v ? b.v : a.v; }
  friend Pack abs(Pack a) { return from_bits(a.bits() & ~sign_bits()); }
  /// Magnitude of a with the sign of s.
  friend Pack copysign(Pack a, Pack s) {
    return from_bits((a.bits() & ~sign_bits()) | (s.bits() & sign_bits()));
  }
  friend Pack sqrt(Pack a) {
    for (int i = 0; i < width; ++i) a.v[i] = std::sqrt(a.v[i]);
    return a;
  }
  friend Pack log(Pack a) {
    for (int i = 0; i < width; ++i) a.v[i] = std::log(a.v[i]);
    return a;
  }

  /// Sum and maximum of all lanes, combined in halves (a fixed order).
  friend T sum(Pack a) {
    return fold<width / 2>(a, [](Pack x, Pack y) { return x + y; });
  }
  friend T max(Pack a) {
    return fold<width / 2>(a, [](Pack x, Pack y) { return max(x, y); });
  }

 private:
  // Out of line: rare, and their size would keep the callers from being inlined.
  [[gnu::noinline]] static Pack load_part(const T* p, int n) {
    T lanes[width] = {};
    copy_part<width / 2>(lanes, p, n);
    return load(lanes);
  }
  [[gnu::noinline]] static void store_part(Pack x, T* p, int n) {
    T lanes[width];
    x.store(lanes);
    copy_part<width / 2>(p, lanes, n);
  }
  /// Copies n < 2 * Step values as pieces of the fixed sizes Step, Step / 2, ..., 1.
  template <int Step>
  static void copy_part(T* to, const T* from, int n) {
    if constexpr (Step > 0) {
      const int piece = n & Step;
      if (piece) std::memcpy(to, from, sizeof(T) * Step);
      copy_part<Step / 2>(to + piece, from + piece, n);
    }
  }

  static Bits sign_bits() { return Pack(T(-0.0)).bits(); }

  template <int Half, class F>
  static T fold(Pack a, F f) {
    if constexpr (Half == 0) {
      return a.v[0];
    } else {
      return fold<Half / 2>(f(a, swap_lanes<Half>(a, std::make_integer_sequence<int, width>{})), f);
    }
  }
  template <int Distance, int... I>
  static Pack swap_lanes(Pack a, std::integer_sequence<int, I...>) {
    return Pack(Vector(__builtin_shufflevector(a.v, a.v, (I ^ Distance)...)));
  }
};

namespace detail {

/// c[0] + c[1] x + ... by Horner's rule.
template <class T, class... C>
Pack<T> polynomial(Pack<T> x, T first, C... rest) {
  if constexpr (sizeof...(rest) == 0)
    return first;
  else
    return fma(x, polynomial(x, rest...), Pack<T>(first));
}

/// Full products of the low 32 bits of each 64-bit lane: one instruction on x86, which clang
/// recognises in the plain expression and g++ does not.
inline Pack<double>::Bits multiply_low_halves(Pack<double>::Bits a, Pack<double>::Bits b) {
#if defined(__AVX512F__) && !defined(__clang__)
  typedef int Ints __attribute__((vector_size(64)));
  typedef long long Wide __attribute__((vector_size(64)));
  return Pack<double>::Bits(__builtin_ia32_pmuludq512_mask(Ints(a), Ints(b), Wide{}, 0xFF));
#elif defined(__AVX2__) && !defined(__clang__)
  typedef int Ints __attribute__((vector_size(32)));
  return Pack<double>::Bits(__builtin_ia32_pmuludq256(Ints(a), Ints(b)));
#else
  return (a & 0xFFFFFFFFull) * (b & 0xFFFFFFFFull);
#endif
}

inline constexpr float round_shift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer

/// The whole number n for `shifted` = n + shift, where shift is round_shift or near it. Taken from
/// the bits: compilers may know that x + shift - shift is x.
inline Pack<float>::Mask whole_part(Pack<float> shifted, float shift = round_shift) {
  return reinterpret_cast<Pack<float>::Mask>(shifted.bits() - Pack<float>(shift).bits());
}
inline Pack<float> to_float(Pack<float>::Mask n) {
  return __builtin_convertvector(n, Pack<float>::Vector);
}

/// x * 2^n, n in [-250, 250]; in two factors, so that the ends of the range give infinity,
/// denormals and 0 instead of wrapping.
inline Pack<float> scale_by_power(Pack<float> x, Pack<float>::Mask n) {
  using Bits = Pack<float>::Bits;
  using Mask = Pack<float>::Mask;
  const Mask half = n >> 1;
  const auto power = [](Mask k) {
    return Pack<float>::from_bits(reinterpret_cast<Bits>(k + 127) << 23);
  };
  return x * power(half) * power(n - half);
}

/// 2^r for r in [-1/2, 1/2].
inline Pack<float> exp2_fraction(Pack<float> r) {
  return polynomial(r, 1.0f, 0.6931471825f, 0.2402264774f, 0.05550332367f, 0.009618436918f,
                    0.001339887502f, 0.0001535336196f);
}

/// Applies a scalar function lane by lane.
template <class T, class F>
Pack<T> per_lane(Pack<T> x, F f) {
  for (int i = 0; i < Pack<T>::width; ++i) x.v[i] = f(x.v[i]);
  return x;
}

}  // namespace detail

/// 2^x within 1 ulp. Below -150: 0; above 128: infinity; NaN stays NaN.
inline Pack<float> exp2(Pack<float> x) {
  x = min(max(x, Pack<float>(-160.0f)), Pack<float>(130.0f));
  const Pack<float> shifted = x + detail::round_shift;
  const auto n = detail::whole_part(shifted);
  const Pack<float> r = x - detail::to_float(n);  // in [-1/2, 1/2], exact
  return detail::scale_by_power(detail::exp2_fraction(r), n);
}

/// e^x within about 1 ulp. Below -104: 0; above 88.73: infinity; NaN stays NaN.
inline Pack<float> exp(Pack<float> x) {
  x = min(max(x, Pack<float>(-110.0f)), Pack<float>(90.0f));
  const Pack<float> shifted = fma(x, Pack<float>(1.44269504f), Pack<float>(detail::round_shift));
  const auto whole = detail::whole_part(shifted);
  const Pack<float> n = detail::to_float(whole);
  Pack<float> r = fma(n, Pack<float>(-0.693145752f), x);  // ln 2 in two parts; n * first is exact
  r = fma(n, Pack<float>(-1.42860677e-6f), as_written(r));
  const Pack<float> p = detail::polynomial(r, 1.0f, 1.0f, 0.49999994f, 0.1666652113f,
                                           0.04166838899f, 0.00836871006f, 0.001381461509f);
  return detail::scale_by_power(p, whole);
}
inline Pack<double> exp(Pack<double> x) {
  return detail::per_lane(x, [](double v) { return std::exp(v); });
}

/// Within 3e-7 in float: below 1/8 by its series, which keeps small values exact, else by exp.
template <class T>
Pack<T> tanh(Pack<T> x) {
  const Pack<T> a = abs(x), z = x * x;
  const Pack<T> e = exp(a * T(-2));
  const Pack<T> large = copysign((T(1) - e) / (T(1) + e), x);
  const Pack<T> small =
      x * detail::polynomial(z, T(1), T(-1.0 / 3), T(2.0 / 15), T(-17.0 / 315), T(62.0 / 2835),
                             T(-1382.0 / 155925), T(21844.0 / 6081075), T(-929569.0 / 638512875));
  return select(a < Pack<T>(T(0.125)), small, large);
}

/// P(Z > |x|) of a standard normal Z: 2^p(|x|) with p fitted to the logarithm on [0, 9], absolute
/// error below 7e-8; beyond 9 (probability 1e-19) it keeps falling and ends at 2^-115.
inline Pack<float> normal_tail(Pack<float> x) {
  const Pack<float> a = min(abs(x), Pack<float>(12.0f));
  const Pack<float> power = detail::polynomial(
      a, -1.0f, -1.1511062384f, -0.4591976702f, -0.05252729356f, 0.007096660789f, -0.0001411005651f,
      -0.0002028242743f, 5.178720675e-05f, -6.400056009e-06f, 4.108509586e-07f, -1.087051071e-08f);
  // exp2 without its clamps: adding 127 as well leaves the biased exponent in the low bits.
  constexpr float shift = detail::round_shift + 127.0f;
  const Pack<float> shifted = power + shift;
  const Pack<float> r = power - detail::to_float(detail::whole_part(shifted, shift));
  return detail::exp2_fraction(r) * Pack<float>::from_bits(shifted.bits() << 23);
}
inline Pack<double> normal_tail(Pack<double> x) {
  return detail::per_lane(
      x, [](double v) { return 0.5 * std::erfc(std::fabs(v) * 0x1.6a09e667f3bcdp-1); });
}

/// The error function; absolute (not relative) error below 1.6e-7 in float.
inline Pack<float> erf(Pack<float> x) {
  const Pack<float> y = fma(normal_tail(x * 1.41421356f), Pack<float>(-2.0f), Pack<float>(1.0f));
  return copysign(y, x);
}
inline Pack<double> erf(Pack<double> x) {
  return detail::per_lane(x, [](double v) { return std::erf(v); });
}

/// GELU (Hendrycks & Gimpel 2016), exact form x P(Z <= x) = x (1 + erf(x / sqrt 2)) / 2.
template <class T>
Pack<T> gelu(Pack<T> x) {
  const Pack<T> q = normal_tail(x);
  return x * select(x < Pack<T>(T(0)), q, T(1) - q);
}

/// d gelu / dx = P(Z <= x) + x density(x).
template <class T>
Pack<T> gelu_derivative(Pack<T> x) {
  const Pack<T> q = normal_tail(x);
  const Pack<T> density = exp(x * x * T(-0.5)) * T(0.398942280401432678);
  return fma(x, density, select(x < Pack<T>(T(0)), q, T(1) - q));
}

}  // namespace albef
