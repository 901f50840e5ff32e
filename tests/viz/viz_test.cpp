// Drawings: text measured and cut, pictures in their place, right answers framed, files written.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "albef/viz/canvas.hpp"
#include "albef/viz/contact_sheet.hpp"
#include "albef/viz/plot.hpp"

namespace fs = std::filesystem;
using albef::Canvas;
using albef::Error;
using albef::ImageView;

// Fontconfig keeps its configuration until the process ends, which the leak checker reports.
extern "C" const char* __lsan_default_suppressions() { return "leak:libfontconfig"; }

namespace {

struct TemporaryFile {
  std::string path =
      (fs::temp_directory_path() / ("albef_viz_test_" + std::to_string(::getpid()) + ".png"))
          .string();
  ~TemporaryFile() { fs::remove(path); }
};

struct Rgb {
  int r, g, b;
  bool operator==(const Rgb&) const = default;
};
Rgb pixel(const Canvas& canvas, int x, int y) {
  const auto rgb = canvas.rgb();
  const auto* p = rgb.data() + 3 * (y * canvas.width() + x);
  return {p[0], p[1], p[2]};
}
/// Share of pixels that are close to a colour.
double share(const Canvas& canvas, albef::Color color) {
  const auto rgb = canvas.rgb();
  const double want[] = {255 * color.r, 255 * color.g, 255 * color.b};
  std::size_t near = 0;
  for (std::size_t i = 0; i < rgb.size(); i += 3) {
    bool is_near = true;
    for (std::size_t c = 0; c < 3; ++c) is_near = is_near && std::abs(rgb[i + c] - want[c]) < 12;
    near += is_near;
  }
  return 3.0 * static_cast<double>(near) / static_cast<double>(rgb.size());
}

std::vector<std::uint8_t> filled(int width, int height, Rgb color) {
  std::vector<std::uint8_t> out;
  for (int i = 0; i < width * height; ++i)
    for (const int c : {color.r, color.g, color.b}) out.push_back(static_cast<std::uint8_t>(c));
  return out;
}

}  // namespace

TEST_CASE("canvas: shapes, and pictures keep their proportions") {
  Canvas canvas(60, 40, albef::colors::white);
  canvas.fill_rect(0, 0, 10, 10, {1, 0, 0});
  CHECK(pixel(canvas, 5, 5) == Rgb{255, 0, 0});
  CHECK(pixel(canvas, 15, 5) == Rgb{255, 255, 255});
  const auto blue = filled(20, 10, {0, 0, 255});
  canvas.image(20, 0, 40, 40, ImageView(blue.data(), 20, 10));  // 40 x 20, centred
  CHECK(pixel(canvas, 40, 20) == Rgb{0, 0, 255});
  CHECK(pixel(canvas, 21, 11) == Rgb{0, 0, 255});
  CHECK(pixel(canvas, 40, 5) == Rgb{255, 255, 255});
  canvas.clipped(0, 30, 5, 5, [&] { canvas.fill_rect(0, 0, 60, 40, {0, 1, 0}); });
  CHECK(pixel(canvas, 2, 32) == Rgb{0, 255, 0});
  CHECK(pixel(canvas, 8, 32) == Rgb{255, 255, 255});
}

TEST_CASE("canvas: text is measured, shortened and wrapped; bad bytes do not stop the drawing") {
  Canvas canvas(400, 100);
  CHECK(canvas.text_width("wide text") > canvas.text_width("text"));
  CHECK(canvas.text_width("x", {.size = 26}) > 1.5 * canvas.text_width("x", {.size = 13}));
  canvas.text(0, 30, "a text that is far too long for the room it has been given", {}, 100);
  const auto rgb = canvas.rgb();
  bool outside = false, inside = false;
  for (std::size_t y = 0; y < 100; ++y)
    for (std::size_t x = 0; x < 400; ++x)
      if (rgb[3 * (400 * y + x)] < 128) (x > 101 ? outside : inside) = true;
  CHECK(inside);
  CHECK_FALSE(outside);
  CHECK(canvas.wrapped_text(0, 60, 100, "one two three four five six seven eight", 2) == 2);
  CHECK(canvas.wrapped_text(0, 60, 1000, "one two", 2) == 1);
  CHECK(canvas.wrapped_text(0, 60, 100, "", 2) == 0);
  CHECK(canvas.wrapped_text(0, 60, 5, "word", 2) == 1);

  CHECK(albef::detail::printable("a\xff\xc3\xa9\tb\xed\xa0\x80") ==
        "a\xEF\xBF\xBD\xc3\xa9 b\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(albef::detail::printable("\xf0\x9f\x98\x80\xe2\x82") ==
        "\xf0\x9f\x98\x80\xEF\xBF\xBD\xEF\xBF\xBD");
  canvas.text(0, 90, "bad \xff\xfe byte");
  const TemporaryFile file;
  CHECK_NOTHROW(canvas.save_png(file.path));
  CHECK(albef::read_file(file.path).starts_with("\x89PNG"));
}

