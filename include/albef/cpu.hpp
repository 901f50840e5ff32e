// The CPU backend: every primitive of core/primitives.hpp for the Cpu device.
#pragma once

#include "albef/albef.hpp"
#include "albef/cpu/device.hpp"
#include "albef/cpu/loops.hpp"
#include "albef/cpu/memory.hpp"
#ifdef ALBEF_CPU_COMPILED  // set by a build that has them in a library
#include "albef/cpu/compiled.hpp"
#else
#include "albef/cpu/primitives.hpp"
#endif
