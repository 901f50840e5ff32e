// The CUDA kernels run on the host, thread by thread (emulation/simt.hpp): the same cases as on a
// GPU, for machines without one.
#include "emulation/test_device.hpp"

#include "kernel_cases.hpp"
