// A drawing surface for plots and picture sheets: shapes, UTF-8 text and RGB pictures, saved as
// PNG. A thin layer over cairo.
#pragma once

#include <cairo.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/file.hpp"

namespace albef {

/// Red, green, blue and opacity, each 0 to 1.
struct Color {
  double r = 0, g = 0, b = 0, a = 1;

  constexpr Color with_opacity(double opacity) const { return {r, g, b, opacity}; }
};

namespace colors {
inline constexpr Color white{1, 1, 1}, ink{0.13, 0.15, 0.18}, grey{0.45, 0.48, 0.52},
    light{0.87, 0.88, 0.90}, paper{0.965, 0.97, 0.975}, green{0.10, 0.60, 0.28},
    red{0.80, 0.22, 0.20};
}  // namespace colors

/// 8-bit RGB pixels, row by row without padding; not owned. Without pixels: no picture.
struct ImageView {
  const std::uint8_t* rgb = nullptr;
  int width = 0, height = 0;

  ImageView() = default;
  ImageView(const std::uint8_t* pixels, int w, int h) : rgb(pixels), width(w), height(h) {}
  /// A picture with members `rgb` (a container), `width` and `height`, such as Image.
  template <class Picture>
  requires requires(const Picture& p) { p.rgb.data(); }
  ImageView(const Picture& p) : ImageView(p.rgb.data(), p.width, p.height) {}

  explicit operator bool() const { return rgb && width > 0 && height > 0; }
};

struct Point {
  double x = 0, y = 0;
};

enum class Align { left, center, right };

struct TextStyle {
  double size = 13;  // pixels
  Color color = colors::ink;
  bool bold = false;
  Align align = Align::left;
};

namespace detail {

/// The text as valid UTF-8 on one line: control characters become spaces, anything that is not
/// UTF-8 becomes U+FFFD (cairo refuses to draw after one bad byte).
inline std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t at) {
      return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u;
    };
    const unsigned lead = byte(i);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xC2 ? 0
                               : lead < 0xE0 ? 2
                               : lead < 0xF0 ? 3
                               : lead < 0xF5 ? 4
                                             : 0;
    unsigned code = length < 2 ? lead : lead & (0x7Fu >> length);
    bool valid = length > 0;
    for (std::size_t k = 1; k < length; ++k) {
      valid = valid && (byte(i + k) & 0xC0) == 0x80;
      code = code << 6 | (byte(i + k) & 0x3F);
    }
    constexpr unsigned smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    valid =
        valid && code >= smallest[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    if (!valid) {
      out += "\xEF\xBF\xBD";
      ++i;
    } else {
      if (code < 32 || code == 127)
        out += ' ';
      else
        out += text.substr(i, length);
      i += length;
    }
  }
  return out;
}

/// Drops the last code point.
inline void pop_code_point(std::string& text) {
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80) text.pop_back();
  if (!text.empty()) text.pop_back();
}

template <auto Destroy>
struct Destroyer {
  template <class T>
  void operator()(T* p) const {
    Destroy(p);
  }
};
using CairoSurface = std::unique_ptr<cairo_surface_t, Destroyer<cairo_surface_destroy>>;
using CairoContext = std::unique_ptr<cairo_t, Destroyer<cairo_destroy>>;

}  // namespace detail