TEST_CASE("canvas: errors") {
  CHECK_THROWS_AS(Canvas(0, 10), Error);
  CHECK_THROWS_AS(Canvas(40000, 10), Error);
  CHECK_THROWS_AS(Canvas(10, 10).image(0, 0, 5, 5, {}), Error);
  CHECK_THROWS_WITH_AS(Canvas(10, 10).save_png("/nowhere/x.png"), doctest::Contains("/nowhere"),
                       Error);
  if (fs::exists("/dev/full"))
    CHECK_THROWS_WITH_AS(Canvas(10, 10).save_png("/dev/full"), doctest::Contains("No space left"),
                         Error);
}

TEST_CASE("plot: curves and plateaus are there; odd data does no harm") {
  albef::PlotSeries falling{"itm", {}, {}}, noisy{"mlm", {}, {}};
  for (int i = 0; i < 500; ++i) {
    falling.x.push_back(i);
    falling.y.push_back(1.0 / (1 + 0.01 * i));
    noisy.x.push_back(i);
    noisy.y.push_back(2 + 0.3 * std::sin(i * 7.0));
  }
  noisy.y[100] = std::nan("");
  const std::vector<albef::PlotSeries> series{falling, noisy};
  albef::PlotOptions options;
  options.title = "Losses";
  options.plateaus = {{"no learning", 0.6365, "itm"}, {"random", 3.5, ""}};
  const Canvas canvas = albef::draw_plot(series, options);
  CHECK(canvas.width() == 960);
  CHECK(share(canvas, albef::detail::plot_colors[0]) > 0.001);
  CHECK(share(canvas, albef::detail::plot_colors[1]) > 0.001);
  CHECK(share(canvas, albef::colors::grey) > 0.0001);
  const TemporaryFile file;
  albef::write_plot(file.path, series, options);
  CHECK(fs::file_size(file.path) > 10000);

  CHECK_NOTHROW(albef::draw_plot({}));
  const std::vector<albef::PlotSeries> odd{{"empty", {}, {}},
                                           {"one", {3}, {2}},
                                           {"nan", {1, 2}, {std::nan(""), std::nan("")}},
                                           {"flat", {0, 1}, {5, 5 + 1e-15}}};
  CHECK_NOTHROW(albef::draw_plot(odd));
  const std::vector<albef::PlotSeries> flat{odd[3]};
  CHECK_NOTHROW(albef::draw_plot(flat));
  const std::vector<albef::PlotSeries> wrong{{"w", {1, 2}, {1}}};
  CHECK_THROWS_WITH_AS(albef::draw_plot(wrong), doctest::Contains("'w'"), Error);
}

TEST_CASE("plot: the moving average is symmetric inside and skips what is not finite") {
  const double gap = std::nan("");
  const auto average = albef::detail::smoothed({0, 3, 6, gap, 12}, 3);
  CHECK(average[0] == 1.5);
  CHECK(average[1] == 3);
  CHECK(average[2] == 4.5);
  CHECK(average[3] == 9);
  CHECK(average[4] == 12);
  CHECK(std::isnan(albef::detail::smoothed({gap}, 1)[0]));
}

TEST_CASE("axis: round steps and short labels") {
  const albef::detail::Axis axis(0, 10.3, 6);
  CHECK(axis.step == 2);
  CHECK(axis.label(4) == "4");
  const albef::detail::Axis steps(0, 29990, 8);
  CHECK(steps.label(15000) == "15k");
  CHECK(albef::detail::Axis(0.63, 0.64, 6).label(0.632) == "0.632");
  CHECK(albef::detail::Axis(-1, 1, 4).label(-1e-17) == "0");
}

TEST_CASE("contact sheet: pictures, texts and marks") {
  const auto blue = filled(40, 20, {0, 0, 255});
  const ImageView picture(blue.data(), 40, 20);
  albef::SheetQuery by_text{{"a blue box", {}}, {}}, by_image{{"", picture}, {}};
  for (int i = 0; i < 3; ++i) {
    by_text.answers.push_back({{"caption", picture}, 0.5, albef::Mark::none});
    by_image.answers.push_back({{"some text", {}}, 0.5, albef::Mark::none});
  }
  const auto draw = [&] {
    return albef::draw_contact_sheet(
        std::vector<albef::SheetSection>{{"Text to image", {by_text}},
                                         {"Image to text", {by_image}}},
        {.title = "Retrieval"});
  };
  CHECK(share(draw(), {0, 0, 1}) > 0.05);
  CHECK(share(draw(), albef::colors::green) < 0.0005);
  by_text.answers[1].mark = albef::Mark::right;
  const double one = share(draw(), albef::colors::green);
  CHECK(one > 0.004);
  by_image.answers[0].mark = albef::Mark::right;
  CHECK(share(draw(), albef::colors::green) > one);
  by_image.answers[1].mark = albef::Mark::wrong;
  CHECK(share(draw(), albef::colors::red) > 0.0001);

  const TemporaryFile file;
  albef::write_contact_sheet(file.path, std::vector<albef::SheetSection>{{"", {by_text}}});
  CHECK(fs::file_size(file.path) > 1000);
  CHECK_NOTHROW(albef::draw_contact_sheet({}));
  CHECK_THROWS_AS(albef::draw_contact_sheet({}, {.cell = 0}), Error);
}
