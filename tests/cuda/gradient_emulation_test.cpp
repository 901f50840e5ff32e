// Gradient checks with the CUDA kernels run on the host, thread by thread.
#include "albef/albef.hpp"
#include "albef/cuda/primitives.cuh"
#include "emulation/test_device.hpp"

#include "gradient_cases.hpp"
