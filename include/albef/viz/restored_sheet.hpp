// Pictures above what an autoencoder makes of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "albef/viz/sheet_grid.hpp"

namespace albef {

/// Writes a PNG of pictures (n, size, size, 3) in columns, each above its restored form.
inline void write_restored_sheet(const std::string& path, const std::string& title,
                                 std::span<const std::uint8_t> pictures,
                                 std::span<const std::uint8_t> restored, int size,
                                 int columns = 12) {
  constexpr int shown = 80, gap = 4;
  const auto bytes = static_cast<std::size_t>(size) * static_cast<std::size_t>(size) * 3;
  require(size > 0 && pictures.size() % bytes == 0 && pictures.size() == restored.size(),
          "restored sheet: got ", pictures.size(), " and ", restored.size(),
          " pixel values, expected pictures of ", size, " x ", size, " x 3");
  detail::draw_grid(
      pictures.size() / bytes, columns, shown, title, [](std::size_t) { return 2 * shown + gap; },
      [&](Canvas& canvas, std::size_t i, double x, double y) {
        canvas.image(x, y, shown, shown, {pictures.data() + i * bytes, size, size});
        canvas.image(x, y + shown + gap, shown, shown, {restored.data() + i * bytes, size, size});
      })
      .save_png(path);
}

}  // namespace albef
