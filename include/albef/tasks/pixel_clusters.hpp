// Clusters of pixels for an image tokenizer that needs no training of features: k-means of the
// 8 x 8 patches of pictures.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "albef/core/rng.hpp"
#include "albef/tasks/image_tokenizer.hpp"

namespace albef {

/// Finds the centroids of a tokenizer by k-means: from patches drawn at random, `rounds` times
/// every centroid becomes the mean of the patches nearest to it; one that has none becomes the
/// patch farthest from its own. Pixels (B, height, width, 3) of 0..255. The result depends on
/// pixels, seed and rounds alone. Error if there are fewer different patches than clusters.
template <int Codes, class Device>
void cluster_pixels(ModelTokenizer<PixelClusters<Codes>, Device>& tokenizer,
                    std::span<const std::uint8_t> pixels, int height, int width, std::uint64_t seed,
                    int rounds = 10);

namespace detail {

/// Patches (n, 192) in the order of a convolution's kernel, (channel, y, x), in [-1, 1].
inline std::vector<float> pixel_patches(std::span<const std::uint8_t> pixels, int height,
                                        int width) {
  constexpr int side = 8;
  const auto image = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3;
  require(height > 0 && width > 0 && height % side == 0 && width % side == 0 &&
              pixels.size() % image == 0,
          "cluster_pixels: got ", pixels.size(), " pixel values, expected pictures of ", height,
          " x ", width, " x 3 with sides that are multiples of ", side);
  std::vector<float> out;
  out.reserve(pixels.size());
  for (std::size_t b = 0; b < pixels.size(); b += image)
    for (int top = 0; top < height; top += side)
      for (int left = 0; left < width; left += side)
        for (int c = 0; c < 3; ++c)
          for (int y = top; y < top + side; ++y)
            for (int x = left; x < left + side; ++x)
              out.push_back(static_cast<float>(
                                pixels[b + static_cast<std::size_t>((y * width + x) * 3 + c)]) /
                                127.5f -
                            1.0f);
  return out;
}

/// k-means of patches (n, Values).
template <std::size_t Values>
class PatchClusters {
 public:
  PatchClusters(std::vector<float> patches, std::size_t clusters)
      : patches_(std::move(patches)), clusters_(clusters) {}

  std::size_t patches() const { return patches_.size() / Values; }
  /// (clusters, Values)
  const std::vector<float>& centroids() const { return centroids_; }

  /// k-means++: patches of which each is far from those before, with a probability that grows with
  /// the square of its distance, out of 16 a cluster drawn at random.
  void start(std::uint64_t seed) {
    auto order = different_patches();
    require(order.size() >= clusters_, "cluster_pixels: the pictures have ", order.size(),
            " different patches, expected at least ", clusters_);
    RandomStream random(seed, 0);
    const std::size_t drawn = std::min(order.size(), 16 * clusters_);
    for (std::size_t i = 0; i < drawn; ++i)
      std::swap(
          order[i],
          order[i + static_cast<std::size_t>(random.below(static_cast<int>(order.size() - i)))]);
    order.resize(drawn);
    centroids_.clear();
    std::vector<double> distance(drawn, std::numeric_limits<double>::infinity());
    for (std::size_t k = 0, next = 0; k < clusters_; ++k) {
      const Patch centroid = patch(order[next]);
      centroids_.insert(centroids_.end(), centroid.begin(), centroid.end());
      double total = 0;
      for (std::size_t i = 0; i < drawn; ++i)
        total += distance[i] = std::min(distance[i], square_distance(patch(order[i]), centroid));
      double rest = static_cast<double>(random.uniform()) * total;
      for (next = 0; next + 1 < drawn && rest >= distance[next]; ++next) rest -= distance[next];
    }
  }
  /// Centroids as the means of the patches that have their codes; one without patches becomes the
  /// patch farthest from its own.
  void update(const std::vector<std::int32_t>& codes) {
    const std::size_t n = patches();
    std::vector<double> sums(clusters_ * Values, 0.0), distance(n);
    std::vector<std::size_t> counts(clusters_, 0), farthest(n);
    for (std::size_t i = 0; i < n; ++i) {
      const auto k = static_cast<std::size_t>(codes[i]);
      ++counts[k], farthest[i] = i;
      for (std::size_t j = 0; j < Values; ++j)
        sums[k * Values + j] += static_cast<double>(patch(i)[j]);
      distance[i] = square_distance(patch(i), Patch(centroids_.data() + k * Values, Values));
    }
    const auto empty = std::count(counts.begin(), counts.end(), std::size_t{0});
    std::partial_sort(farthest.begin(), farthest.begin() + empty, farthest.end(),
                      [&](std::size_t a, std::size_t b) {
                        return distance[a] != distance[b] ? distance[a] > distance[b] : a < b;
                      });
    auto next = farthest.begin();
    for (std::size_t k = 0; k < clusters_; ++k)
      if (counts[k] == 0)
        std::copy_n(patch(*next++).begin(), Values, centroids_.data() + k * Values);
      else
        for (std::size_t j = 0; j < Values; ++j)
          centroids_[k * Values + j] =
              static_cast<float>(sums[k * Values + j] / static_cast<double>(counts[k]));
  }
  /// -|c|^2 / 2 of every centroid.
  std::vector<float> half_squares() const {
    std::vector<float> out;
    for (std::size_t k = 0; k < clusters_; ++k) {
      double sum = 0;
      for (std::size_t j = 0; j < Values; ++j) {
        const auto v = static_cast<double>(centroids_[k * Values + j]);
        sum += v * v;
      }
      out.push_back(static_cast<float>(-sum / 2));
    }
    return out;
  }

 private:
  using Patch = std::span<const float, Values>;

  Patch patch(std::size_t i) const { return Patch(patches_.data() + i * Values, Values); }
  static double square_distance(Patch a, Patch b) {
    float sum = 0;
    for (std::size_t j = 0; j < Values; ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
    return static_cast<double>(sum);
  }
  /// The first of all that are equal, in ascending order of their values.
  std::vector<std::size_t> different_patches() const {
    std::vector<std::size_t> order(patches());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto less = [&](std::size_t a, std::size_t b) {
      return std::lexicographical_compare(patch(a).begin(), patch(a).end(), patch(b).begin(),
                                          patch(b).end());
    };
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return less(a, b) || (!less(b, a) && a < b); });
    order.erase(std::unique(order.begin(), order.end(),
                            [&](std::size_t a, std::size_t b) { return !less(a, b); }),
                order.end());
    return order;
  }

  std::vector<float> patches_, centroids_;
  std::size_t clusters_;
};

}  // namespace detail

template <int Codes, class Device>
void cluster_pixels(ModelTokenizer<PixelClusters<Codes>, Device>& tokenizer,
                    std::span<const std::uint8_t> pixels, int height, int width, std::uint64_t seed,
                    int rounds) {
  detail::PatchClusters<PixelClusters<Codes>::values> clusters(
      detail::pixel_patches(pixels, height, width), Codes);
  auto& store = tokenizer.store();
  const auto set = [&](ParamSpan p, const std::vector<float>& values) {
    copy_to_device(store.device(), store.data(Plane::online) + p.offset, values.data(), p.size);
  };
  const auto give = [&] {
    set(tokenizer.model().weight, clusters.centroids());
    set(tokenizer.model().bias, clusters.half_squares());
  };
  clusters.start(seed);
  give();
  for (int round = 0; round < rounds; ++round) {
    clusters.update(read_codes(tokenizer, pixels, height, width));
    give();
  }
}

}  // namespace albef
