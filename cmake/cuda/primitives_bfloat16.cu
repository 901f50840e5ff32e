// The CUDA backend compiled for activations of type bfloat16.
#include "albef/core/compile_primitives.hpp"
#include "albef/cuda/primitives.cuh"

template struct albef::CompiledPrimitives<albef::Cuda, albef::Primitives<albef::bfloat16>>;
