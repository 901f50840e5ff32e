// Image tokenizers from files: what turns pictures into the codes that masked image modelling
// predicts.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/checkpoint/checkpoint.hpp"
#include "albef/data/flava_batch.hpp"
#include "albef/models/dvae.hpp"
#include "albef/models/inputs.hpp"
#include "albef/models/pixel_clusters.hpp"

namespace albef {

/// Codes of pictures, one for every 8 x 8 pixels. Holds its weights; takes no gradient.
template <class Device>
class ImageTokenizer {
 public:
  static constexpr int patch = 8;  ///< pixels along a side that a code stands for

  virtual ~ImageTokenizer() = default;
  virtual Device& device() const = 0;
  /// How many different codes there are.
  virtual int codes() const = 0;
  /// Pixels (B, height, width, 3) of 0..255 on the host, of sides that are multiples of 8 -> codes
  /// (B, height / 8 * width / 8) on the device, row by row, until the next call.
  virtual const std::int32_t* operator()(std::span<const std::uint8_t> pixels, int height,
                                         int width) = 0;
};

/// The same on the host.
template <class Device>
std::vector<std::int32_t> read_codes(ImageTokenizer<Device>& tokenizer,
                                     std::span<const std::uint8_t> pixels, int height, int width) {
  const std::int32_t* codes = tokenizer(pixels, height, width);
  std::vector<std::int32_t> host(pixels.size() / (3 * 64));
  copy_to_host(tokenizer.device(), host.data(), codes, static_cast<std::int64_t>(host.size()));
  return host;
}

/// The tokenizer whose codes are the largest logits of a model: a layer called with Images, with
/// the members `codes` and `statistics`, by which pixels are normalised.
template <class Model, class Device, class Precision = Fp32>
class ModelTokenizer final : public ImageTokenizer<Device> {
 public:
  using Store = ParamStore<Device, Precision>;

  explicit ModelTokenizer(Device& device)
      : store_(device, model_, Storage::inference), ctx_(device, store_) {}

  Store& store() { return store_; }
  static constexpr const Model& model() { return model_; }
  Device& device() const override { return store_.device(); }
  int codes() const override { return Model::codes; }

  const std::int32_t* operator()(std::span<const std::uint8_t> pixels, int height,
                                 int width) override {
    const auto image = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3;
    require(height > 0 && width > 0 && height % this->patch == 0 && width % this->patch == 0 &&
                pixels.size() % image == 0,
            "image tokenizer: got ", pixels.size(), " pixel values, expected pictures of ", height,
            " x ", width, " x 3 with sides that are multiples of ", this->patch);
    const std::size_t images = pixels.size() / image, each = image / (3 * 64);
    if (codes_.size() < static_cast<std::int64_t>(images * each))
      codes_ =
          Buffer<Device, std::int32_t>(store_.device(), static_cast<std::int64_t>(images * each));
    // A few pictures at a time: the feature maps of many large ones are large.
    const std::size_t most = std::max<std::size_t>(1, (std::size_t{1} << 18) / image * 3);
    for (std::size_t first = 0; first < images; first += most) {
      const std::size_t count = std::min(most, images - first);
      ctx_.begin_step(0);
      ctx_.no_grad([&] {
        const auto logits =
            model_(ctx_, upload_images(ctx_, pixels.subspan(first * image, count * image), height,
                                       width, Model::statistics));
        copy_on_device(store_.device(), codes_.data() + first * each, argmax(ctx_, logits),
                       static_cast<std::int64_t>(count * each));
      });
    }
    return codes_.data();
  }

