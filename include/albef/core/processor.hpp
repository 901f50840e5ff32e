// Whether the processor has the instructions that a file is compiled for.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <initializer_list>

namespace albef::detail {

#if defined(__x86_64__) || defined(__i386__)

/// Ends the process with one sentence on stderr and status 1 if the processor lacks instructions
/// that this file is compiled for: whatever would handle an error is compiled for them, too. This
/// function is not.
[[gnu::target("no-sse3,no-avx,no-bmi,no-bmi2"), gnu::noinline]] inline void require_processor() {
  __builtin_cpu_init();
  const char* lacking = nullptr;
#define ALBEF_NEEDS(feature) \
  if (!lacking && !__builtin_cpu_supports(feature)) lacking = feature;
#ifdef __SSE3__
  ALBEF_NEEDS("sse3")
#endif
#ifdef __SSE4_2__
  ALBEF_NEEDS("sse4.2")
#endif
#ifdef __POPCNT__
  ALBEF_NEEDS("popcnt")
#endif
#ifdef __AVX__
  ALBEF_NEEDS("avx")
#endif
#ifdef __AVX2__
  ALBEF_NEEDS("avx2")
#endif
#ifdef __FMA__
  ALBEF_NEEDS("fma")
#endif
#ifdef __BMI__
  ALBEF_NEEDS("bmi")
#endif
#ifdef __BMI2__
  ALBEF_NEEDS("bmi2")
#endif
#ifdef __AVX512F__
  ALBEF_NEEDS("avx512f")
#endif
#ifdef __AVX512BW__
  ALBEF_NEEDS("avx512bw")
#endif
#ifdef __AVX512DQ__
  ALBEF_NEEDS("avx512dq")
#endif
#ifdef __AVX512VL__
  ALBEF_NEEDS("avx512vl")
#endif
#undef ALBEF_NEEDS
  if (!lacking) return;
  for (const char* text : {"this program was built for processors with the instructions ", lacking,
                           ", which this one lacks: build it here, or without -march=native "
                           "(-D ALBEF_NATIVE=OFF)\n"})
    if (::write(STDERR_FILENO, text, __builtin_strlen(text)) < 0) break;
  std::_Exit(1);
}

#else

inline void require_processor() {}

#endif

}  // namespace albef::detail
