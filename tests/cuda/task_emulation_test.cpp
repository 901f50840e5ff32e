// Training steps of the downstream tasks with the CUDA kernels run on the host, thread by thread;
// products by plain loops.
#include "albef/albef.hpp"
#include "albef/cuda/primitives.cuh"
#include "emulation/test_device.hpp"

#include "task_cases.hpp"
