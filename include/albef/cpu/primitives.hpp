// Every primitive of the CPU backend, as templates.
#pragma once

#include "albef/cpu/attention.hpp"
#include "albef/cpu/convolution.hpp"
#include "albef/cpu/elementwise.hpp"
#include "albef/cpu/gemm.hpp"
#include "albef/cpu/images.hpp"
#include "albef/cpu/losses.hpp"
#include "albef/cpu/norm.hpp"
#include "albef/cpu/optimizer.hpp"
#include "albef/cpu/tokens.hpp"
