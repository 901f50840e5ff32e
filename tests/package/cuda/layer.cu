// Primitives of the user's own in a CUDA source, which also calls one of the library's.
#include "albef/cuda.cuh"

namespace {

__global__ void square_kernel(const float* x, float* y, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] = x[i] * x[i];
}
__global__ void square_gradient_kernel(const float* x, const float* dy, float* dx, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) dx[i] = 2 * x[i] * dy[i];
}
unsigned blocks_of(int n) { return static_cast<unsigned>((n + 255) / 256); }

}  // namespace

/// y = x * x
void square(albef::Cuda& cuda, albef::Mat<const float> x, albef::Mat<float> y) {
  const int n = x.rows * x.cols;
  square_kernel<<<blocks_of(n), 256, 0, cuda.stream()>>>(x.data, y.data, n);
  albef::check(cudaGetLastError(), "[square]");
}

/// dx = 2 x dy + beta dx
void square_gradient(albef::Cuda& cuda, albef::Mat<const float> x, albef::Mat<const float> dy,
                     albef::Mat<float> dx, float beta) {
  const int n = x.rows * x.cols;
  auto* sum = static_cast<float*>(cuda.scratch(static_cast<std::size_t>(n) * sizeof(float)));
  square_gradient_kernel<<<blocks_of(n), 256, 0, cuda.stream()>>>(x.data, dy.data, sum, n);
  albef::check(cudaGetLastError(), "[square_gradient]");
  run(cuda, albef::primitive::Add<float>{
                .x = albef::mat<const float>(sum, x.rows, x.cols), .y = dx, .beta = beta});
}
