// Probes of frozen features against scikit-learn 1.9 and NumPy, on features given by a formula.
#include "albef/tasks/probe.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace {

/// x[i][j] = sin(1.7 i + 0.9 j + s) + 0.3 cos(0.37 (i + 1) (j + 2) + s)
struct Features {
  int rows, cols;
  std::vector<double> values;

  Features(int n, int d, double shift) : rows(n), cols(d) {
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < d; ++j)
        values.push_back(std::sin(1.7 * i + 0.9 * j + shift) +
                         0.3 * std::cos(0.37 * (i + 1) * (j + 2) + shift));
  }
  albef::Mat<const double> mat() const { return albef::mat(values.data(), rows, cols); }
};

std::vector<std::int32_t> labels(int n) {
  std::vector<std::int32_t> out;
  for (int i = 0; i < n; ++i) out.push_back((i * i + i / 3) % 3);
  return out;
}

void check_close(const std::vector<double>& got, const std::vector<double>& expected,
                 double tolerance) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(got[i] - expected[i]) < tolerance);
  }
}

using Predictions = std::vector<std::int32_t>;
const Features train(30, 5, 0), queries(12, 5, 0.5), wide(6, 11, 1);

}  // namespace

TEST_CASE("ridge_regression: sklearn.linear_model.Ridge, more rows than columns and fewer") {
  std::vector<double> targets;
  for (int i = 0; i < 30; ++i) targets.push_back(std::cos(i)), targets.push_back(std::sin(0.5 * i));
  const auto tall = albef::ridge_regression(train.mat(), albef::mat(targets.data(), 30, 2), 0.7);
  check_close(tall.weight,
              {0.40336238339827385, -0.6897467775870714, 0.34795660153129676, 0.10844455769532639,
               -0.31085226456519116, -0.1696084171030728, 0.02889875677869368, -0.03367017872404657,
               -0.07603813037259978, -0.04654249735742016},
              1e-12);
  check_close(tall.bias, {-0.01265079432357695, 0.10105225822507502}, 1e-12);

  std::vector<double> one;
  for (int i = 0; i < 6; ++i) one.push_back(std::cos(i));
  const auto few = albef::ridge_regression(wide.mat(), albef::mat(one.data(), 6, 1), 0.2);
  check_close(few.weight,
              {-0.02346005070716961, -1.0578566134960035, -0.46013706136073973, -0.3566893839432088,
               -0.7893758276873777, -0.45823866036419447, 0.01225522239126825, -0.03279097277699017,
               -0.06688559983605252, 0.23450024003812925, 0.016848996232034633},
              1e-12);
  check_close(few.bias, {-0.24139318061045925}, 1e-12);
}

TEST_CASE("ridge_probe: sklearn.linear_model.RidgeClassifier; float features give the same") {
  const auto probe = albef::ridge_probe(train.mat(), labels(30), 3, 0.7);
  check_close(probe.bias, {-0.31015919303827305, -0.29657455584986164, -0.3932662511118653}, 1e-12);
  CHECK(probe.predict(queries.mat()) == Predictions{1, 1, 1, 1, 1, 2, 0, 0, 0, 2, 1, 1});

  const std::vector<float> single(train.values.begin(), train.values.end());
  const auto same = albef::ridge_probe(albef::mat(single.data(), 30, 5), labels(30), 3, 0.7);
  check_close(same.weight, probe.weight, 1e-6);
}

TEST_CASE("logistic_probe: sklearn.linear_model.LogisticRegression(C=2)") {
  const auto y = labels(30);
  const auto fit = albef::logistic_probe(train.mat(), y, 3, {.penalty = 0.5, .tolerance = 1e-9});
  CHECK(fit.converged);
  CHECK(fit.iterations < 60);
  check_close({fit.loss}, {0.9604907279048334}, 1e-12);
  check_close(fit.probe.weight,
              {1.438872886489958, -0.1905652271948872, 0.3983970797616888, 0.6990200636134116,
               0.5304886051727503, -1.6184592727590958, -0.1927983443994873, 0.06415099333103247,
               -0.9747673736982273, -0.681621863612158, 0.1795863862691372, 0.3833635715943745,
               -0.4625480730927218, 0.27574731008481584, 0.15113325843940784},
              1e-7);
  // A constant added to every bias changes nothing; both fits are compared without it.
  auto bias = fit.probe.bias;
  const double mean = (bias[0] + bias[1] + bias[2]) / 3;
  for (double& b : bias) b -= mean;
  check_close(bias, {0.014082402152298218, 0.03538239213926572, -0.049464794291560754}, 1e-7);
  CHECK(fit.probe.predict(queries.mat()) == Predictions{0, 1, 1, 1, 2, 2, 0, 0, 0, 2, 1, 1});
  CHECK(albef::accuracy(fit.probe.predict(train.mat()), y) == doctest::Approx(17.0 / 30));

  const auto cut = albef::logistic_probe(train.mat(), y, 3, {.penalty = 0.5, .max_iterations = 2});
  CHECK(!cut.converged);
  CHECK(cut.loss > fit.loss);
}

