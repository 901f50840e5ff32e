// Any file as safetensors: entries lie within the file, and each can be read or says why not.
#include "albef/checkpoint/safetensors.hpp"

#include "fuzz.hpp"

FUZZ(bytes, {}) {
  const std::string path = fuzz::file("a.safetensors", bytes);
  fuzz::reads([&] {
    const auto file = albef::SafeTensors::open(path);
    for (const auto& entry : file.entries()) {
      fuzz::check(entry.begin + entry.bytes <= bytes.size(), "a tensor lies within its file");
      fuzz::reads([&] { (void)file.read<float>(entry); });
      fuzz::reads([&] { (void)file.read<std::int64_t>(entry); });
    }
  });
}
