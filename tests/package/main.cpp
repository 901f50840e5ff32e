// A small program of a user: two files, the CPU device.
#include <cstdio>

#include "albef/core/error.hpp"
#include "albef/cpu/device.hpp"

float run(albef::Cpu& device);

int main() {
  try {
    albef::Cpu device(2);
    std::printf("%g\n", static_cast<double>(run(device)));
  } catch (const albef::Error& error) {
    std::puts(error.what());
    return 1;
  }
}
