// The paper's ablation (Li et al. 2021, table 1) as type aliases: each row adds one idea to the row
// above.
#pragma once

#include <array>
#include <cstddef>

#include "albef/core/error.hpp"
#include "albef/tasks/pretrain.hpp"

namespace albef::ablation {

using MlmItm = Pretrain<Itm<Uniform>, Mlm<>>;
using WithItc = Pretrain<Itc<>, Itm<Uniform>, Mlm<>>;
using WithHardNegatives = Pretrain<Itc<>, Itm<Hard>, Mlm<>>;
using WithItcDistillation = Pretrain<Itc<Distill>, Itm<Hard>, Mlm<>>;
using Full = Pretrain<Itc<Distill>, Itm<Hard>, Mlm<Distill>>;
// The sixth row distils in the downstream task as well. Retrieval without fine-tuning has no such
// step: what the momentum model has learned is used by evaluating its weights.
using FullMomentum = Full;

inline constexpr std::array<const char*, 6> names = {"MLM + ITM",        "+ ITC",
                                                     "+ hard negatives", "+ distillation in ITC",
                                                     "+ in MLM (full)",  "+ momentum weights"};
inline const char* name(int row) { return names.at(static_cast<std::size_t>(row - 1)); }

/// Calls f.operator()<Objectives>() with those of row 1 to 6.
template <class F>
auto with_row(int row, F&& f) {
  switch (row) {
    case 1:
      return f.template operator()<MlmItm>();
    case 2:
      return f.template operator()<WithItc>();
    case 3:
      return f.template operator()<WithHardNegatives>();
    case 4:
      return f.template operator()<WithItcDistillation>();
    case 5:
    case 6:
      return f.template operator()<Full>();
    default:
      fail("row ", row, " of the ablation: expected 1 to 6");
  }
}

}  // namespace albef::ablation
