// Every primitive of the CUDA backend on a GPU, through the compiled library.
#include "test_device.hpp"

#include "../primitive_tests.hpp"
