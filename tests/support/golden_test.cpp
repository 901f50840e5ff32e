// The golden-case report itself (it must notice wrong, missing and surplus results) and the cases
// that need no model.
#include "support/golden.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include "albef/cpu.hpp"
#include "support/position_case.hpp"
#include "support/schedule_case.hpp"

namespace fs = std::filesystem;
using albef::GoldenCase;
using albef::GoldenReport;

namespace {

/// A small case on disk with a tensor of every kind.
struct SmallCase {
  std::string folder =
      (fs::temp_directory_path() / ("albef_golden_test_" + std::to_string(::getpid()))).string();

  SmallCase() {
    fs::create_directories(folder);
    albef::write_file(folder + "/case.json", R"({
      "kind": "small", "hyper": {"lr": 0.5}, "inputs": [], "expected": [],
      "weights": [{"file": "weights.safetensors", "from": "", "to": ""},
                  {"file": "weights.safetensors", "from": "text.bert.", "to": "text."}],
      "expected_groups": [{"group": "grad"}, {"group": "after"}],
      "tolerance": {"out": {"rtol": 1e-3}, "count": {"exact": true},
                    "grad": {"rtol": 1e-3, "floor": 0.5},
                    "after": {"abs_quantiles": {"0.5": 1e-6, "1.0": 0.1}}}})");
    const float weights[] = {1, 2, 3}, probe2[] = {1, -1}, probe3[] = {1, 1, -1};
    write("weights", {{"text.bert.a", albef::DType::F32, {2}, weights},
                      {"text.a", albef::DType::F32, {1}, weights + 2}});
    write("inputs", {{"probe/2", albef::DType::F32, {2}, probe2},
                     {"probe/3", albef::DType::F32, {3}, probe3}});
    // grad.row, .col: of the matrix [[1, 2, 3], [4, 5, 6]]
    const float out[] = {1, 2, 3, 4}, bias[] = {0, 0.1f}, row[] = {0, 3}, col[] = {-3, -3, -3};
    const float after[] = {1, 2, 3};
    const std::int64_t count[] = {5};
    write("expected", {{"out", albef::DType::F32, {2, 2}, out},
                       {"count", albef::DType::I64, {1}, count},
                       {"grad/bias", albef::DType::F32, {2}, bias},
                       {"grad.row/w", albef::DType::F32, {2}, row},
                       {"grad.col/w", albef::DType::F32, {3}, col},
                       {"after/w", albef::DType::F32, {3}, after}});
  }
  ~SmallCase() { fs::remove_all(folder); }
  void write(const char* name, const std::vector<albef::TensorSource>& tensors) const {
    albef::write_safetensors(folder + '/' + name + ".safetensors", tensors);
  }
};

using Values = std::map<std::string, std::vector<float>>;
const Values right_gradient{{"bias", {0, 0.1f}}, {"w", {1, 2, 3, 4, 5, 6}}};

bool has_failure(const GoldenReport& report, const char* name, const char* note) {
  return std::any_of(report.lines().begin(), report.lines().end(), [&](const auto& line) {
    return !line.ok && line.name == name && line.note.find(note) != std::string::npos;
  });
}

std::string test_data(const char* name) { return std::string(ALBEF_TEST_DATA "/golden/") + name; }

}  // namespace

TEST_CASE("golden: weights are renamed and later entries override earlier ones") {
  const SmallCase small;
  const auto golden = GoldenCase::open(small.folder);
  CHECK(golden.weight("text.bert.a").as<float>() == std::vector<float>{1, 2});
  CHECK(golden.weight("text.a").as<float>() == std::vector<float>{1, 2});
  CHECK(golden.hyper.at("lr") == 0.5);
  CHECK_THROWS_WITH_AS(golden.input("x"), doctest::Contains("no input 'x'"), albef::Error);
}

TEST_CASE("golden: right results pass") {
  const SmallCase small;
  const auto golden = GoldenCase::open(small.folder);
  GoldenReport report(golden);
  CHECK(report.check("out", std::vector<float>{1, 2.003f, 3, 4}));
  CHECK(report.check_value("count", 5));
  CHECK(report.check_group("grad", right_gradient));
  CHECK(report.check_group("after", Values{{"w", {1, 2, 3.05f}}}));
  CHECK_FALSE(report.all_ok());  // not finished
  report.finish();
  CHECK(report.all_ok());
}

TEST_CASE("golden: wrong values fail") {
  const SmallCase small;
  const auto golden = GoldenCase::open(small.folder);
  GoldenReport report(golden);
  CHECK_FALSE(report.check("out", std::vector<double>{1, 2.005, 3, 4}));
  CHECK_FALSE(report.check("out", std::vector<double>{1, std::nan(""), 3, 4}));
  CHECK_FALSE(report.check("out", std::vector<double>{1, 2, 3}));
  CHECK_FALSE(report.check("other", std::vector<double>{1}));
  CHECK_FALSE(report.check_value("count", 5.0001));
  const std::vector<int> keep{1, 0}, none{0, 0};
  CHECK(report.check_rows("out", std::vector<double>{1, 2, 30, 40}, keep));
  CHECK_FALSE(report.check_rows("out", std::vector<double>{1, 20, 3, 4}, keep));
  CHECK_FALSE(report.check_rows("out", std::vector<double>{1, 2, 3, 4}, none));
  CHECK_FALSE(report.check_group("after", Values{{"w", {1, 2, 3.2f}}}));       // the maximum
  CHECK_FALSE(report.check_group("after", Values{{"w", {1, 2.01f, 3.01f}}}));  // the median
}

