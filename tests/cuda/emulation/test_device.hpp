// The device of tests that run kernels on the host.
#pragma once

#include "albef/cuda/device.cuh"
#include "albef/cuda/memory.hpp"

namespace {

inline albef::Cuda& test_device() {
  static albef::Cuda device;
  return device;
}
inline bool no_test_device() { return false; }
/// Threads and blocks in reverse: what a race would make visible.
inline void other_order(bool on) { simt::machine.reversed = on; }

}  // namespace
