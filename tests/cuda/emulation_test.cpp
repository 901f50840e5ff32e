// The CUDA kernels run on the host, thread by thread (emulation/simt.hpp): the same cases as on a
// GPU, for machines without one.
#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/losses.cuh"
#include "albef/cuda/norm.cuh"
#include "albef/cuda/optimizer.cuh"
#include "albef/cuda/tokens.cuh"
#include "emulation/test_device.hpp"

#include "kernel_cases.hpp"

TEST_CASE_TEMPLATE("GELU, exact", T, float, double, bfloat16) {
  auto z = Matrix<T>::random(9, 40, 0, 2);
  Matrix<T> y(9, 40);
  gelu_forward(test_device(), z.device(), y.device());
  for (int i = 0; i < 9; ++i)
    for (int j = 0; j < 40; ++j)
      y.host().row(i)[j] = z.start(i, j) * 0.5 * std::erfc(-z.start(i, j) / std::sqrt(2.0));
  CHECK(y.error() < tolerance<T>);
}
