// Matrix products of the emulation, by plain loops: cuBLASLt needs a GPU.
#pragma once

#include <cmath>

#include "albef/core/backend.hpp"
#include "albef/cuda/device.cuh"

namespace albef {

template <class T, class Out>
void gemm(Cuda&, const GemmArgs<T, Out>& g) {
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
void weight_gradient(Cuda& cuda, ConstMat<T> dy, Mat<const T> x, Mat<accumulator_t<T>> dw,
                     accumulator_t<T> beta, accumulator_t<T>* db, accumulator_t<T> beta_db) {
  using A = accumulator_t<T>;
  gemm(cuda, GemmArgs<T, A>{.a = dy, .b = x, .c = dw, .transpose_a = true, .beta = beta});
  for (int j = 0; db && j < dy.cols; ++j) {
    A sum = 0;
    for (int i = 0; i < dy.rows; ++i) sum += static_cast<A>(dy.row(i)[j]);
    db[j] = beta_db == 0 ? sum : beta_db * db[j] + sum;
  }
}

}  // namespace albef
