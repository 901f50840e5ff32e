// The CUDA backend compiled for activations of type double.
#include "albef/cuda/primitives.cuh"

template struct albef::CudaPrimitives<double>;
