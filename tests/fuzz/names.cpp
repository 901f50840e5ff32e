// Any text as a data set on the command line: shard patterns, weights and names.
#include <vector>

#include "albef/data/open.hpp"
#include "fuzz.hpp"

FUZZ(bytes, {}) {
  const std::string text(bytes);
  fuzz::reads([&] { (void)albef::expand_shards(text, 50); });
  fuzz::reads([&] { (void)albef::detail::split_weight(text); });
  fuzz::reads([&] { (void)albef::named_paths(std::vector<std::string>{text, "b=c"}); });
}
