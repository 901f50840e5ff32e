// The CUDA backend for CUDA sources: every primitive of core/backend.hpp for the Cuda device.
#pragma once

#include "albef/albef.hpp"
#include "albef/cuda/attention.cuh"
#include "albef/cuda/device.cuh"
#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/gemm.cuh"
#include "albef/cuda/graph.hpp"
#include "albef/cuda/losses.cuh"
#include "albef/cuda/memory.cuh"
#include "albef/cuda/norm.cuh"
#include "albef/cuda/optimizer.cuh"
#include "albef/cuda/tokens.cuh"
