// Every primitive of the CUDA backend, as templates.
#pragma once

#include "albef/cuda/attention.cuh"
#include "albef/cuda/convolution.cuh"
#include "albef/cuda/elementwise.cuh"
#include "albef/cuda/gemm.cuh"
#include "albef/cuda/images.cuh"
#include "albef/cuda/losses.cuh"
#include "albef/cuda/norm.cuh"
#include "albef/cuda/optimizer.cuh"
#include "albef/cuda/tokens.cuh"
