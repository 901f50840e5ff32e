// A configuration small enough for differences in double precision, and batches for any
// configuration, from random numbers.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <span>
#include <vector>

#include "albef/cpu.hpp"
#include "albef/loss/queue.hpp"
#include "albef/models/inputs.hpp"
#include "albef/tasks/pretrain.hpp"
#include "albef/text/masking.hpp"

namespace model_test {

using albef::Cpu;
using albef::Fp32;
using albef::Fp64;
using albef::Nano;
using albef::Plane;
using albef::Storage;

struct Micro : Nano {
  static constexpr int image_res = 8, patch_size = 4;
  static constexpr int vision_width = 8, vision_depth = 2, vision_heads = 2, mlp_ratio = 2;
  static constexpr int hidden_size = 8, num_hidden_layers = 4, fusion_layer = 2;
  static constexpr int num_attention_heads = 2, intermediate_size = 12;
  static constexpr int vocab_size = 11, max_position_embeddings = 7;
  static constexpr int embed_dim = 6, queue_size = 5;
};

/// The host's side of a batch of B pairs.
struct HostBatch {
  std::vector<std::uint8_t> pixels;
  albef::TextBatch text;
  albef::MaskedText masked;
  std::vector<std::int64_t> identities;
};

/// Texts of 2 to `longest` tokens, about a third of them masked; all the same for one seed.
template <class C>
HostBatch random_batch(int pairs, std::uint64_t seed, int longest = 6) {
  albef::RandomStream random(seed, 2);
  HostBatch out;
  out.pixels.resize(static_cast<std::size_t>(pairs) * 3 * C::image_res * C::image_res);
  for (auto& p : out.pixels) p = static_cast<std::uint8_t>(random.below(256));
  for (int i = 0; i < pairs; ++i) {
    std::vector<std::int32_t> ids{2};
    const int length = 2 + random.below(longest - 1);
    while (static_cast<int>(ids.size()) < length)
      ids.push_back(5 + random.below(C::vocab_size - 5));
    out.text.add(ids);
    out.identities.push_back(i);
  }
  out.masked = albef::mask_tokens(
      out.text,
      {.vocab_size = C::vocab_size, .mask_id = 4, .pad_id = 0, .cls_id = 2, .probability = 0.35f},
      random);
  return out;
}

/// The same on the device of a context.
template <class C, class Ctx>
auto upload(Ctx& ctx, const HostBatch& host) {
  albef::PretrainBatch<typename Ctx::Real, C> batch;
  batch.image = albef::upload_images<C>(ctx, std::span<const std::uint8_t>(host.pixels));
  batch.text = albef::upload_tokens<C>(ctx, host.text);
  albef::upload_masked<C>(ctx, host.masked, batch);
  batch.identities = ctx.upload(host.identities);
  return batch;
}

/// A context over a model with random weights, large enough that every part matters.
template <class C, class Precision = Fp64, class M = albef::Albef<C>>
struct Bench {
  using Config = C;
  using Model = M;
  using Real = typename Precision::Compute;
  using Store = albef::ParamStore<Cpu, Precision>;
  using Ctx = albef::Context<Cpu, Precision>;
  using Values = std::vector<Real>;
  static constexpr Model model = albef::laid_out<Model>();

  Cpu cpu;
  Store store;
  Ctx ctx;
  albef::FeatureQueue<Cpu, Real> queue;

