// Any file as a shard: its records can be read or say why not.
#include <vector>

#include "albef/data/image_store.hpp"
#include "albef/data/webdataset.hpp"
#include "fuzz.hpp"

FUZZ(bytes, (fuzz::MemoryLimit{64 << 20, 64})) {
  const std::string path = fuzz::file("a.tar", bytes);
  std::vector<std::uint8_t> picture;
  fuzz::reads([&] {
    const albef::WebDataset set(path, {.warn = nullptr});
    for (std::size_t i = 0; i < set.size(); ++i) {
      (void)set.describe(i);
      const bool read = fuzz::reads([&] { set.read_image(i, picture); });
      if (read) fuzz::check(set.record(i).error.empty(), "a bad record has no picture");
    }
  });
  fuzz::reads([&] {
    const albef::ShardImages images(path);
    images.read("a.png", picture);
  });
}