TEST_CASE("nearest_neighbours: weighted and plain votes as NumPy counts them") {
  const auto vote = [](int k, double temperature) {
    return albef::nearest_neighbours(train.mat(), labels(30), 3, queries.mat(), {k, temperature});
  };
  CHECK(vote(1, 0.07) == Predictions{1, 1, 2, 1, 1, 0, 2, 1, 2, 2, 2, 2});
  CHECK(vote(7, 0.07) == Predictions{2, 1, 1, 1, 1, 0, 2, 0, 1, 2, 1, 2});
  CHECK(vote(7, 0) == Predictions{0, 0, 1, 0, 2, 2, 1, 0, 0, 2, 1, 0});
  CHECK(vote(20, 0.3) == Predictions{2, 0, 1, 1, 0, 0, 1, 0, 0, 2, 1, 2});
  // Every row is its own nearest neighbour, more than one chunk of queries long.
  const Features many(600, 9, 2);
  CHECK(albef::nearest_neighbours(many.mat(), labels(600), 3, many.mat(), {1}) == labels(600));
}

TEST_CASE("principal_components: sklearn.decomposition.PCA, more rows than columns and fewer") {
  const auto tall = albef::principal_components(train.mat(), 3);
  check_close(tall.components,
              {-0.5496575038090745, -0.4939501156841526, -0.05398042305420724, 0.37106536766878884,
               0.5597200358801759, -0.2493759812517987, 0.39383113104131506, 0.7475473853572581,
               0.45570111755576415, -0.12735014056284358, -0.45150598549099397, 0.7332924665754013,
               -0.3761110422742084, -0.18310599074554873, 0.2888549524624256},
              1e-10);
  check_close(tall.variance, {1.62252274918761, 0.995103822236705, 0.052474984157324045}, 1e-12);
  CHECK(tall.total_variance == doctest::Approx(2.7586795150972154));
  auto coordinates = tall.transform(train.mat());
  coordinates.resize(3);
  check_close(coordinates, {-0.853126805839207, 1.2653670963073556, -0.051541648336167964}, 1e-10);

  const auto few = albef::principal_components(wide.mat(), 4);
  check_close(few.variance,
              {3.9704706469608966, 3.498163191485248, 0.13338033085475584, 0.08322484403662844},
              1e-12);
  coordinates = few.transform(wide.mat());
  coordinates.resize(4);
  check_close(coordinates,
              {1.9640810356701577, -1.1978541417722093, 0.19434980433957458, -0.39380164658155126},
              1e-10);
}

TEST_CASE("probes refuse what does not fit") {
  const auto says = [](auto&& call, const std::string& text) {
    try {
      call();
    } catch (const albef::Error& error) {
      CAPTURE(error.what());
      return std::string(error.what()).find(text) != std::string::npos;
    }
    return false;
  };
  using namespace albef;
  const auto y = labels(30);
  CHECK(says([&] { ridge_probe(train.mat(), labels(29), 3, 1); }, "29 labels for 30 rows"));
  CHECK(says([&] { ridge_probe(train.mat(), y, 2, 1); }, "label 4 is 2, expected 0 .. 1"));
  CHECK(says([&] { ridge_probe(train.mat(), y, 3, 0); }, "the penalty is 0"));
  CHECK(says([&] { logistic_probe(train.mat(), y, 1); }, "1 classes, expected at least two"));
  CHECK(says([&] { nearest_neighbours(train.mat(), y, 3, wide.mat()); }, "width 5"));
  CHECK(says([&] { nearest_neighbours(train.mat(), y, 3, queries.mat(), {31}); },
             "31 neighbours of 30 rows"));
  CHECK(says([&] { principal_components(train.mat(), 6); }, "expected 1 .. 5"));
  CHECK(says([&] { principal_components(wide.mat(), 6); }, "vary in 5 directions"));
  CHECK(says([&] { ridge_probe(train.mat(), y, 3, 1).predict(wide.mat()); },
             "features of width 11, expected 5"));
  Features broken(30, 5, 0);
  broken.values[12] = std::nan("");
  CHECK(says([&] { ridge_probe(broken.mat(), y, 3, 1); }, "row 2 has a value"));
}
