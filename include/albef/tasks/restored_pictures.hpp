// How much of pictures their codes keep, and how many codes are in use.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/data/flava_batch.hpp"

namespace albef {

/// How often codes occur.
struct CodeUsage {
  std::int64_t codes = 0;  ///< counted
  int used = 0;            ///< different ones
  double perplexity = 0;   ///< exp of the entropy: how many codes of equal frequency say as much
};

inline CodeUsage code_usage(std::span<const std::int32_t> codes) {
  std::map<std::int32_t, std::int64_t> counts;
  for (const auto code : codes) ++counts[code];
  CodeUsage usage{static_cast<std::int64_t>(codes.size()), static_cast<int>(counts.size()), 0};
  double entropy = 0;
  for (const auto& [code, count] : counts) {
    const double share = static_cast<double>(count) / static_cast<double>(codes.size());
    entropy -= share * std::log(share);
  }
  usage.perplexity = std::exp(entropy);
  return usage;
}

/// Pictures as their codes, and as these alone say they are.
struct RestoredPictures {
  std::vector<std::int32_t> codes;   ///< (B, S S / 64)
  std::vector<std::uint8_t> pixels;  ///< (B, S, S, 3)
};

/// What codes say of pictures.
struct RestorationScore {
  double squared_error = 0;  ///< mean over pixels in [0, 1]
  double variance = 0;       ///< of these pixels
  CodeUsage usage;
  /// The share of the variance that is not lost: 1 if nothing is.
  double explained() const { return 1 - squared_error / variance; }
  /// The peak signal-to-noise ratio in decibels.
  double psnr() const { return -10 * std::log10(squared_error); }
};

/// The numbers that metrics and results keep.
inline nlohmann::ordered_json to_json(const RestorationScore& s) {
  return {{"explained", s.explained()},
          {"psnr", s.psnr()},
          {"squared_error", s.squared_error},
          {"codes_used", s.usage.used},
          {"perplexity", s.usage.perplexity}};
}

/// The score over all pictures of a loader, from its beginning, of whatever restore_pictures()
/// takes.
template <class T, class LoaderT>
RestorationScore restoration_score(T& tokenizer, LoaderT& loader) {
  double errors = 0, sum = 0, squares = 0, count = 0;
  std::vector<std::int32_t> codes;
  loader.seek({});
  for (std::int64_t b = 0; b < loader.batches_per_epoch(); ++b) {
    const FlavaBatch& batch = loader.next();
    if (batch.size == 0) continue;
    const auto restored = restore_pictures(tokenizer, std::span(batch.images), batch.image_size);
    codes.insert(codes.end(), restored.codes.begin(), restored.codes.end());
    for (std::size_t i = 0; i < batch.images.size(); ++i) {
      const double v = batch.images[i] / 255.0, d = v - restored.pixels[i] / 255.0;
      errors += d * d, sum += v, squares += v * v;
    }
    count += static_cast<double>(batch.images.size());
  }
  require(count > 0, "restoration_score: there are no pictures");
  const double mean = sum / count;
  return {errors / count, squares / count - mean * mean, code_usage(codes)};
}

}  // namespace albef