  explicit Bench(int threads = 2, Storage storage = Storage::momentum)
      : cpu(threads), store(cpu, model, storage), ctx(cpu, store), queue(cpu, 5, C::embed_dim) {
    randomize(Plane::online, 1);
    if (store.has(Plane::ema)) randomize(Plane::ema, 2);
    ctx.begin_step(0);
  }
  void randomize(Plane plane, std::uint64_t seed) {
    albef::RandomStream random(seed, 3);
    for (const auto& p : store.params()) {
      const bool matrix = p.shape.size() >= 2;
      const double scale = matrix ? 1 / std::sqrt(static_cast<double>(p.size) / p.shape[0]) : 0.2;
      for (std::int64_t i = 0; i < p.size; ++i) {
        const double base =
            p.init.kind == albef::Init::Kind::constant ? static_cast<double>(p.init.value) : 0.0;
        const double noise = p.name == "temp" ? 0 : scale * static_cast<double>(random.normal());
        store.data(plane)[p.offset + i] = static_cast<Real>(base + noise);
      }
    }
  }
  /// All values of a plane.
  Values plane(Plane p) const { return {store.data(p), store.data(p) + store.size()}; }
  auto images(const HostBatch& host) {
    return albef::upload_images<C>(ctx, std::span<const std::uint8_t>(host.pixels));
  }
  auto tokens(const albef::TextBatch& text) { return albef::upload_tokens<C>(ctx, text); }
};

/// The largest difference of two lists, relative to the largest value of the second.
template <class Real>
double deviation(const std::vector<Real>& a, const std::vector<Real>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0, largest = 1e-30;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    worst = std::max(worst, std::isnan(difference) ? 1e30 : difference);
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return worst / largest;
}

/// Checks the gradient of loss(), which calls the model of bench `b`, along random directions in
/// its weights: difference quotients of fourth order against back-propagation.
template <class B, class F>
void check_gradient(B& b, const F& loss, int directions = 2) {
  b.store.clear_gradients();
  std::fill_n(b.store.data(Plane::grad), b.store.size(), 0.0);
  b.ctx.begin_step(0);
  b.ctx.backward(loss());
  const auto gradient = b.plane(Plane::grad), start = b.plane(Plane::online);
  albef::RandomStream random(8, 8);
  for (int trial = 0; trial < directions; ++trial) {
    std::vector<double> direction(start.size());
    double along = 0;
    for (const auto& p : b.store.params())
      for (std::int64_t i = p.offset; i < p.offset + p.size; ++i) {
        const auto at = static_cast<std::size_t>(i);
        direction[at] = p.name == "temp" ? 0.0 : static_cast<double>(random.normal());
        along += direction[at] * gradient[at];
      }
    const auto at = [&](double h) {
      for (std::size_t i = 0; i < start.size(); ++i)
        b.store.data(Plane::online)[i] = start[i] + h * direction[i];
      b.ctx.begin_step(0);
      return b.ctx.no_grad([&] { return b.ctx.item(loss()); });
    };
    constexpr double h = 1e-4;
    const double slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
    CHECK(std::abs(along) > 1e-3);
    CHECK(slope == doctest::Approx(along).epsilon(1e-6));
    std::copy(start.begin(), start.end(), b.store.data(Plane::online));
  }
}

template <class Real>
bool bit_equal(const std::vector<Real>& a, const std::vector<Real>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Real)) == 0;
}

/// Checks that examples that share pictures give the loss and gradient of pictures repeated.
/// `host` shows its pictures by `image_of`; loss(batch) is that of bench `b`.
template <class B, class HostBatch, class F>
void check_sharing(B& b, const HostBatch& host, const F& loss) {
  const std::size_t bytes = std::size_t{3} * B::Config::image_res * B::Config::image_res;
  HostBatch repeated = host;
  repeated.image_of.clear();
  repeated.images.clear();
  for (const std::int32_t i : host.image_of) {
    const auto from = host.images.begin() + static_cast<std::ptrdiff_t>(bytes) * i;
    repeated.images.insert(repeated.images.end(), from, from + static_cast<std::ptrdiff_t>(bytes));
  }
  const auto run = [&](const HostBatch& batch) {
    b.store.clear_gradients();
    std::fill_n(b.store.data(Plane::grad), b.store.size(), 0.0);
    b.ctx.begin_step(0);
    const auto l = loss(batch);
    b.ctx.backward(l);
    auto out = b.plane(Plane::grad);
    out.push_back(b.ctx.item(l));
    return out;
  };
  const auto shared = run(host), expected = run(repeated);
  CHECK(shared.back() == doctest::Approx(expected.back()).epsilon(1e-13));
  CHECK(deviation(shared, expected) < 1e-12);
}

}  // namespace model_test
