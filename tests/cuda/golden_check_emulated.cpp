// golden_check_emulated CASE_DIR...: the golden cases that run a model or the optimizer, with the
// CUDA kernels run on the host, thread by thread (emulation/simt.hpp); products by plain loops.
#include "albef/albef.hpp"
#include "albef/cuda/memory.hpp"
#include "albef/cuda/primitives.cuh"
#include "support/golden_models.hpp"
#include "support/relative_cases.hpp"

int main(int argc, char** argv) {
  using albef::Cuda;
  return albef::run_golden_cases(argc, argv, [](const albef::GoldenCase& golden) {
    if (const auto relative = albef::find_relative_runner<Cuda>(golden)) return relative;
    auto cases = albef::model_cases<albef::Nano, Cuda>();
    cases.merge(albef::model_cases<albef::DinoNano, Cuda>());
    cases["adamw"] = albef::run_adamw_case<Cuda>;
    const auto found = cases.find(golden.kind);
    return found == cases.end() ? albef::GoldenRunner{} : found->second;
  });
}
