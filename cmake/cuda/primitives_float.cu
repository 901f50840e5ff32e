// The CUDA backend compiled for activations of type float.
#include "albef/cuda/primitives.cuh"

template struct albef::CudaPrimitives<float>;

// What is not of the type of activations.
template void albef::CudaPrimitives<float>::fill(Cuda&, float*, float, std::int64_t);
template void albef::CudaPrimitives<float>::fill(Cuda&, double*, double, std::int64_t);
template void albef::CudaPrimitives<float>::fill(Cuda&, bfloat16*, bfloat16, std::int64_t);
template void albef::CudaPrimitives<float>::fill(Cuda&, std::int32_t*, std::int32_t, std::int64_t);
template cudaError_t albef::detail::probe_code<void>();
