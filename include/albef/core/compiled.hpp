// Definitions that a program compiles with its own files or takes from a library: text/, data/, the
// files of checkpoint/ and the loop of train/, which know no device and no type of numbers. A
// header there declares at its top, and defines at its end
//
//   #if ALBEF_DATA_DEFINITIONS
//   ALBEF_DATA_INLINE Image decode_image(...) { ... }
//   #endif
//
// By themselves the headers are complete. Where ALBEF_DATA_COMPILED is defined (linking
// albef::data_compiled does that), the definitions are in the library, and a file that includes
// the headers compiles in a fraction of the time.
#pragma once

#include "albef/core/compiler.hpp"

#ifdef ALBEF_DATA_COMPILED
#include "albef/core/instruction_set.hpp"
ALBEF_NEEDS_LIBRARY(albef_data_compiled)
#endif

#ifndef ALBEF_DATA_COMPILED
#define ALBEF_DATA_DEFINITIONS 1
#define ALBEF_DATA_INLINE inline
#elif defined(ALBEF_DATA_SOURCE)  // a file of the library itself
#define ALBEF_DATA_DEFINITIONS 1
#define ALBEF_DATA_INLINE
#else
#define ALBEF_DATA_DEFINITIONS 0
#define ALBEF_DATA_INLINE
#endif
