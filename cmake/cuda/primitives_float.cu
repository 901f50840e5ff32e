// The CUDA backend compiled for activations of type float.
#include "albef/core/compile_primitives.hpp"
#include "albef/cuda/primitives.cuh"

template struct albef::CompiledPrimitives<albef::Cuda, albef::Primitives<float>>;

// What is not of the type of activations.
template cudaError_t albef::detail::probe_code<void>();
