// The device of tests that run on a GPU; without one they are skipped, saying why.
#pragma once

#include <cstdio>
#include <memory>

#include "albef/cuda/primitives.hpp"

namespace {

/// The GPU, or null if there is none that works.
inline albef::Cuda* gpu() {
  static const std::unique_ptr<albef::Cuda> device = [] {
    try {
      return std::make_unique<albef::Cuda>();
    } catch (const albef::Error& e) {
      std::fprintf(stderr, "GPU tests are skipped: %s\n", e.what());
      return std::unique_ptr<albef::Cuda>();
    }
  }();
  return device.get();
}
inline albef::Cuda& test_device() { return *gpu(); }
inline bool no_test_device() { return gpu() == nullptr; }
/// A GPU chooses the order of its threads by itself.
inline void other_order(bool) {}

}  // namespace
