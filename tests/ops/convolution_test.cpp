// Convolution and pooling: values against plain loops over (B, C, H, W), gradients, wrong sizes.
#include "albef/ops/convolution.hpp"

#include "albef/nn/convolution.hpp"
#include "op_fixture.hpp"

using namespace ops_test;
using albef::FeatureMaps;
using albef::Window;

namespace {

/// Element (b, c, y, x) of planes (B, C, H, W), 0 outside of them.
double pixel(const Values& v, int channels, int height, int width, int b, int c, int y, int x) {
  if (y < 0 || y >= height || x < 0 || x >= width) return 0;
  return v[static_cast<std::size_t>(((b * channels + c) * height + y) * width + x)];
}

/// Rows (B, H W, C) as planes (B, C, H, W).
Values planes_of(const Values& rows, int images, int channels) {
  const int pixels = static_cast<int>(rows.size()) / images / channels;
  Values out;
  for (int b = 0; b < images; ++b)
    for (int c = 0; c < channels; ++c)
      for (int p = 0; p < pixels; ++p)
        out.push_back(rows[static_cast<std::size_t>((b * pixels + p) * channels + c)]);
  return out;
}

template <int In, int Out, int Kernel, int Stride, int Padding, int Dilation>
void check_values(int height, int width) {
  Bench<albef::Conv2d<In, Out, Kernel, Stride, Padding, Dilation>> bench;
  const Values x = random_values(std::int64_t{2} * In * height * width);
  const auto planes =
      bench.template input<albef::dynamic_width>(x, albef::batch_of(2), In * height * width);
  const auto y = bench.model(bench.ctx, albef::feature_maps<In>(bench.ctx, planes, height, width));
  const int high = (height + 2 * Padding - Dilation * (Kernel - 1) - 1) / Stride + 1;
  const int wide = (width + 2 * Padding - Dilation * (Kernel - 1) - 1) / Stride + 1;
  REQUIRE(y.height == high);
  REQUIRE(y.width == wide);
  REQUIRE(y.values.rows() == 2 * high * wide);
  Values want;
  for (int b = 0; b < 2; ++b)
    for (int o = 0; o < Out; ++o)
      for (int i = 0; i < high; ++i)
        for (int j = 0; j < wide; ++j) {
          double sum = bench.at(bench.model.bias, o);
          for (int c = 0; c < In; ++c)
            for (int ky = 0; ky < Kernel; ++ky)
              for (int kx = 0; kx < Kernel; ++kx)
                sum += pixel(x, In, height, width, b, c, i * Stride - Padding + ky * Dilation,
                             j * Stride - Padding + kx * Dilation) *
                       bench.at(bench.model.weight, ((o * In + c) * Kernel + ky) * Kernel + kx);
          want.push_back(sum);
        }
  CHECK(max_difference(planes_of(bench.ctx.read(y.values), 2, Out), want) < 1e-12);
}

/// A layer of feature maps as one of tensors, for the gradient check.
template <class Layer, int Height, int Width>
struct OnMaps {
  Layer layer;
  static constexpr void fields(auto& m, auto&& f) { f("layer", m.layer); }
  template <class Ctx, class Real, int C>
  auto operator()(Ctx& ctx, const albef::Tensor<Real, C>& x) const {
    return layer(ctx, FeatureMaps<Real, C>{x, Height, Width}).values;
  }
};

/// A weight that a convolution reads as (Out, In, ...), its transpose as (In, Out, ...).
struct Weight {
  Param<3, 4, 3, 3> weight;
  static constexpr void fields(auto& m, auto&& f) { f("weight", m.weight); }
};

}  // namespace

TEST_CASE("convolution: values") {
  check_values<3, 4, 3, 1, 1, 1>(5, 6);
  check_values<2, 3, 7, 2, 3, 1>(9, 8);
  check_values<4, 2, 3, 1, 2, 2>(6, 7);
  check_values<5, 3, 1, 1, 0, 1>(4, 3);
  check_values<5, 3, 1, 2, 0, 1>(5, 4);
  check_values<1, 2, 2, 2, 0, 3>(9, 5);
}

TEST_CASE("convolution: the transposed one is the transpose of the other") {
  // <conv(x), r> = <x, conv_transpose(r)>.
  Bench<Weight> bench;
  constexpr Window window{3, 2, 1, 2};
  const auto x = bench.input<4>(random_values(2 * 9 * 11 * 4), albef::uniform_sequences(2, 99));
  const FeatureMaps<double, 4> maps{x, 9, 11};
  const auto y = albef::conv2d<3>(bench.ctx, maps, bench.model.weight, {}, window);
  const Values r = random_values(y.values.size(), 8);
  const auto back = albef::conv_transpose2d<4>(bench.ctx, y.with(bench.input<3>(r, y.values.seq)),
                                               bench.model.weight, {}, window);
  REQUIRE(back.height == 9);
  REQUIRE(back.width == 11);
  double left = 0, right = 0;
  const Values a = bench.ctx.read(y.values), b = bench.ctx.read(back.values),
               in = bench.ctx.read(x);
  for (std::size_t i = 0; i < r.size(); ++i) left += a[i] * r[i];
  for (std::size_t i = 0; i < in.size(); ++i) right += in[i] * b[i];
  CHECK(left == doctest::Approx(right).epsilon(1e-12));
}

