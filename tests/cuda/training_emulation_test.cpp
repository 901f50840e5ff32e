// Training steps with the CUDA kernels run on the host, thread by thread; products by plain loops.
#include "albef/albef.hpp"
#include "albef/cuda/primitives.cuh"
#include "emulation/test_device.hpp"

#include "training_cases.hpp"
