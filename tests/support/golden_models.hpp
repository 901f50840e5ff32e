// Running golden cases: the kinds that a model runs on a device, and the main function of checkers.
#pragma once

#include <cstdio>
#include <functional>
#include <map>
#include <string>

#include "support/albef_case.hpp"
#include "support/dino_case.hpp"
#include "support/golden.hpp"
#include "support/task_case.hpp"

namespace albef {

using GoldenRunner = std::function<void(const GoldenCase&, GoldenReport&)>;

/// The kinds that run a model of configuration C on a device.
template <class C, class Device>
std::map<std::string, GoldenRunner> model_cases() {
  if constexpr (DinoGolden<C>)
    return {{"dino", run_dino_case<C, Device>}, {"dino_step", run_dino_step_case<C, Device>}};
  else
    return {{"vit", run_vit_case<C, Device>},
            {"text_encoder", run_text_encoder_case<C, Device>},
            {"fusion", run_fusion_case<C, Device>},
            {"mlm", run_mlm_case<C, Device>},
            {"pretrain_step", run_pretrain_step_case<C, Device>},
            {"retrieval_step", run_retrieval_step_case<C, Device>},
            {"retrieval_eval", run_retrieval_eval_case<C, Device>},
            {"ve", run_ve_case<C, Device>},
            {"vqa", run_vqa_case<C, Device>},
            {"nlvr", run_nlvr_case<C, Device>},
            {"nlvr_pretrain", run_nlvr_pretrain_case<C, Device>},
            {"gradcam", run_gradcam_case<C, Device>}};
}

/// Runs the case folders named by the command line with what find(case) returns for each, and
/// prints a line per comparison. Exit status 0 if all hold, 1 if not, 2 for a kind that find does
/// not know.
template <class Find>
int run_golden_cases(int argc, char** argv, Find&& find) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CASE_DIR...\n", argv[0]);
    return 2;
  }
  bool all_ok = true, all_known = true;
  for (int i = 1; i < argc; ++i) {
    try {
      const GoldenCase golden = GoldenCase::open(argv[i]);
      const GoldenRunner run = find(golden);
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
