// What the tests of ops share: a double-precision context over a small model, random values.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "albef/cpu.hpp"
#include "albef/testing/gradcheck.hpp"

namespace ops_test {

using albef::Cpu;
using albef::gradcheck;
using albef::GradcheckOptions;
using albef::NoParameters;
using albef::Param;
using albef::ragged;
using albef::Sequences;
using albef::sequences;
using albef::vectors;
using Values = std::vector<double>;
using Indices = std::vector<std::int32_t>;

inline Values random_values(std::int64_t count, std::uint64_t seed = 7) {
  albef::RandomStream random(seed, 1);
  Values out(static_cast<std::size_t>(count));
  for (double& v : out) v = static_cast<double>(random.normal());
  return out;
}

inline double max_difference(const Values& a, const Values& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) != std::isnan(b[i])) return INFINITY;
    worst = std::max(worst, std::abs(a[i] - b[i]));
  }
  return worst;
}

/// A model with random parameters, and a context to call it in.
template <class Model>
struct Bench {
  static constexpr Model model = albef::laid_out<Model>();
  Cpu cpu{2};
  albef::ParamStore<Cpu, albef::Fp64> store{cpu, model, albef::Storage::training};
  albef::Context<Cpu, albef::Fp64> ctx{cpu, store};
  Values parameters = random_values(store.size(), 3);

  Bench() {
    std::copy(parameters.begin(), parameters.end(), store.data(albef::Plane::online));
    ctx.begin_step(0);
  }
  template <int W>
  auto input(const Values& values, Sequences seq, int cols = W) {
    return ctx.template variable<W>(values, seq, cols);
  }
  /// The value of element i of a parameter.
  double at(const albef::ParamSpan& p, std::int64_t i) const {
    return parameters[static_cast<std::size_t>(p.offset + i)];
  }
};

}  // namespace ops_test
