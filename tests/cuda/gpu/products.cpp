// Matrix products of the CUDA backend on a GPU, through the compiled library.
#include "test_device.hpp"

#include "../product_cases.hpp"
