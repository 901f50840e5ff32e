// The CUDA device of the emulation: the host's memory, and kernels run by simt.hpp.
#pragma once

#include "simt.hpp"

#include <vector>

#include "albef/core/error.hpp"

namespace albef {

class Cuda {
 public:
  Cuda() = default;
  Cuda(const Cuda&) = delete;

  int sm_count() const { return 4; }
  int capability() const { return 90; }
  std::size_t shared_memory() const { return 227 * 1024; }
  void synchronize() {}
  bool capturing() const { return false; }
  void* scratch(std::size_t bytes) {
    scratch_.assign(bytes + 1, 0xFF);
    return scratch_.data();
  }

 private:
  std::vector<unsigned char> scratch_;
};

}  // namespace albef
