// The CUDA attention kernels run on the host, thread by thread; see emulation_test.cpp.
#include "albef/cuda/attention.cuh"
#include "emulation/test_device.hpp"

#include "attention_cases.hpp"
