// The CPU backend: every primitive of core/backend.hpp for the Cpu device.
#pragma once

#include "albef/albef.hpp"
#include "albef/cpu/attention.hpp"
#include "albef/cpu/device.hpp"
#include "albef/cpu/elementwise.hpp"
#include "albef/cpu/gemm.hpp"
#include "albef/cpu/losses.hpp"
#include "albef/cpu/memory.hpp"
#include "albef/cpu/norm.hpp"
#include "albef/cpu/optimizer.hpp"
#include "albef/cpu/tokens.hpp"
#ifdef ALBEF_CPU_COMPILED  // set by a build that has them in a library
#include "albef/cpu/compiled.hpp"
#endif
