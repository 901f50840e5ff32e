#include "common/pair_training.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "albef/data/prefetch.hpp"

namespace examples {

void PairTrainArguments::add_to(Command& app) {
  TrainArguments::add_to(app);
  app.get_option("--data").required().default_str("");
  app.get_option("--official")
      .description(
          "repeat the official code's oddities: teacher dropout, negatives drawn by similarity "
          "alone, a temperature without limits, stairs of the schedule (--warmup then counts "
          "hundreds)");
  app.remove_option("--mask-probability");
}

albef::PretrainOptions PairTrainArguments::objective_options() const {
  albef::PretrainOptions options = TrainArguments::objective_options();
  if (official) {
    options.negatives.exclude_same_identity = true;
    options.temp_max = std::numeric_limits<float>::infinity();
    options.temp_min = -options.temp_max;
  }
  return options;
}

void check_pictures(const albef::Source& source) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < source.size(); ++i) albef::detail::load_picture(source, i, bytes, {});
}

}  // namespace examples
