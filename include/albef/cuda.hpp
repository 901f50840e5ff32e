// The CUDA backend for any C++ compiler: link the component `cuda_compiled`, whose library holds
// the kernels. In a CUDA source the same as albef/cuda.cuh.
#pragma once

#if defined(__CUDACC__)
#include "albef/cuda.cuh"
#else
#include "albef/albef.hpp"
#include "albef/cuda/device.hpp"
#include "albef/cuda/graph.hpp"
#include "albef/cuda/memory.hpp"
#include "albef/cuda/primitives.hpp"
#endif
