// Element-wise primitives and plain reductions of the CPU backend.
#pragma once

#include "albef/core/primitives/elementwise.hpp"
#include "albef/cpu/loops.hpp"
#include "albef/cpu/philox.hpp"

namespace albef {

template <class T>
void run(Cpu& cpu, const primitive::Fill<T>& a) {
  cpu.for_blocks(a.size, 1 << 16, [x = a.x, value = a.value](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) x[i] = value;
  });
}

template <class From, class To>
void run(Cpu& cpu, const primitive::Convert<From, To>& a) {
  cpu.for_blocks(a.size, 1 << 16, [from = a.from, to = a.to](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] = static_cast<To>(from[i]);
  });
}

template <class T>
void run(Cpu& cpu, const primitive::Add<T>& a) {
  for_elements<T>(cpu, a.y.rows, a.y.cols, [&](int i, std::int64_t j, int n) {
    store_with_beta(Pack<T>::load_n(a.x.row(i) + j, n), a.beta, a.y.row(i) + j, n);
  });
}

template <class T>
void run(Cpu& cpu, const primitive::SetRows<T>& a) {
  for_elements<T>(cpu, a.y.rows, a.y.cols, [&](int i, std::int64_t j, int n) {
    store_with_beta(Pack<T>::load_n(a.row + j, n), a.beta, a.y.row(i) + j, n);
  });
}

template <class T>
void run(Cpu& cpu, const primitive::MultiplyRow<T>& a) {
  for_elements<T>(cpu, a.y.rows, a.y.cols, [&](int i, std::int64_t j, int n) {
    const auto v = Pack<T>::load_n(a.x.row(i) + j, n) * Pack<T>::load_n(a.row + j, n);
    store_with_beta(v, a.beta, a.y.row(i) + j, n);
  });
}

template <class T>
void run(Cpu& cpu, const primitive::Multiply<T>& m) {
  for_elements<T>(cpu, m.y.rows, m.y.cols, [&](int i, std::int64_t j, int n) {
    const auto v = Pack<T>::load_n(m.a.row(i) + j, n) * Pack<T>::load_n(m.b.row(i) + j, n);
    store_with_beta(v, m.beta, m.y.row(i) + j, n);
  });
}

template <class T>
void run(Cpu& cpu, const primitive::ColumnSum<T>& a) {
  sum_columns(cpu, a.x.rows, a.x.cols, a.sum, a.beta,
              [&](int i, std::int64_t j, int n) { return Pack<T>::load_n(a.x.row(i) + j, n); });
}

template <class T>
void run(Cpu& cpu, const primitive::DotRows<T>& d) {
  sum_columns(cpu, d.a.rows, d.a.cols, d.sum, d.beta, [&](int i, std::int64_t j, int n) {
    return Pack<T>::load_n(d.a.row(i) + j, n) * Pack<T>::load_n(d.b.row(i) + j, n);
  });
}

template <class T>
void run(Cpu& cpu, const primitive::Dot<T>& d) {
  T* rows = cpu.shared_scratch<T>(static_cast<std::size_t>(d.a.rows));
  for_rows(cpu, d.a.rows, d.a.cols, [&](int i) {
    Pack<T> s(T{0});
    for_packs<T>(d.a.cols, [&](std::int64_t j, int n) {
      s = fma(Pack<T>::load_n(d.a.row(i) + j, n), Pack<T>::load_n(d.b.row(i) + j, n), s);
    });
    rows[i] = sum(s);
  });
  double total = 0;
  for (int i = 0; i < d.a.rows; ++i) total += static_cast<double>(rows[i]);
  *d.out = d.alpha * static_cast<T>(total) + (d.beta == 0 ? T{0} : d.beta * *d.out);
}

namespace detail {

template <class T>
Pack<T> sigmoid(Pack<T> x) {
  return T(1) / (T(1) + exp(-x));
}

template <Activation F, class T>
Pack<T> activate(Pack<T> x) {
  if constexpr (F == Activation::relu) return max(x, Pack<T>(T(0)));  // NaN stays NaN
  if constexpr (F == Activation::gelu) return gelu(x);
  if constexpr (F == Activation::quick_gelu) return x * sigmoid(x * T(quick_gelu_slope));
  if constexpr (F == Activation::silu) return x * sigmoid(x);
  if constexpr (F == Activation::sigmoid) return sigmoid(x);
  if constexpr (F == Activation::tanh) return tanh(x);
}

template <Activation F, class T>
Pack<T> activation_derivative(Pack<T> x) {
  if constexpr (F == Activation::relu)
    return select(x <= Pack<T>(T(0)), Pack<T>(T(0)), Pack<T>(T(1)));
  if constexpr (F == Activation::gelu) return gelu_derivative(x);
  if constexpr (F == Activation::quick_gelu) {
    const Pack<T> z = x * T(quick_gelu_slope), s = sigmoid(z);
    return s * (T(1) + z * (T(1) - s));
  }
  if constexpr (F == Activation::silu) {
    const Pack<T> s = sigmoid(x);
    return s * (T(1) + x * (T(1) - s));
  }
  if constexpr (F == Activation::sigmoid) {
    const Pack<T> s = sigmoid(x);
    return s * (T(1) - s);
  }
  if constexpr (F == Activation::tanh) {
    const Pack<T> y = tanh(x);
    return T(1) - y * y;
  }
}

}  // namespace detail

