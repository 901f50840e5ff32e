// .npy files and the xtensor views.
#include "albef/checkpoint/npy.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <xtensor/xnpy.hpp>
#include <xtensor/xview.hpp>

#include "albef/checkpoint/xtensor.hpp"
#include "albef/cpu.hpp"
#include "albef/ops/similarity.hpp"

namespace npy_test {

namespace fs = std::filesystem;
using albef::Error;

namespace {

struct TemporaryFile {
  std::string path =
      (fs::temp_directory_path() / ("albef_npy_test_" + std::to_string(::getpid()) + ".npy"))
          .string();
  ~TemporaryFile() { fs::remove(path); }
};

struct Picture {
  Picture(int w, int h) : width(w), height(h), rgb(static_cast<std::size_t>(w * h * 3)) {}
  int width, height;
  std::vector<std::uint8_t> rgb;
};

struct Scale {
  albef::Param<> scale{albef::init::constant(0)};
  static constexpr void fields(auto& m, auto&& f) { f("scale", m.scale); }
};

}  // namespace

TEST_CASE("npy: round trips, and xtensor reads what we write and the other way round") {
  const TemporaryFile file;
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  albef::write_npy<float>(file.path, values, {2, 3});
  const auto back = albef::read_npy<float>(file.path);
  CHECK(back.shape == std::vector<std::int64_t>{2, 3});
  CHECK(back.values == values);
  const auto array = xt::load_npy<float>(file.path);
  CHECK(array.shape(1) == 3);
  CHECK(array(1, 0) == 4);

  const std::vector<std::int64_t> ids{-5, 1ll << 40};
  albef::write_npy<std::int64_t>(file.path, ids, {2});
  CHECK(albef::read_npy<std::int64_t>(file.path).values == ids);
  CHECK(xt::load_npy<std::int64_t>(file.path)(0) == -5);
  albef::write_npy<std::int64_t>(file.path, std::span(ids).first(1), {});
  CHECK(albef::read_npy<std::int64_t>(file.path).shape.empty());
  albef::write_npy<float>(file.path, {}, {0, 7});
  CHECK(albef::read_npy<float>(file.path).shape == std::vector<std::int64_t>{0, 7});

  xt::dump_npy(file.path, xt::xtensor<float, 2>{{1, 2}, {3, 4}});
  CHECK(albef::read_npy<float>(file.path).values == std::vector<float>{1, 2, 3, 4});
}

TEST_CASE("npy: what does not fit is refused by name") {
  const TemporaryFile file;
  const std::vector<float> values{1, 2, 3, 4};
  CHECK_THROWS_WITH_AS(albef::write_npy<float>(file.path, values, {3}),
                       doctest::Contains("4 values"), Error);
  albef::write_npy<float>(file.path, values, {2, 2});
  CHECK_THROWS_WITH_AS(albef::read_npy<std::int64_t>(file.path),
                       doctest::Contains("'<f4', expected '<i8'"), Error);
  const std::string good = albef::read_file(file.path);
  const auto damaged = [&](const std::string& content) {
    albef::write_file(file.path, content);
    try {
      albef::read_npy<float>(file.path);
    } catch (const Error& e) { return std::string(e.what()); }
    return std::string();
  };
  const auto replaced = [&](const char* from, const char* to) {
    std::string text = good;
    return text.replace(text.find(from), std::string(from).size(), to);
  };
  CHECK(damaged(good) == "");
  CHECK(damaged("") != "");
  CHECK(damaged("PK\3\4 is another format").find("not a .npy") != std::string::npos);
  CHECK(damaged(good.substr(0, 40)).find("cut off") != std::string::npos);
  CHECK(damaged(good.substr(0, good.size() - 1)).find("needs 16") != std::string::npos);
  CHECK(damaged(good + "x").find("needs 16") != std::string::npos);
  CHECK(damaged(replaced("False", "True ")).find("Fortran") != std::string::npos);
  CHECK(damaged(replaced("(2, 2)", "(2, x)")).find("shape (2, x)") != std::string::npos);
  CHECK(damaged(replaced("'shape'", "'shaqe'")).find("no shape") != std::string::npos);
  CHECK(damaged(replaced("(2, 2)", "(99999999999999999999,)")).find("overflows") !=
        std::string::npos);
}

TEST_CASE("xtensor: views share the memory") {
  std::vector<float> values{1, 2, 3, 4, 5, 6, 7, 8};
  auto view = albef::as_xtensor(values.data(), std::array<std::size_t, 2>{2, 4});
  view(1, 0) = 50;
  CHECK(values[4] == 50);

  albef::Mat<float> left{values.data(), 2, 2, 4};  // the first two columns
  auto columns = albef::as_xtensor(left);
  CHECK(columns(1, 1) == 6);
  columns(1, 1) = 60;
  CHECK(values[5] == 60);
  const xt::xarray<float> sums = xt::sum(columns, {1});
  CHECK(sums(1) == 110);

  Picture picture(4, 2);
  auto pixels = albef::image_as_xtensor(picture);
  CHECK(pixels.shape(0) == 2);
  CHECK(pixels.shape(1) == 4);
  pixels(1, 3, 2) = 9;
  CHECK(picture.rgb.back() == 9);
}

TEST_CASE("xtensor: arrays handed in") {
  xt::xtensor<std::uint8_t, 3> array = xt::zeros<std::uint8_t>({2, 4, 3});
  array(0, 1, 2) = 7;
  const auto picture = albef::image_from_xtensor<Picture>(array);
  CHECK(picture.width == 4);
  CHECK(picture.height == 2);
  CHECK(picture.rgb[5] == 7);
  const xt::xtensor<std::uint8_t, 3> wrong = xt::zeros<std::uint8_t>({3, 2, 4});
  CHECK_THROWS_WITH_AS(albef::image_from_xtensor<Picture>(wrong),
                       doctest::Contains("got shape (3, 2, 4)"), Error);

  xt::xarray<float> matrix{{1, 2, 3}, {4, 5, 6}};
  const auto mat = albef::as_mat(matrix);
  CHECK(mat.rows == 2);
  CHECK(mat.row(1)[2] == 6);
  CHECK(albef::as_span(matrix).size() == 6);
  const xt::xarray<float> vector{1, 2};
  CHECK_THROWS_WITH_AS(albef::as_mat(vector), doctest::Contains("two dimensions"), Error);
}

TEST_CASE("xtensor: tensors of a context from arrays and back, with gradient") {
  static constexpr auto scale = albef::laid_out<Scale>();
  albef::Cpu cpu(1);
  albef::ParamStore store(cpu, scale, albef::Storage::training);
  albef::Context ctx(cpu, store);
  ctx.begin_step(0);

  const xt::xtensor<double, 2> a{{1, 2, 3}, {4, 5, 6}}, b{{1, 0, 2}, {0, 1, 1}};
  const auto x = albef::variable_from_xtensor<3>(ctx, a);
  const auto product = albef::matmul_nt(ctx, x, albef::constant_from_xtensor<3>(ctx, b));  // (2, 2)
  CHECK(albef::read_xtensor<double>(ctx, product) == xt::xarray<double>{{7, 5}, {16, 11}});
  const auto loss = albef::cross_entropy(ctx, product, albef::SoftTargets<float>{});
  ctx.backward(loss);
  // Row i has label i: the gradient is (softmax - identity) / 2 times b.
  const double p = 1 / (1 + std::exp(-2.0)), q = 1 / (1 + std::exp(-5.0));
  const xt::xarray<double> expected{{(p - 1) / 2, (1 - p) / 2, (p - 1) / 2},
                                    {q / 2, -q / 2, q / 2}};
  CHECK(xt::allclose(albef::read_xtensor_gradient<double>(ctx, x), expected, 1e-5, 1e-6));

  xt::xarray<float> tokens = xt::arange<float>(24);
  tokens.reshape({2, 3, 4});
  const auto t = albef::constant_from_xtensor<4>(ctx, tokens);  // (2, 3, 4)
  CHECK(t.seq.count == 2);
  CHECK(t.seq.length(1) == 3);
  CHECK(albef::read_xtensor(ctx, t) == tokens);
  CHECK_THROWS_WITH_AS(albef::constant_from_xtensor<5>(ctx, tokens),
                       doctest::Contains("got shape (2, 3, 4), expected"), Error);
}

TEST_CASE("xtensor: .npy files") {
  TemporaryFile file;
  xt::xarray<float> array = xt::arange<float>(6);
  array.reshape({1, 2, 3});
  albef::write_xtensor(file.path, array);
  CHECK(albef::read_xtensor<float>(file.path) == array);
  CHECK(xt::load_npy<float>(file.path) == array);
  CHECK_THROWS_WITH_AS(albef::read_xtensor<double>(file.path), doctest::Contains("'<f8'"), Error);
}

}  // namespace npy_test
