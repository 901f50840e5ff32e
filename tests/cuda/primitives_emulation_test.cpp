// The CUDA kernels run on the host, thread by thread (emulation/simt.hpp): the same cases as on a
// GPU, for machines without one. Products are plain loops in place of cuBLASLt.
#include "albef/cuda/primitives.cuh"
#include "emulation/test_device.hpp"

#include "primitive_tests.hpp"