template <class T>
void run(Cpu& cpu, const primitive::Activate<T>& a) {
  with_activation(a.function, [&](auto function) {
    for_elements<T>(cpu, a.y.rows, a.y.cols, [&](int i, std::int64_t j, int n) {
      detail::activate<decltype(function)::value>(Pack<T>::load_n(a.x.row(i) + j, n))
          .store_n(a.y.row(i) + j, n);
    });
  });
}

template <class T>
void run(Cpu& cpu, const primitive::ActivateGrad<T>& a) {
  with_activation(a.function, [&](auto function) {
    for_elements<T>(cpu, a.dx.rows, a.dx.cols, [&](int i, std::int64_t j, int n) {
      const auto slope = detail::activation_derivative<decltype(function)::value>(
          Pack<T>::load_n(a.x.row(i) + j, n));
      store_with_beta(slope * Pack<T>::load_n(a.dy.row(i) + j, n), a.beta, a.dx.row(i) + j, n);
    });
  });
}

namespace detail {

/// Number of the first random word of row i: rows start at multiples of four words.
inline std::uint64_t dropout_row(int i, int cols) {
  return static_cast<std::uint64_t>(i) * static_cast<std::uint64_t>((cols + 3) / 4 * 4);
}

}  // namespace detail

template <class T>
void run(Cpu& cpu, const primitive::Sign<T>& a) {
  for_elements<T>(cpu, a.y.rows, a.y.cols, [&](int i, std::int64_t j, int n) {
    const auto x = Pack<T>::load_n(a.x.row(i) + j, n);
    select(Pack<T>(T(0)) <= x, Pack<T>(T(1)), Pack<T>(T(-1))).store_n(a.y.row(i) + j, n);
  });
}

template <class T>
void run(Cpu& cpu, const primitive::Dropout<T>& a) {
  const auto grain = row_grain(a.y.cols);
  const std::int64_t blocks = (a.y.rows + grain - 1) / grain;
  cpu.for_each(blocks, [&](std::int64_t block, int thread) {
    T* factor = cpu.scratch<T>(thread, static_cast<std::size_t>(a.y.cols));
    const auto begin = static_cast<int>(block * grain);
    const auto end = static_cast<int>(std::min<std::int64_t>(a.y.rows, begin + grain));
    for (int i = begin; i < end; ++i) {
      dropout_scale(a.philox, a.stream, detail::dropout_row(i, a.y.cols), factor, a.y.cols, a.p);
      for_packs<T>(a.y.cols, [&](std::int64_t j, int n) {
        const auto v = Pack<T>::load_n(a.x.row(i) + j, n) * Pack<T>::load_n(factor + j, n);
        store_with_beta(v, a.beta, a.y.row(i) + j, n);
      });
    }
  });
}

template <class T>
void run(Cpu& cpu, const primitive::DropSequences<T>& a) {
  const std::uint32_t threshold = dropout_threshold(a.p);
  const T scale = static_cast<T>(1 / (1 - static_cast<double>(a.p)));
  const auto write = [&](int r, T factor) {
    for_packs<T>(a.y.cols, [&](std::int64_t j, int n) {
      const auto x = factor != T(0) ? Pack<T>::load_n(a.x.row(r) + j, n) * factor : Pack<T>(T(0));
      store_with_beta(x, a.beta, a.y.row(r) + j, n);
    });
  };
  cpu.for_each(a.seq.count, [&](std::int64_t sequence) {
    const auto s = static_cast<int>(sequence);
    const auto word =
        a.philox(a.stream, static_cast<std::uint64_t>(s) / 4)[static_cast<std::size_t>(s) % 4];
    const int begin = a.seq.begin(s), end = begin + a.seq.length(s);
    for (int r = begin; r < end; ++r) write(r, word < threshold ? T(0) : scale);
  });
  for (int r = a.seq.begin(a.seq.count); r < a.y.rows; ++r) write(r, T(0));
}

namespace detail {

template <class T>
T scale_factor(const T* s, ScaleKind kind) {
  return kind == ScaleKind::plain ? *s : kind == ScaleKind::reciprocal ? 1 / *s : std::exp(*s);
}

}  // namespace detail

template <class T>
void run(Cpu& cpu, const primitive::Scale<T>& a) {
  const T factor = detail::scale_factor(a.s, a.kind);
  for_elements<T>(cpu, a.y.rows, a.y.cols, [&](int i, std::int64_t j, int n) {
    store_with_beta(Pack<T>::load_n(a.x.row(i) + j, n) * factor, a.beta, a.y.row(i) + j, n);
  });
}

template <class T>
void run(Cpu& cpu, const primitive::ScaleGrad<T>& a) {
  const T factor = detail::scale_factor(a.s, a.kind);
  const T slope = a.kind == ScaleKind::plain        ? T(1)
                  : a.kind == ScaleKind::reciprocal ? -factor * factor
                                                    : factor;
  run(cpu, primitive::Dot<T>{.a = a.dy, .b = a.x, .out = a.ds, .alpha = slope, .beta = a.beta});
}

}  // namespace albef