TEST_CASE("golden: groups notice wrong, missing and surplus parameters") {
  const SmallCase small;
  const auto golden = GoldenCase::open(small.folder);
  const auto changed = [](const char* name, std::vector<float> values) {
    Values got = right_gradient;
    got[name] = std::move(values);
    return got;
  };
  GoldenReport report(golden);
  CHECK_FALSE(report.check_group("grad", changed("w", {1, 2, 3, 4, 5.1f, 6})));
  CHECK(has_failure(report, "grad/grad.row/w", "deviation"));
  CHECK_FALSE(report.check_group("grad", changed("w", {1, 2, 3, 4})));
  CHECK(has_failure(report, "grad/w", "do not fit"));
  CHECK_FALSE(report.check_group("grad", changed("bias", {0, 0.11f})));
  CHECK(report.check_group("grad", changed("bias", {0.0004f, 0.1f})));  // below rtol * floor
  CHECK_FALSE(report.check_group("grad", Values{{"w", right_gradient.at("w")}}));
  CHECK(has_failure(report, "grad/bias", "missing"));
  CHECK_FALSE(report.check_group("grad", changed("surplus", {0, 1})));
  CHECK(has_failure(report, "grad/surplus", "expected none"));
  CHECK(report.check_group("grad", changed("surplus", {0, 0})));
  CHECK(report.check_group("grad", changed("surplus", {0, 1}), {"surplus"}));
  CHECK_FALSE(report.check_group("none", right_gradient));
}

TEST_CASE("golden: what was never compared fails, unless declared") {
  const SmallCase small;
  const auto golden = GoldenCase::open(small.folder);
  GoldenReport report(golden);
  report.check_value("count", 5);
  report.skip("after/");
  report.finish();
  CHECK_FALSE(report.all_ok());
  CHECK(has_failure(report, "out", "never compared"));
  CHECK(has_failure(report, "grad/*", "never compared (3)"));
  CHECK(report.lines().size() == 3);
}

TEST_CASE("golden: a damaged case names its file") {
  const SmallCase small;
  CHECK_THROWS_WITH_AS(GoldenCase::open(small.folder + "/no"), doctest::Contains("no/case.json"),
                       albef::Error);
  fs::resize_file(small.folder + "/weights.safetensors", 60);
  CHECK_THROWS_WITH_AS(GoldenCase::open(small.folder), doctest::Contains("weights.safetensors"),
                       albef::Error);
  albef::write_file(small.folder + "/case.json", "{");
  CHECK_THROWS_WITH_AS(GoldenCase::open(small.folder), doctest::Contains("case.json"),
                       albef::Error);
}

TEST_CASE("golden: learning-rate schedules of the official loops") {
  const auto golden = GoldenCase::open(test_data("lr_schedule"));
  GoldenReport report(golden);
  albef::run_lr_schedule_case(golden, report);
  report.finish();
  CHECK(report.lines().size() == 30);
  CHECK(report.all_ok());
}

TEST_CASE("golden: interpolated position embeddings") {
  const auto golden = GoldenCase::open(test_data("interpolate_pos_embed"));
  GoldenReport report(golden);
  albef::run_interpolate_pos_embed_case(golden, report);
  report.finish();
  CHECK(report.lines().size() == 3);
  CHECK(report.all_ok());
}

TEST_CASE("golden: position embeddings interpolated inside a graph") {
  const auto golden = GoldenCase::open(test_data("interpolate_pos_embed"));
  GoldenReport report(golden);
  albef::Cpu cpu;
  const auto side = [](std::int64_t rows) {
    return static_cast<int>(std::lround(std::sqrt(rows - 1)));
  };
  for (const auto& [name, want] : golden.expected) {
    const auto& table = golden.input("pos_embed" + name.substr(name.find('/')));
    const int from = side(table.shape.at(1)), to = side(want.shape.at(1));
    const auto width = static_cast<int>(table.shape.back());
    std::vector<double> out(table.values.begin(), table.values.begin() + width);
    out.resize(static_cast<std::size_t>((to * to + 1) * width));
    run(cpu, albef::primitive::ResizeGrid<double>{
                 .x = albef::mat(table.values.data() + width, from * from, width),
                 .grid = {from, from, to, to},
                 .y = albef::mat(out.data() + width, to * to, width)});
    report.check(name, out);
  }
  report.finish();
  CHECK(report.lines().size() == 3);
  CHECK(report.all_ok());
}
