// golden_check_emulated CASE_DIR...: the golden cases that run a model or the optimizer, with the
// CUDA kernels run on the host, thread by thread (emulation/simt.hpp); products by plain loops.
#include "albef/albef.hpp"
#include "albef/cuda/memory.hpp"
#include "albef/cuda/primitives.cuh"
#include "support/clip_case.hpp"
#include "support/dalle_case.hpp"
#include "support/flava_case.hpp"
#include "support/golden_models.hpp"

int main(int argc, char** argv) {
  using albef::Cuda;
  return albef::run_golden_cases(argc, argv, [](const albef::GoldenCase& golden) {
    if (golden.kind == "dalle_encoder") return albef::find_dalle_runner<Cuda>(golden);
    if (golden.kind == "clip") return albef::find_clip_runner<Cuda>(golden);
    if (const auto flava = albef::find_flava_runner<Cuda, albef::FlavaNano>(golden)) return flava;
    auto cases = albef::model_cases<albef::Nano, Cuda>();
    cases.merge(albef::model_cases<albef::DinoNano, Cuda>());
    cases["adamw"] = albef::run_adamw_case<Cuda>;
    const auto found = cases.find(golden.kind);
    return found == cases.end() ? albef::GoldenRunner{} : found->second;
  });
}