 private:
  static constexpr auto model_ = laid_out<Model>();
  Store store_;
  Context<Device, Precision> ctx_;
  Buffer<Device, std::int32_t> codes_;
};

/// Encoders and numbers of pixel clusters to choose from at run time.
template <class... Models>
struct TokenizerList {};
using ImageTokenizers =
    TokenizerList<DalleEncoder<DalleBase>, DalleEncoder<DvaeTiny>, PixelClusters<256>,
                  PixelClusters<512>, PixelClusters<1024>, PixelClusters<8192>>;

namespace detail {

/// What tells image tokenizers apart; clusters of pixels have widths and blocks of 0.
struct TokenizerShape {
  int n_hid = 0, blocks = 0, codes = 0;
  bool operator==(const TokenizerShape&) const = default;
};
template <class C>
constexpr TokenizerShape tokenizer_shape(const DalleEncoder<C>&) {
  return {C::n_hid, C::n_blk_per_group, C::vocab_size};
}
template <int Codes>
constexpr TokenizerShape tokenizer_shape(const PixelClusters<Codes>&) {
  return {0, 0, Codes};
}

inline std::string text_of(const TokenizerShape& s) {
  return s.n_hid == 0 ? concat(s.codes, " clusters of pixels")
                      : concat("an encoder of width ", s.n_hid, ", ", s.blocks,
                               " blocks a group and ", s.codes, " codes");
}

/// What a file says of itself. Error if it holds no image tokenizer.
inline TokenizerShape tokenizer_shape(const SafeTensors& file) {
  const auto first_side = [&](const char* name) {
    const TensorEntry* entry = file.find(name);
    return entry && !entry->shape.empty() ? static_cast<int>(entry->shape[0]) : 0;
  };
  TokenizerShape s{first_side("blocks.input.w"), 0, first_side("blocks.output.conv.w")};
  while (file.find(concat("blocks.group_1.block_", s.blocks + 1, ".res_path.conv_1.w"))) ++s.blocks;
  if (s.n_hid == 0) s = {0, 0, first_side("centroids.weight")};
  require(s.codes > 0, file.path(),
          ": holds no image tokenizer, expected 'blocks.input.w' and 'blocks.output.conv.w' or "
          "'centroids.weight'");
  return s;
}

}  // namespace detail

/// Opens the encoder of DALL-E's dVAE or one of that shape (the official parameter names, see
/// DalleEncoder and save_image_tokenizer()), or clusters of pixels (see save_pixel_clusters()).
/// Error naming the file if it holds nothing of the list, or tensors of other shapes.
template <class Device, class... Models>
std::unique_ptr<ImageTokenizer<Device>> open_image_tokenizer(Device& device,
                                                             const std::string& path,
                                                             TokenizerList<Models...>) {
  const auto shape = detail::tokenizer_shape(SafeTensors::open(path));
  std::unique_ptr<ImageTokenizer<Device>> found;
  std::string known;
  const auto look = [&]<class Model>(std::type_identity<Model>) {
    constexpr auto own = detail::tokenizer_shape(Model{});
    known += (known.empty() ? "" : "; ") + detail::text_of(own);
    if (found || own != shape) return;
    auto tokenizer = std::make_unique<ModelTokenizer<Model, Device>>(device);
    Checkpoint(tokenizer->store()).load(path);
    found = std::move(tokenizer);
  };
  (look(std::type_identity<Models>{}), ...);
  require(found != nullptr, path, ": holds ", detail::text_of(shape), ", known are ", known);
  return found;
}
template <class Device>
std::unique_ptr<ImageTokenizer<Device>> open_image_tokenizer(Device& device,
                                                             const std::string& path) {
  return open_image_tokenizer(device, path, ImageTokenizers{});
}

/// The codes of a batch's pictures as an objective reads them: codes(ctx, batch) -> (B N) on the
/// device. The tokenizer must outlive it.
template <class Device>
struct TokenizedPictures {
  ImageTokenizer<Device>* tokenizer = nullptr;

  const std::int32_t* operator()(auto& ctx, const FlavaBatch& batch) const {
    require(tokenizer != nullptr && &ctx.device() == &tokenizer->device(),
            "TokenizedPictures: no tokenizer, or one of another device");
    if (batch.code_images.empty())
      return (*tokenizer)(batch.images, batch.image_size, batch.image_size);
    return (*tokenizer)(batch.code_images, batch.code_image_size, batch.code_image_size);
  }
};

}  // namespace albef
