// The second file of the small program; see main.cpp.
#include <vector>

#include "albef/core/rng.hpp"
#include "albef/cpu/device.hpp"

float run(albef::Cpu& device);
float run(albef::Cpu& device) {
  std::vector<float> parts(static_cast<std::size_t>(device.threads()));
  device.run([&](int thread) {
    parts[static_cast<std::size_t>(thread)] =
        albef::RandomStream(7, static_cast<std::uint64_t>(thread)).uniform();
  });
  float sum = 0;
  for (const float part : parts) sum += part;
  return sum;
}
