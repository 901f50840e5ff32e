// golden_check_gpu CASE_DIR...: the golden cases that run a model or the optimizer, on a GPU in
// single precision, with the tolerances of the cases.
#include "albef/cuda.hpp"
#include "support/golden_models.hpp"

int main(int argc, char** argv) {
  using albef::Cuda;
  return albef::run_golden_cases(argc, argv, [](const albef::GoldenCase& golden) {
    auto cases = albef::model_cases<albef::Nano, Cuda>();
    cases["adamw"] = albef::run_adamw_case<Cuda>;
    const auto found = cases.find(golden.kind);
    return found == cases.end() ? albef::GoldenRunner{} : found->second;
  });
}
