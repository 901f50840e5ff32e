// Matrix products of the emulation, by plain loops: cuBLASLt needs a GPU.
#pragma once

#include <cmath>

#include "albef/core/primitives/products.hpp"
#include "albef/cuda/device.cuh"

namespace albef {

template <class T, class Out>
void run(Cuda&, const primitive::Gemm<T, Out>& g) {
  using A = accumulator_t<T>;
  check_gemm(g);
  const int inner = g.transpose_a ? g.a.rows : g.a.cols;
  for (int i = 0; i < g.c.rows; ++i)
    for (int j = 0; j < g.c.cols; ++j) {
      A sum = 0;
      for (int k = 0; k < inner; ++k)
        sum += static_cast<A>(g.transpose_a ? g.a.row(k)[i] : g.a.row(i)[k]) *
               static_cast<A>(g.transpose_b ? g.b.row(j)[k] : g.b.row(k)[j]);
      sum *= g.alpha;
      Out& c = g.c.row(i)[j];
      if (g.beta != 0) sum += g.beta * static_cast<A>(c);
      if constexpr (std::is_same_v<T, Out>) {
        if (g.bias) sum += static_cast<A>(g.bias[j]);
        if (g.gelu) {  // of the rounded value, which the backward pass reads
          const auto z = static_cast<T>(sum);
          if (g.pre.data) g.pre.row(i)[j] = z;
          sum = static_cast<A>(z);
          sum *= A(0.5) * std::erfc(-sum * A(0.70710678118654752));
        }
      }
      c = static_cast<Out>(sum);
    }
}

template <class T>
void run(Cuda& cuda, const primitive::WeightGradient<T>& a) {
  using A = accumulator_t<T>;
  run(cuda,
      primitive::Gemm<T, A>{.a = a.dy, .b = a.x, .c = a.dw, .transpose_a = true, .beta = a.beta});
  for (int j = 0; a.db && j < a.dy.cols; ++j) {
    A sum = 0;
    for (int i = 0; i < a.dy.rows; ++i) sum += static_cast<A>(a.dy.row(i)[j]);
    a.db[j] = a.beta_db == 0 ? sum : a.beta_db * a.db[j] + sum;
  }
}

}  // namespace albef
