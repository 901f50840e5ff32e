// Training a discrete autoencoder of pictures, and what comes of it: an image tokenizer in the form
// of DALL-E's encoder.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
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

/// Pictures as their codes, and as these alone say they are.
struct RestoredPictures {
  std::vector<std::int32_t> codes;   ///< (B, S S / 64)
  std::vector<std::uint8_t> pixels;  ///< (B, S, S, 3)
};

/// Pictures (B, S, S, 3) of 0..255 to their codes and back, with the weights of a Training of
/// DvaeTraining.
template <class T>
RestoredPictures restore_pictures(T& training, std::span<const std::uint8_t> pixels, int size) {
  using M = typename T::Model;
  static constexpr auto model = laid_out<M>();
  constexpr int bits = M::bits;
  RestoredPictures out;
  auto& ctx = training.context();
  ctx.begin_step(0);
  ctx.no_grad([&] {
    const auto images = upload_images(ctx, pixels, size, size, dalle_statistics);  // (B, 3, S, S)
    const auto z = model.encode(ctx, feature_maps<3>(ctx, images));  // (B, S S / 64, bits)
    const auto signs = binarize(ctx, z.values);                      // (B, S S / 64, bits)
    const auto restored = ctx.read(model.decoder(ctx, z.with(signs)).values);  // (B, S S, 3)
    const auto host = ctx.read(signs);
    for (auto row = host.begin(); row != host.end(); row += bits) {
      int code = 0;
      for (int b = 0; b < bits; ++b) code |= (row[b] > 0) << b;
      out.codes.push_back(code);
    }
    for (const auto v : restored)
      out.pixels.push_back(static_cast<std::uint8_t>(
          std::lround(std::clamp((static_cast<double>(v) - 0.1) / 0.8, 0.0, 1.0) * 255)));
  });
  return out;
}

/// What codes say of pictures.
struct DvaeScore {
  double squared_error = 0;  ///< mean over pixels in [0, 1]
  CodeUsage usage;
  /// The peak signal-to-noise ratio in decibels.
  double psnr() const { return -10 * std::log10(squared_error); }
};

/// The numbers that metrics and results keep.
inline nlohmann::ordered_json to_json(const DvaeScore& s) {
  return {{"psnr", s.psnr()},
          {"squared_error", s.squared_error},
          {"codes_used", s.usage.used},
          {"perplexity", s.usage.perplexity}};
}

/// The score of a training over all pictures of a loader, from its beginning.
template <class T, class LoaderT>
DvaeScore dvae_score(T& training, LoaderT& loader) {
  double sum = 0, count = 0;
  std::vector<std::int32_t> codes;
  loader.seek({});
  for (std::int64_t b = 0; b < loader.batches_per_epoch(); ++b) {
    const FlavaBatch& batch = loader.next();
    if (batch.size == 0) continue;
    const auto restored = restore_pictures(training, std::span(batch.images), batch.image_size);
    codes.insert(codes.end(), restored.codes.begin(), restored.codes.end());
    for (std::size_t i = 0; i < batch.images.size(); ++i) {
      const double d = (batch.images[i] - restored.pixels[i]) / 255.0;
      sum += d * d;
    }
    count += static_cast<double>(batch.images.size());
  }
  require(count > 0, "dvae_score: there are no pictures");
  return {sum / count, code_usage(codes)};
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
