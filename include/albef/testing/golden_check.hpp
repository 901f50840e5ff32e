// The golden checker: runs any case folder with the configurations named as template arguments.
#pragma once

#include <cstdio>
#include <functional>
#include <map>
#include <string>

#include "albef/testing/albef_case.hpp"
#include "albef/testing/golden.hpp"
#include "albef/testing/image_case.hpp"
#include "albef/testing/position_case.hpp"
#include "albef/testing/schedule_case.hpp"
#include "albef/testing/task_case.hpp"
#include "albef/testing/tokenizer_case.hpp"

namespace albef {

using GoldenRunner = std::function<void(const GoldenCase&, GoldenReport&)>;

/// The kinds that run a model of configuration C.
template <class C>
std::map<std::string, GoldenRunner> model_cases() {
  return {{"vit", run_vit_case<C>},
          {"text_encoder", run_text_encoder_case<C>},
          {"fusion", run_fusion_case<C>},
          {"mlm", run_mlm_case<C>},
          {"pretrain_step", run_pretrain_step_case<C>},
          {"retrieval_step", run_retrieval_step_case<C>},
          {"retrieval_eval", run_retrieval_eval_case<C>},
          {"ve", run_ve_case<C>},
          {"vqa", run_vqa_case<C>},
          {"nlvr", run_nlvr_case<C>},
          {"nlvr_pretrain", run_nlvr_pretrain_case<C>},
          {"gradcam", run_gradcam_case<C>}};
}

/// The kinds that need no configuration.
inline std::map<std::string, GoldenRunner> plain_cases() {
  return {{"adamw", run_adamw_case},
          {"lr_schedule", run_lr_schedule_case},
          {"interpolate_pos_embed", run_interpolate_pos_embed_case},
          {"tokenizer", run_tokenizer_case},
          {"image", run_image_case}};
}

/// The runner of a case among the configurations Cs, or null if its kind is unknown. Throws Error
/// if the kind is known but no configuration fits.
template <class... Cs>
GoldenRunner find_runner(const GoldenCase& golden) {
  const auto plain = plain_cases();
  if (const auto it = plain.find(golden.kind); it != plain.end()) return it->second;
  GoldenRunner found;
  bool known = false;
  const auto look = [&]<class C>() {
    const auto cases = model_cases<C>();
    const auto it = cases.find(golden.kind);
    if (it == cases.end()) return;
    known = true;
    if (!found && matches_config<C>(golden.config)) found = it->second;
  };
  (look.template operator()<Cs>(), ...);
  require(!known || found, golden.folder, ": no configuration compiled in fits the case's config");
  return found;
}

/// main() of a checker: see tests/golden_check.cpp.
template <class... Cs>
int golden_check_main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CASE_DIR...\n", argv[0]);
    return 2;
  }
  bool all_ok = true, all_known = true;
  for (int i = 1; i < argc; ++i) {
    try {
      const GoldenCase golden = GoldenCase::open(argv[i]);
      const GoldenRunner run = find_runner<Cs...>(golden);
      if (!run) {
        std::fprintf(stderr, "%s: unknown kind '%s'\n", argv[i], golden.kind.c_str());
        all_known = false;
        continue;
      }
      GoldenReport report(golden);
      run(golden, report);
      report.finish();
      report.print(stdout);
      all_ok &= report.all_ok();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s: FAIL: %s\n", argv[i], e.what());
      all_ok = false;
    }
  }
  return !all_known ? 2 : all_ok ? 0 : 1;
}

}  // namespace albef
