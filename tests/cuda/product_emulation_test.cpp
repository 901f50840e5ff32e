// The products the emulation uses in place of cuBLASLt, by the cases a GPU has to pass.
#include "albef/cuda/gemm.cuh"
#include "emulation/test_device.hpp"

#include "product_cases.hpp"
