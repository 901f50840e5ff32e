// Operands of primitives: the same values on a device in any number type and on the host in double,
// and the plain double-precision device `Naive` that says what the results must be. The includer
// provides Device& test_device(), bool no_test_device() and void other_order(bool), which asks for
// another order of the work (threads of the emulation, number of threads of the CPU).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/core/memory.hpp"
#include "albef/core/primitives.hpp"
#include "albef/core/rng.hpp"
#include "albef/core/sequences.hpp"

namespace cases {

using albef::accumulator_t;
using albef::bfloat16;
using albef::Mat;
namespace primitive = albef::primitive;

using Device = std::remove_reference_t<decltype(test_device())>;

/// Runs every primitive in double by plain loops over host memory: see primitives/*.hpp here.
struct Naive {};
inline Naive naive;

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

/// A (rows, cols) matrix of T on the device and of double on the host with the same values. Between
/// its rows lie `gap` values that must survive.
template <class T>
class Matrix {
 public:
  Matrix(int rows, int cols, int gap = 0)
      : rows_(rows), cols_(cols), stride_(cols + gap), start_(size(), sentinel) {
    buffer_ = albef::Buffer<Device, T>(test_device(), static_cast<std::int64_t>(size()));
    set(0);
  }
  static Matrix random(int rows, int cols, int gap = 0, double scale = 1) {
    static std::uint64_t seed = 0;
    albef::RandomStream stream(++seed, 0);
    Matrix m(rows, cols, gap);
    m.set([&](int, int) { return scale * static_cast<double>(stream.normal()); });
    return m;
  }
  template <class V>
  static Matrix of(const std::vector<V>& values) {
    Matrix m(1, static_cast<int>(values.size()));
    m.set([&](int, int j) { return static_cast<double>(values[static_cast<std::size_t>(j)]); });
    return m;
  }

  void set(double value) {
    set([&](int, int) { return value; });
  }
  /// Starting values, rounded to T.
  template <class F>
  requires std::is_invocable_v<F, int, int>
  void set(F f) {
    for (int i = 0; i < rows_; ++i)
      for (int j = 0; j < cols_; ++j) start_[at(i, j)] = rounded(f(i, j));
    restore();
  }
  /// Back to the starting values on both sides.
  void restore() {
    host_ = start_;
    std::vector<T> values(size());
    std::transform(start_.begin(), start_.end(), values.begin(),
                   [](double v) { return static_cast<T>(v); });
    copy_to_device(test_device(), buffer_.data(), values.data(),
                   static_cast<std::int64_t>(values.size()));
  }
  std::vector<T> download() const {
    std::vector<T> values(size());
    copy_to_host(test_device(), values.data(), static_cast<const T*>(buffer_.data()),
                 static_cast<std::int64_t>(values.size()));
    return values;
  }

  Mat<T> device() { return {buffer_.data(), rows_, cols_, stride_}; }
  Mat<double> host() { return {host_.data(), rows_, cols_, stride_}; }
  int rows() const { return rows_; }
  int cols() const { return cols_; }
  double start(int i, int j) const { return start_[at(i, j)]; }
  double host(int i, int j) const { return host_[at(i, j)]; }

  /// Largest |device - host| / (1 + |host|); infinite where only one is finite, or a gap changed.
  double error() const {
    const auto values = download();
    double worst = 0;
    for (int i = 0; i < rows_; ++i)
      for (int j = 0; j < stride_; ++j) {
        const double want = host_[at(i, j)], got = static_cast<double>(values[at(i, j)]);
        if (j >= cols_ ? got != rounded(sentinel) : !std::isfinite(want)) {
          if (j >= cols_ || !(want == got || (std::isnan(want) && std::isnan(got))))
            return std::numeric_limits<double>::infinity();
          continue;
        }
        if (j >= cols_) continue;
        if (!std::isfinite(got)) return std::numeric_limits<double>::infinity();
        worst = std::max(worst, std::abs(got - want) / (1 + std::abs(want)));
      }
    return worst;
  }

 private:
  static constexpr double sentinel = 77;
  static double rounded(double v) { return static_cast<double>(static_cast<T>(v)); }
  std::size_t size() const {
    return static_cast<std::size_t>(rows_) * static_cast<std::size_t>(stride_);
  }
  std::size_t at(int i, int j) const { return static_cast<std::size_t>(i * stride_ + j); }

