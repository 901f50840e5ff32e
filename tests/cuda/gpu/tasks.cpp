// Training steps of the downstream tasks on a GPU, through the compiled library.
#include "albef/cuda.hpp"
#include "test_device.hpp"

#include "../task_cases.hpp"
