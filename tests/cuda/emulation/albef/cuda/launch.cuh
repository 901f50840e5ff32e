// Kernel launches of the emulation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "albef/cuda/device.cuh"

namespace albef::gpu {

template <class... Params, class... Args>
void launch(Cuda& cuda, const char* name, void (*kernel)(Params...), dim3 grid, dim3 block,
            std::size_t shared, const Args&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  require(shared <= cuda.shared_memory() && grid.y < 65536 && grid.z < 65536, name, " asks for ",
          shared, " bytes of shared memory, ", grid.y, " x ", grid.z, " blocks");
  simt::machine.run(grid, block, shared, [=] { kernel(args...); });
}

template <class T>
T* dynamic_shared() {
  const auto p = reinterpret_cast<std::uintptr_t>(simt::machine.dynamic_shared.data());
  return reinterpret_cast<T*>((p + 15) / 16 * 16);
}

}  // namespace albef::gpu
