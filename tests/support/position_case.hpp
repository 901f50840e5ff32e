// Golden case `interpolate_pos_embed`: position embeddings resized to other patch grids.
#pragma once

#include <cmath>
#include <span>

#include "albef/core/interpolate_pos_embed.hpp"
#include "support/golden.hpp"

namespace albef {

/// Compares every expected `out/NAME` with the resized input `pos_embed/NAME`.
inline void run_interpolate_pos_embed_case(const GoldenCase& golden, GoldenReport& report) {
  for (const auto& [name, want] : golden.expected) {
    const auto& table = golden.input("pos_embed" + name.substr(name.find('/')));
    const int width = static_cast<int>(table.shape.back());
    const int grid = static_cast<int>(std::lround(std::sqrt(want.shape.at(1) - 1)));
    report.check(name, interpolate_pos_embed(std::span<const double>(table.values), width, grid));
  }
}

}  // namespace albef
