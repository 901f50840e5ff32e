// Training a discrete autoencoder of pictures, and what comes of it: an image tokenizer in the form
// of DALL-E's encoder.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "albef/checkpoint/checkpoint.hpp"
#include "albef/data/flava_batch.hpp"
#include "albef/models/dvae.hpp"
#include "albef/models/inputs.hpp"
#include "albef/train/objective.hpp"

namespace albef {

/// The mean squared error of the reconstruction, of pixels as 0.8 v + 0.1.
template <class C>
struct DvaeTraining {
  using Model = Dvae<C>;
  using Batch = FlavaBatch;

  auto operator()(auto& ctx, const Model& model, const FlavaBatch& batch, const Step&) const {
    require(batch.has_images(), "DvaeTraining: the batch has no pictures");
    const auto images = upload_images(ctx, std::span(batch.images), batch.image_size,
                                      batch.image_size, dalle_statistics);  // (B, 3, S, S)
    const auto pixels = feature_maps<3>(ctx, images);                       // (B, S S, 3)
    const auto restored = model(ctx, pixels);                               // (B, S S, 3)
    return Losses(mean_squared_error(ctx, restored.values, pixels.values));
  }
};

/// Writes the encoder of a trained autoencoder as an image tokenizer, with the parameter names of
/// DALL-E's: see open_image_tokenizer(). The logit of a code is the dot product of its signs and
/// what the bits are the signs of.
template <class C, class Device>
void save_image_tokenizer(const ParamStore<Device, Fp32>& trained, const std::string& path,
                          const CheckpointInfo& info = {});

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

template <class C, class Device>
void save_image_tokenizer(const ParamStore<Device, Fp32>& trained, const std::string& path,
                          const CheckpointInfo& info) {
  static constexpr auto encoder = laid_out<DalleEncoder<C>>();
  constexpr int bits = Dvae<C>::bits, width = Dvae<C>::width;
  Device& device = trained.device();
  ParamStore<Device, Fp32> store(device, encoder, Storage::inference);
  const auto values_of = [&](const std::string& name) {
    for (const auto& p : trained.params())
      if (p.name == name) {
        std::vector<float> values(static_cast<std::size_t>(p.size));
        copy_to_host(device, values.data(), trained.data(Plane::online) + p.offset, p.size);
        return values;
      }
    fail("save_image_tokenizer: the model has no parameter '", name, "'");
  };
  const auto code_w = values_of("encoder.code.w"), code_b = values_of("encoder.code.b");
  for (const auto& p : store.params()) {
    std::vector<float> values;
    if (p.name == "blocks.output.conv.w" || p.name == "blocks.output.conv.b") {
      const bool bias = p.name.ends_with("b");
      const auto& from = bias ? code_b : code_w;
      const auto columns = static_cast<std::size_t>(bias ? 1 : width);
      for (int v = 0; v < C::vocab_size; ++v)
        for (std::size_t i = 0; i < columns; ++i) {
          double sum = 0;
          for (int b = 0; b < bits; ++b)
            sum += code_sign(v, b) *
                   static_cast<double>(from[static_cast<std::size_t>(b) * columns + i]);
          values.push_back(static_cast<float>(sum));
        }
    } else {
      values = values_of("encoder." + p.name);
    }
    copy_to_device(device, store.data(Plane::online) + p.offset, values.data(), p.size);
  }
  Checkpoint(store).save(path, info);
}

}  // namespace albef
