// The CUDA backend compiled for activations of type bfloat16.
#include "albef/cuda/primitives.cuh"

template struct albef::CudaPrimitives<albef::bfloat16>;