TEST_CASE("convolution: gradients") {
  CHECK(gradcheck<Cpu>(OnMaps<albef::Conv2d<3, 4, 3, 1, 1>, 5, 4>{}, sequences<3>(2, 20)));
  CHECK(gradcheck<Cpu>(OnMaps<albef::Conv2d<2, 3, 7, 2, 3>, 9, 6>{}, sequences<2>(2, 54)));
  CHECK(gradcheck<Cpu>(OnMaps<albef::Conv2d<3, 2, 3, 2, 2, 2>, 6, 7>{}, sequences<3>(1, 42)));
  CHECK(gradcheck<Cpu>(OnMaps<albef::Conv2d<5, 3, 1>, 3, 4>{}, sequences<5>(2, 12)));
  CHECK(gradcheck<Cpu>(OnMaps<albef::Conv2d<5, 3, 1, 2>, 5, 4>{}, sequences<5>(2, 20)));
  CHECK(gradcheck<Cpu>(OnMaps<albef::Conv2d<1, 3, 3>, 5, 5>{}, sequences<1>(2, 25)));
  CHECK(gradcheck<Cpu>(OnMaps<albef::ConvTranspose2d<3, 4, 2, 2>, 3, 4>{}, sequences<3>(2, 12)));
  CHECK(gradcheck<Cpu>(OnMaps<albef::ConvTranspose2d<3, 2, 3, 2, 1, 2>, 3, 4>{},
                       sequences<3>(2, 12)));
}

TEST_CASE("convolution: in several blocks of windows") {
  // 2 x 72 x 73 windows of 81 values are more than are unfolded at once.
  static_assert(2 * 72 * 73 * 81 > Cpu::unfold_values);
  const GradcheckOptions few{.entries = 5, .entries_twice = 2};
  CHECK(gradcheck<Cpu>(few, OnMaps<albef::Conv2d<9, 2, 3, 1, 1>, 72, 73>{},
                       sequences<9>(2, 72 * 73)));
  CHECK(gradcheck<Cpu>(few, OnMaps<albef::ConvTranspose2d<2, 9, 3, 1, 1>, 72, 73>{},
                       sequences<2>(2, 72 * 73)));
}

TEST_CASE("convolution: planes to maps, and max pooling") {
  const auto planes = [](auto& ctx, const auto&, const auto& x) {
    return albef::feature_maps<3>(ctx, x, 4, 5).values;
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, planes, vectors<60>(2)));
  const auto pool = [](Window w) {
    return [w](auto& ctx, const auto&, const auto& x) {
      using Real = typename std::remove_cvref_t<decltype(x)>::Scalar;
      return albef::max_pool2d(ctx, FeatureMaps<Real, 3>{x, 6, 5}, w).values;
    };
  };
  CHECK(gradcheck<Cpu>(NoParameters{}, pool({2, 2}), sequences<3>(2, 30)));
  CHECK(gradcheck<Cpu>(NoParameters{}, pool({3, 2, 1}), sequences<3>(2, 30)));
  CHECK(gradcheck<Cpu>(NoParameters{}, pool({3, 1, 1, 2}), sequences<3>(2, 30)));

  Bench<NoParameters> bench;
  const Values x{1,  5,  2,  4,  //
                 3,  3,  5,  0,  //
                 -1, -2, -3, -4};
  const auto y = albef::max_pool2d(
      bench.ctx, FeatureMaps<double, 1>{bench.input<1>(x, albef::uniform_sequences(1, 12)), 3, 4},
      {3, 2, 1});
  CHECK(y.height == 2);
  CHECK(y.width == 2);
  CHECK(bench.ctx.read(y.values) == Values{5, 5, 3, 5});
}

TEST_CASE("convolution: what does not fit is named") {
  Bench<albef::Conv2d<2, 3, 3>> bench;
  const FeatureMaps<double, 2> maps{
      bench.input<2>(random_values(8), albef::uniform_sequences(1, 4)), 2, 2};
  CHECK_THROWS_WITH_AS(
      bench.model(bench.ctx, maps),
      "[conv2d] a window of 3 pixels is larger than a map of 2 x 2 with padding of 0",
      albef::Error);
  CHECK_THROWS_WITH_AS(albef::conv2d<4>(bench.ctx, maps, bench.model.weight, bench.model.bias),
                       "[conv2d] weight and bias have 54 and 3 values, expected 8 and 4",
                       albef::Error);
  CHECK_THROWS_WITH_AS(albef::max_pool2d(bench.ctx, maps, {2, 2, 2}),
                       "[max_pool2d] padding of 2 is more than half of a kernel of 2",
                       albef::Error);
  CHECK_THROWS_WITH_AS(albef::feature_maps<3>(bench.ctx, maps.values, 2, 2),
                       "[feature_maps] got images of 2 values, expected 3 x 2 x 2", albef::Error);
}

TEST_CASE("argmax: the first of the largest values of a row") {
  Bench<NoParameters> bench;
  const auto x = bench.input<3>(Values{1, 2, 2, -5, -6, -7}, albef::batch_of(2));
  const auto* index = albef::argmax(bench.ctx, x);
  CHECK(index[0] == 1);
  CHECK(index[1] == 0);
}
