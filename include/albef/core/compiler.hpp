// What the library needs of a compiler and its flags; each sentence is for who compiles without it.
#pragma once

#if __cplusplus < 202002L
#error "albef needs C++20: compile with -std=c++20 or later"
#endif

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 12
#error "albef needs g++ 12 or later (or clang++ 14)"
#endif

// From -ffast-math, -Ofast or -ffinite-math-only; what else they do is harmless.
#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "albef needs infinities and NaN (__FINITE_MATH_ONLY__ is set): add -fno-finite-math-only"
#endif

#if !defined(__cpp_exceptions)
#error "albef reports failures by exceptions: compile without -fno-exceptions"
#endif
