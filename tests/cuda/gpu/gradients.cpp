// Gradient checks on a GPU, through the compiled library.
#include "albef/cuda.hpp"
#include "test_device.hpp"

#include "../gradient_cases.hpp"