/// Coordinates are pixels from the top left corner.
class Canvas {
 public:
  Canvas(int width, int height, Color background = colors::white) : width_(width), height_(height) {
    constexpr int limit = 32767;  // cairo's
    require(width > 0 && height > 0 && width <= limit && height <= limit, "canvas of ", width,
            " x ", height, " pixels, expected sides of 1 to ", limit);
    surface_.reset(cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height));
    context_.reset(cairo_create(surface_.get()));
    check("create a canvas");
    fill_rect(0, 0, width, height, background);
  }

  int width() const { return width_; }
  int height() const { return height_; }

  void fill_rect(double x, double y, double w, double h, Color color) {
    set(color);
    cairo_rectangle(cr(), x, y, w, h);
    cairo_fill(cr());
  }
  /// A frame of the given thickness, drawn inside the rectangle.
  void frame(double x, double y, double w, double h, Color color, double thickness = 1) {
    set(color);
    cairo_set_line_width(cr(), thickness);
    cairo_rectangle(cr(), x + thickness / 2, y + thickness / 2, w - thickness, h - thickness);
    cairo_stroke(cr());
  }
  void line(Point from, Point to, Color color, double thickness = 1, bool dashed = false) {
    const Point points[] = {from, to};
    polyline(points, color, thickness, dashed);
  }
  void polyline(std::span<const Point> points, Color color, double thickness = 1,
                bool dashed = false) {
    if (points.empty()) return;
    set(color);
    cairo_set_line_width(cr(), thickness);
    cairo_set_line_join(cr(), CAIRO_LINE_JOIN_ROUND);
    const double dashes[] = {6, 4};
    cairo_set_dash(cr(), dashes, dashed ? 2 : 0, 0);
    cairo_move_to(cr(), points[0].x, points[0].y);
    for (const Point p : points) cairo_line_to(cr(), p.x, p.y);
    cairo_stroke(cr());
    cairo_set_dash(cr(), nullptr, 0, 0);
  }

  static constexpr std::size_t longest = 4000;  ///< bytes of a text that are looked at

  /// Width in pixels of a text on one line.
  double text_width(std::string_view text, const TextStyle& style = {}) const {
    return measured_width(detail::printable(text), style);
  }
  /// Draws one line of text with its baseline at y; x is its left edge, middle or right edge. A
  /// text wider than `max_width` (if positive) ends in an ellipsis.
  void text(double x, double y, std::string_view content, const TextStyle& style = {},
            double max_width = 0) {
    std::string line = detail::printable(content.substr(0, longest));
    if (max_width > 0) shorten(line, style, max_width);
    show(x, y, line, style);
  }
  /// Draws text broken at spaces into lines of at most `width` pixels, the first baseline at y;
  /// what does not fit into `max_lines` ends in an ellipsis. Returns the number of lines.
  int wrapped_text(double x, double y, double width, std::string_view content, int max_lines,
                   const TextStyle& style = {}) {
    const std::string all = detail::printable(content.substr(0, longest));
    std::string_view rest = all;
    int lines = 0;
    while (lines < max_lines) {
      rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
      if (rest.empty()) break;
      std::size_t taken = rest.size();
      if (lines + 1 < max_lines) taken = fitting(rest, style, width);
      std::string line(rest.substr(0, taken));
      shorten(line, style, width);
      show(x, y + lines * style.size * 1.3, line, style);
      rest.remove_prefix(taken);
      ++lines;
    }
    return lines;
  }
  /// Draws a text turned by a quarter to the left, centred on (x, y).
  void vertical_text(double x, double y, std::string_view content, TextStyle style = {}) {
    cairo_save(cr());
    cairo_translate(cr(), x, y);
    cairo_rotate(cr(), -1.57079632679489661923);
    style.align = Align::center;
    text(0, 0, content, style);
    cairo_restore(cr());
  }

  /// Draws a picture as large as fits into the rectangle, centred, its proportions kept.
  void image(double x, double y, double w, double h, ImageView picture) {
    require(static_cast<bool>(picture), "canvas: the picture has no pixels");
    const double scale = std::min(w / picture.width, h / picture.height);
    const detail::CairoSurface source = surface_of(picture);
    cairo_save(cr());
    cairo_translate(cr(), x + (w - scale * picture.width) / 2,
                    y + (h - scale * picture.height) / 2);
    cairo_rectangle(cr(), 0, 0, scale * picture.width, scale * picture.height);
    cairo_clip(cr());
    cairo_scale(cr(), scale, scale);
    cairo_set_source_surface(cr(), source.get(), 0, 0);
    cairo_pattern_set_extend(cairo_get_source(cr()), CAIRO_EXTEND_PAD);  // no blended edges
    cairo_pattern_set_filter(cairo_get_source(cr()), CAIRO_FILTER_GOOD);
    cairo_paint(cr());
    cairo_restore(cr());
  }

  /// Runs `draw()` with everything outside the rectangle left untouched.
  template <class F>
  void clipped(double x, double y, double w, double h, F draw) {
    cairo_save(cr());
    cairo_rectangle(cr(), x, y, w, h);
    cairo_clip(cr());
    draw();
    cairo_restore(cr());
  }

  /// The pixels drawn so far: 3 bytes each, row by row.
  std::vector<std::uint8_t> rgb() const {
    cairo_surface_flush(surface_.get());
    std::vector<std::uint8_t> out;
    out.reserve(3 * static_cast<std::size_t>(width_) * static_cast<std::size_t>(height_));
    for (int y = 0; y < height_; ++y) {
      const std::uint32_t* row = row_of(surface_.get(), y);
      for (int x = 0; x < width_; ++x)
        for (const int shift : {16, 8, 0})
          out.push_back(static_cast<std::uint8_t>(row[x] >> shift));
    }
    return out;
  }

  /// Writes a PNG file atomically (see AtomicFile); Error names the path.
  void save_png(const std::string& path) const {
    check("draw for '" + path + "'");
    struct Target {
      AtomicFile file;
      std::exception_ptr error;
    } target{AtomicFile(path), nullptr};
    // Exceptions must not pass through cairo, which is C.
    const auto write = [](void* closure, const unsigned char* data, unsigned size) noexcept {
      auto& to = *static_cast<Target*>(closure);
      try {
        to.file.write(data, size);
        return CAIRO_STATUS_SUCCESS;
      } catch (...) {
        to.error = std::current_exception();
        return CAIRO_STATUS_WRITE_ERROR;
      }
    };
    const auto status = cairo_surface_write_to_png_stream(surface_.get(), write, &target);
    if (target.error) std::rethrow_exception(target.error);
    require(status == CAIRO_STATUS_SUCCESS, "cannot write '", path,
            "': ", cairo_status_to_string(status));
    target.file.commit();
  }

 private:
  cairo_t* cr() const { return context_.get(); }
  void set(Color c) { cairo_set_source_rgba(cr(), c.r, c.g, c.b, c.a); }
  void check(const std::string& task) const {
    const auto status = cairo_status(cr());
    require(status == CAIRO_STATUS_SUCCESS, "cannot ", task, ": ", cairo_status_to_string(status));
  }

  static std::uint32_t* row_of(cairo_surface_t* surface, int y) {
    return reinterpret_cast<std::uint32_t*>(cairo_image_surface_get_data(surface) +
                                            static_cast<std::ptrdiff_t>(y) *
                                                cairo_image_surface_get_stride(surface));
  }
  static detail::CairoSurface surface_of(ImageView picture) {
    detail::CairoSurface out(
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, picture.width, picture.height));
    const auto status = cairo_surface_status(out.get());
    require(status == CAIRO_STATUS_SUCCESS, "picture of ", picture.width, " x ", picture.height,
            ": ", cairo_status_to_string(status));
    cairo_surface_flush(out.get());
    const std::uint8_t* from = picture.rgb;
    for (int y = 0; y < picture.height; ++y) {
      std::uint32_t* row = row_of(out.get(), y);
      for (int x = 0; x < picture.width; ++x, from += 3)
        row[x] = static_cast<std::uint32_t>(from[0]) << 16 |
                 static_cast<std::uint32_t>(from[1]) << 8 | from[2];
    }
    cairo_surface_mark_dirty(out.get());
    return out;
  }

  void select(const TextStyle& style) const {
    cairo_select_font_face(cr(), "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                           style.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr(), style.size);
  }
  double measured_width(const std::string& line, const TextStyle& style) const {
    select(style);
    cairo_text_extents_t extents;
    cairo_text_extents(cr(), line.c_str(), &extents);
    return extents.x_advance;
  }
  void show(double x, double y, const std::string& line, const TextStyle& style) {
    if (style.align != Align::left)
      x -= measured_width(line, style) * (style.align == Align::center ? 0.5 : 1);
    select(style);
    set(style.color);
    cairo_move_to(cr(), x, y);
    cairo_show_text(cr(), line.c_str());
  }
  void shorten(std::string& line, const TextStyle& style, double max_width) const {
    if (measured_width(line, style) <= max_width) return;
    while (!line.empty() && measured_width(line + "…", style) > max_width)
      detail::pop_code_point(line);
    while (line.ends_with(' ')) line.pop_back();
    line += "…";
  }
  /// Bytes of `text` that fit on a line, up to a space if there is one; at least its first word.
  std::size_t fitting(std::string_view text, const TextStyle& style, double width) const {
    std::size_t taken = text.find(' ');
    while (taken != std::string_view::npos) {
      const std::size_t next = text.find(' ', taken + 1);
      if (measured_width(std::string(text.substr(0, next)), style) > width) return taken;
      taken = next;
    }
    return text.size();
  }

  int width_, height_;
  detail::CairoSurface surface_;
  detail::CairoContext context_;
};

}  // namespace albef
