// The device-free core alone: no Eigen, no image libraries.
#include <cstdio>

#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"

int main() {
  try {
    albef::require(albef::RandomStream(1, 2).bits() == albef::RandomStream(1, 2).bits(),
                   "[rng] two equal streams differ");
    albef::fail("[consumer] expected ", 3, " images");
  } catch (const albef::Error& error) {
    std::puts(error.what());
    return 0;
  }
}
