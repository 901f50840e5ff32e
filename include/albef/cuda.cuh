// The CUDA backend for CUDA sources: every primitive of core/primitives.hpp for the Cuda device.
#pragma once

#include "albef/albef.hpp"
#include "albef/cuda/device.cuh"
#include "albef/cuda/graph.hpp"
#include "albef/cuda/memory.hpp"
#include "albef/cuda/primitives.cuh"
