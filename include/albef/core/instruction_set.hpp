// The instruction set a file is compiled for, as part of a symbol's name: a library of compiled
// definitions and the files that use it must agree on it, because both hold copies of the same
// inline functions, of which the linker keeps one.
#pragma once

#define ALBEF_JOIN_(a, b) a##b
#define ALBEF_JOIN(a, b) ALBEF_JOIN_(a, b)

#if defined(__AVX512F__)
#define ALBEF_VECTORS_ avx512
#elif defined(__AVX2__)
#define ALBEF_VECTORS_ avx2
#elif defined(__AVX__)
#define ALBEF_VECTORS_ avx
#elif defined(__x86_64__)
#define ALBEF_VECTORS_ x86_64
#elif defined(__ARM_FEATURE_SVE)
#define ALBEF_VECTORS_ sve
#elif defined(__ARM_NEON)
#define ALBEF_VECTORS_ neon
#else
#define ALBEF_VECTORS_ generic
#endif
#if defined(__FMA__)
#define ALBEF_INSTRUCTION_SET ALBEF_JOIN(ALBEF_VECTORS_, _fma)
#else
#define ALBEF_INSTRUCTION_SET ALBEF_VECTORS_
#endif

/// The symbol that `library` (albef_cpu_compiled, ...) defines for this file's instruction set.
#define ALBEF_BUILT_FOR(library) \
  ALBEF_JOIN(library, ALBEF_JOIN(_must_be_built_like_this_program_for_, ALBEF_INSTRUCTION_SET))

/// In a header that takes definitions from `library`: every file that includes it asks for the
/// library built for its own instruction set. Without one, linking ends with "undefined reference
/// to `albef_cpu_compiled_must_be_built_like_this_program_for_avx2_fma'".
#define ALBEF_NEEDS_LIBRARY(library)                                                              \
  extern "C" const char ALBEF_BUILT_FOR(library);                                                 \
  namespace albef::detail {                                                                       \
  [[gnu::used]] static const char* const ALBEF_JOIN(needs_, library) = &ALBEF_BUILT_FOR(library); \
  }

/// In one file of `library`. The second symbol refuses a program that links it twice, built in two
/// ways.
#define ALBEF_IS_LIBRARY(library)                                       \
  extern "C" const char ALBEF_BUILT_FOR(library) = 0;                   \
  extern "C" const char ALBEF_JOIN(library, _must_be_linked_only_once); \
  extern "C" const char ALBEF_JOIN(library, _must_be_linked_only_once) = 0;