  int rows_, cols_, stride_;
  std::vector<double> start_, host_;
  albef::Buffer<Device, T> buffer_;
};

/// Values of one type on both sides: indices, labels, bytes.
template <class V>
class Array {
 public:
  explicit Array(std::vector<V> values) : start_(std::move(values)), host_(start_) {
    buffer_ = albef::Buffer<Device, V>(test_device(), static_cast<std::int64_t>(start_.size()));
    restore();
  }
  void restore() {
    host_ = start_;
    copy_to_device(test_device(), buffer_.data(), start_.data(),
                   static_cast<std::int64_t>(start_.size()));
  }
  std::vector<V> download() const {
    std::vector<V> values(start_.size());
    copy_to_host(test_device(), values.data(), static_cast<const V*>(buffer_.data()),
                 static_cast<std::int64_t>(values.size()));
    return values;
  }
  V* device() { return buffer_.data(); }
  V* host() { return host_.data(); }
  double error() const { return download() == host_ ? 0 : 1; }

 private:
  std::vector<V> start_, host_;
  albef::Buffer<Device, V> buffer_;
};

/// Sequences of the given lengths on both sides, and `padding` rows behind them.
struct Lengths {
  Array<int> offsets;
  int count, total, longest;

  explicit Lengths(const std::vector<int>& lengths, int padding = 0)
      : offsets(sums(lengths)),
        count(static_cast<int>(lengths.size())),
        total(offsets.host()[count] + padding),
        longest(lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end())) {}
  albef::Sequences at(const int* o) const {
    albef::Sequences s;
    s.count = count, s.offsets = o, s.total = total, s.longest = longest;
    return s;
  }

 private:
  static std::vector<int> sums(const std::vector<int>& lengths) {
    std::vector<int> out{0};
    for (const int n : lengths) out.push_back(out.back() + n);
    return out;
  }
};

/// How code reaches its device and data: on(x) of a Matrix is a view, of an Array a pointer.
template <class T>
struct OnDevice {
  using Real = T;
  using Sum = accumulator_t<T>;
  Device& device = test_device();
  template <class U>
  Mat<U> operator()(Matrix<U>& m) const {
    return m.device();
  }
  template <class V>
  V* operator()(Array<V>& a) const {
    return a.device();
  }
  template <class U>
  U* data(Matrix<U>& m) const {
    return m.device().data;
  }
  albef::Sequences operator()(Lengths& l) const { return l.at(l.offsets.device()); }
  Sum sum(float x) const { return static_cast<Sum>(x); }
};
struct OnHost {
  using Real = double;
  using Sum = double;
  Naive& device = naive;
  template <class U>
  Mat<double> operator()(Matrix<U>& m) const {
    return m.host();
  }
  template <class V>
  V* operator()(Array<V>& a) const {
    return a.host();
  }
  template <class U>
  double* data(Matrix<U>& m) const {
    return m.host().data;
  }
  albef::Sequences operator()(Lengths& l) const { return l.at(l.offsets.host()); }
  double sum(float x) const { return static_cast<double>(x); }
};

/// Error that rounding to T (inputs are exact) may cause in one operation.
template <class T>
constexpr double tolerance = std::is_same_v<T, double>  ? 1e-11
                             : std::is_same_v<T, float> ? 2e-5
                                                        : 6e-3;

/// Rows and columns of an operand, and values between its rows.
struct Shape {
  int rows, cols, gap;
};
/// For the 16-byte and the one-value paths of GPUs, whole and ragged packs of CPUs, several blocks.
inline constexpr Shape shapes[] = {{5, 1, 0}, {70, 3, 2}, {9, 64, 0}, {300, 48, 16}, {37, 130, 3}};
/// What a layer of the base models moves, for 8 images.
inline constexpr Shape base_shape{8 * 257, 768, 0};

/// The type of the values at p.
template <class P>
using Element = std::remove_cv_t<std::remove_pointer_t<P>>;

/// Calls f(beta) for beta 0, with an output that starts undefined, and for another.
template <class T, class F>
void for_betas(Matrix<T>& y, F f) {
  y.set(undefined);
  f(0.0f);
  albef::RandomStream random(5, 5);
  y.set([&](int, int) { return static_cast<double>(random.normal()); });
  f(0.5f);
}

/// How a primitive is tried: PrimitiveCase<P>::each(harness) makes operands for h.sizes(small,
/// large), one problem of each size, and calls
///   h.template check<T>(bound, make, outputs...)
/// where make(on) gives the arguments of the primitive for one side: on(x) is the view of a Matrix
/// or the pointer of an Array there, on.data(x) the pointer of a Matrix. The tests run both sides
/// and compare the outputs (check_primitives.hpp), the benchmark times one.
template <class P>
struct PrimitiveCase;

/// What naive code reads and writes: old values count only where beta is not 0.
inline double blend(double value, double beta, double old) {
  return beta == 0 ? value : value + beta * old;
}

}  // namespace cases
