// What the CPU primitives promise beyond single results (primitives_test.cpp): the distribution of
// drawn negatives, and copies of large blocks.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "albef/core/backend.hpp"
#include "albef/core/rng.hpp"
#include "albef/cpu/elementwise.hpp"
#include "albef/cpu/losses.hpp"
#include "albef/cpu/memory.hpp"

using albef::Cpu;
using albef::Mat;

namespace {

/// A matrix with gaps between its rows; the gaps hold a value that must survive.
struct Matrix {
  static constexpr int gap = 3;
  static constexpr float untouched = 12345.0f;
  int rows, cols;
  std::vector<float> values;

  Matrix(int r, int c, int seed)
      : rows(r), cols(c), values(static_cast<std::size_t>(r * (c + gap)), untouched) {
    albef::RandomStream random(static_cast<std::uint64_t>(seed), 0);
    for (int i = 0; i < r; ++i)
      for (int j = 0; j < c; ++j) at(i, j) = random.normal();
  }
  Matrix(int r, int c, float value) : Matrix(r, c, 0) {
    for (int i = 0; i < r; ++i)
      for (int j = 0; j < c; ++j) at(i, j) = value;
  }
  float& at(int i, int j) { return values[static_cast<std::size_t>(i * (cols + gap) + j)]; }
  double get(int i, int j) const {
    return static_cast<double>(values[static_cast<std::size_t>(i * (cols + gap) + j)]);
  }
  Mat<float> mat() { return {values.data(), rows, cols, cols + gap}; }
  bool gaps_untouched() const {
    for (int i = 0; i < rows; ++i)
      for (int j = cols; j < cols + gap; ++j)
        if (get(i, j) != static_cast<double>(untouched)) return false;
    return true;
  }
};

struct Draw {
  std::vector<std::int32_t> index;
  std::vector<float> weights;
};

Draw draw_negatives(Cpu& cpu, Matrix* logits, int n, float epsilon, std::uint64_t stream,
                    const std::int64_t* identities = nullptr) {
  Draw d{std::vector<std::int32_t>(static_cast<std::size_t>(n)),
         std::vector<float>(static_cast<std::size_t>(n * n))};
  run(cpu, albef::primitive::SampleNegatives<float>{
               .logits = logits ? Mat<const float>(logits->mat()) : Mat<const float>{},
               .n = n,
               .uniform = logits == nullptr,
               .epsilon = epsilon,
               .identities = identities,
               .philox = {3},
               .stream = stream,
               .index = d.index.data(),
               .weights = d.weights.data()});
  return d;
}

}  // namespace

TEST_CASE("sample_negatives: softmax of the first n columns plus epsilon, none on the diagonal") {
  Cpu cpu(2);
  Matrix logits(4, 9, 1);
  const Draw d = draw_negatives(cpu, &logits, 4, 0.01f, 0);
  for (int i = 0; i < 4; ++i) {
    double total = 0;
    for (int j = 0; j < 4; ++j) total += std::exp(logits.get(i, j));
    for (int j = 0; j < 4; ++j)
      CHECK(static_cast<double>(d.weights[static_cast<std::size_t>(i * 4 + j)]) ==
            doctest::Approx(i == j ? 0 : std::exp(logits.get(i, j)) / total + 0.01).epsilon(1e-5));
  }
}

TEST_CASE("sample_negatives: frequencies follow the weights") {
  Cpu cpu(1);
  for (const bool uniform : {false, true}) {
    Matrix logits(4, 4, 1);
    constexpr int draws = 8000;
    std::vector<int> counts(16);
    Draw d;
    for (std::uint64_t s = 0; s < draws; ++s) {
      d = draw_negatives(cpu, uniform ? nullptr : &logits, 4, 0, s);
      for (std::size_t i = 0; i < 4; ++i) ++counts[i * 4 + static_cast<std::size_t>(d.index[i])];
    }
    for (std::size_t i = 0; i < 4; ++i) {
      float total = 0;
      for (std::size_t j = 0; j < 4; ++j) total += d.weights[i * 4 + j];
      for (std::size_t j = 0; j < 4; ++j) {
        const double p = static_cast<double>(d.weights[i * 4 + j] / total);
        const double deviation = std::sqrt(draws * p * (1 - p));
        CHECK(std::abs(counts[i * 4 + j] - draws * p) <= 4 * deviation);
      }
      CHECK(counts[i * 4 + i] == 0);
    }
  }
}

TEST_CASE("sample_negatives: equal identities are left out, unless nothing else remains") {
  Cpu cpu(2);
  const std::int64_t some[] = {5, 6, 5, 7}, all[] = {5, 5, 5, 5};
  std::set<std::int32_t> partners_of_0, fallback;
  for (std::uint64_t s = 0; s < 300; ++s) {
    partners_of_0.insert(draw_negatives(cpu, nullptr, 4, 0, s, some).index[0]);
    fallback.insert(draw_negatives(cpu, nullptr, 4, 0, s, all).index[1]);
  }
  CHECK(partners_of_0 == std::set<std::int32_t>{1, 3});
  CHECK(fallback == std::set<std::int32_t>{0, 2, 3});
}

TEST_CASE("sample_negatives: similarities that all underflow still give a pair") {
  Cpu cpu(1);
  Matrix logits(3, 3, -500.0f);
  for (int i = 0; i < 3; ++i) logits.at(i, i) = 500;  // everything but the diagonal is exp(-1000)
  std::set<std::int32_t> without, with;
  for (std::uint64_t s = 0; s < 100; ++s) {
    without.insert(draw_negatives(cpu, &logits, 3, 0, s).index[0]);
    with.insert(draw_negatives(cpu, &logits, 3, 1e-4f, s).index[0]);
  }
  CHECK(without == std::set<std::int32_t>{1, 2});
  CHECK(with == std::set<std::int32_t>{1, 2});
}

TEST_CASE("sample_negatives: a function of the stream, not of the threads") {
  Matrix logits(50, 50, 1);
  Cpu one(1), three(3);
  const Draw a = draw_negatives(one, &logits, 50, 0, 11);
  CHECK(a.index == draw_negatives(three, &logits, 50, 0, 11).index);
  CHECK(a.index != draw_negatives(one, &logits, 50, 0, 12).index);
}

TEST_CASE("memory: copies and fills of large blocks") {
  Cpu cpu(3);
  std::vector<float> from(200000);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<float>(i);
  std::vector<float> to(200000);
  albef::copy_on_device(cpu, to.data(), from.data(), 200000);
  CHECK(to == from);
  albef::fill(cpu, to.data(), 2.5f, 150000);
  CHECK(to[149999] == 2.5f);
  CHECK(to[150000] == from[150000]);
}
