// The golden checker: runs any case folder with the configurations named as template arguments.
#pragma once

#include <map>
#include <string>

#include "support/bpe_case.hpp"
#include "support/golden_models.hpp"
#include "support/image_case.hpp"
#include "support/position_case.hpp"
#include "support/relative_cases.hpp"
#include "support/schedule_case.hpp"
#include "support/task_case.hpp"
#include "support/tokenizer_case.hpp"

namespace albef {

/// The kinds that need no configuration.
template <class Device>
std::map<std::string, GoldenRunner> plain_cases() {
  return {{"adamw", run_adamw_case<Device>},
          {"lr_schedule", run_lr_schedule_case},
          {"dino_schedule", run_dino_schedule_case},
          {"interpolate_pos_embed", run_interpolate_pos_embed_case},
          {"tokenizer", run_tokenizer_case},
          {"bpe", run_bpe_case},
          {"image", run_image_case}};
}

/// Whether configuration C is the one a case was made with.
template <class C>
bool matches(const nlohmann::json& config) {
  if constexpr (DinoGolden<C>)
    return matches_dino_config<C>(config);
  else
    return matches_config<C>(config);
}

/// The runner of a case among the configurations Cs, or null if its kind is unknown. Throws Error
/// if the kind is known but no configuration fits.
template <class Device, class... Cs>
GoldenRunner find_runner(const GoldenCase& golden) {
  const auto plain = plain_cases<Device>();
  if (const auto it = plain.find(golden.kind); it != plain.end()) return it->second;
  if (const auto relative = find_relative_runner<Device>(golden)) return relative;
  GoldenRunner found;
  bool known = false;
  const auto look = [&]<class C>() {
    const auto cases = model_cases<C, Device>();
    const auto it = cases.find(golden.kind);
    if (it == cases.end()) return;
    known = true;
    if (!found && matches<C>(golden.config)) found = it->second;
  };
  (look.template operator()<Cs>(), ...);
  require(!known || found, golden.folder, ": no configuration compiled in fits the case's config");
  return found;
}

/// main() of a checker: see tests/golden_check.cpp.
template <class Device, class... Cs>
int golden_check_main(int argc, char** argv) {
  return run_golden_cases(argc, argv, find_runner<Device, Cs...>);
}

}  // namespace albef
