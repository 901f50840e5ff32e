// Any file as a NumPy array.
#include "albef/checkpoint/npy.hpp"

#include "fuzz.hpp"

FUZZ(bytes, {}) {
  const std::string path = fuzz::file("a.npy", bytes);
  fuzz::reads([&] {
    const auto array = albef::read_npy<float>(path);
    fuzz::check(array.values.size() * sizeof(float) <= bytes.size(),
                "values are those of the file");
  });
  fuzz::reads([&] { (void)albef::read_npy<std::int64_t>(path); });
  fuzz::reads([&] { (void)albef::read_npy<std::uint8_t>(path); });
}
