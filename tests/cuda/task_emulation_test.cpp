// Training steps of the downstream tasks with the CUDA kernels run on the host, thread by thread;
// products by plain loops.
#include "albef/albef.hpp"
#include "albef/cuda/attention.cuh"
#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/gemm.cuh"
#include "albef/cuda/losses.cuh"
#include "albef/cuda/norm.cuh"
#include "albef/cuda/optimizer.cuh"
#include "albef/cuda/tokens.cuh"
#include "emulation/test_device.hpp"

#include "task_cases.hpp"
