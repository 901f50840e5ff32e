// What tests of training on both devices share: a model small enough for the host's emulation, and
// what is compared of a run.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../models/micro.hpp"
#include "albef/core/param_store.hpp"

namespace {

using albef::Bf16;
using albef::Cpu;
using albef::Cuda;
using albef::Fp32;
using albef::Fp64;
using albef::Plane;

/// Head sizes 32, so that bf16 runs on the tensor cores; widths that no tile divides.
struct Mini : albef::Nano {
  static constexpr int image_res = 16, patch_size = 4;
  static constexpr int vision_width = 64, vision_depth = 2, vision_heads = 2, mlp_ratio = 2;
  static constexpr int hidden_size = 96, num_hidden_layers = 3, fusion_layer = 1;
  static constexpr int num_attention_heads = 3, intermediate_size = 104;
  static constexpr int vocab_size = 61, max_position_embeddings = 12;
  static constexpr int embed_dim = 24, queue_size = 7;
};

using Numbers = std::vector<double>;

/// What a run leaves; what it has not is empty.
struct Trained {
  Numbers losses, gradient, weights, teacher, predictions;
};

/// All values of a plane.
template <class Store>
auto values_of(const Store& store, Plane p) {
  using Real = typename Store::Real;
  std::vector<Real> values(static_cast<std::size_t>(store.size(p)));
  copy_to_host(store.device(), values.data(), static_cast<const Real*>(store.data(p)),
               store.size(p));
  return values;
}
template <class Store>
Numbers numbers_of(const Store& store, Plane p) {
  const auto values = values_of(store, p);
  return {values.begin(), values.end()};
}

/// Makes the weights of a fresh model larger, so that every part of it matters.
template <class Store>
void enlarge(Store& store) {
  for (const Plane p : {Plane::online, Plane::ema}) {
    if (!store.has(p)) continue;
    albef::RandomStream random(static_cast<std::uint64_t>(p), 3);
    auto values = values_of(store, p);
    for (const auto& info : store.params()) {
      if (info.name == "temp") continue;
      const double fan =
          info.shape.size() >= 2 ? static_cast<double>(info.size) / info.shape[0] : 25;
      for (std::int64_t i = 0; i < info.size; ++i)
        values[static_cast<std::size_t>(info.offset + i)] += static_cast<typename Store::Real>(
            static_cast<double>(random.normal()) / std::sqrt(fan));
    }
    copy_to_device(store.device(), store.data(p), values.data(), store.size());
  }
  store.refresh();
}

/// The gradient of all parameters, zero where none arrived.
template <class Store>
Numbers gradient_of(const Store& store) {
  const auto all = values_of(store, Plane::grad);
  Numbers gradient;
  for (std::size_t i = 0; i < store.params().size(); ++i) {
    const auto& p = store.params()[i];
    for (std::int64_t k = 0; k < p.size; ++k)
      gradient.push_back(
          store.touched(static_cast<int>(i))
              ? static_cast<double>(all[static_cast<std::size_t>(p.state_offset + k)])
              : 0.0);
  }
  return gradient;
}

/// |a - b| / |b| in the Euclidean norm.
inline double distance(const Numbers& a, const Numbers& b) {
  double difference = 0, square = 0;
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    square += b[i] * b[i];
  }
  return std::isfinite(difference) ? std::sqrt(difference / square) : 1e30;
}

/// How far a run may be from another one.
struct Bounds {
  double losses, gradient, weights, predictions = 0;
};

inline void check_near(const Trained& got, const Trained& want, const Bounds& bounds) {
  CHECK(distance(got.losses, want.losses) < bounds.losses);
  CHECK(distance(got.gradient, want.gradient) < bounds.gradient);
  CHECK(distance(got.weights, want.weights) < bounds.weights);
  CHECK(got.teacher.size() == want.teacher.size());
  if (!want.teacher.empty()) CHECK(distance(got.teacher, want.teacher) < bounds.weights);
  CHECK(got.predictions.size() == want.predictions.size());
  if (!want.predictions.empty())
    CHECK(distance(got.predictions, want.predictions) < bounds.predictions);
}

inline void check_equal(const Trained& got, const Trained& want) {
  CHECK(got.losses == want.losses);
  CHECK(got.gradient == want.gradient);
  CHECK(got.weights == want.weights);
  CHECK(got.teacher == want.teacher);
  CHECK(got.predictions == want.predictions);
}

}  // namespace
