// Any file as the checkpoint of a small model with optimizer: a load that fails changes nothing,
// one that succeeds leaves finite weights.
#include "albef/checkpoint/checkpoint.hpp"

#include <cmath>
#include <vector>

#include "albef/cpu.hpp"
#include "albef/nn/linear.hpp"
#include "albef/optim/adamw.hpp"
#include "fuzz.hpp"

namespace {

using namespace albef;

struct Small {
  Linear<2, 3> proj;
  Param<> scale{init::constant(1.0f)};
  static constexpr void fields(auto& m, auto&& f) { f("proj", m.proj), f("scale", m.scale); }
};
constexpr auto model = laid_out<Small>();
constexpr Plane planes[] = {Plane::online, Plane::ema, Plane::exp_avg, Plane::exp_avg_sq};

struct Run {
  Cpu cpu{1};
  ParamStore<Cpu> store{cpu, model, Storage::momentum, 7};
  AdamW optimizer;

  std::vector<float> values() const {
    std::vector<float> all;
    for (const Plane p : planes) all.insert(all.end(), store.data(p), store.data(p) + store.size());
    return all;
  }
};

}  // namespace

FUZZ(bytes, {}) {
  static Run run;
  const std::string path = fuzz::file("a.safetensors", bytes);
  auto checkpoint = Checkpoint<Cpu, Fp32>(run.store).with_optimizer(run.optimizer);
  for (const bool lenient : {false, true}) {
    const auto before = run.values();
    LoadOptions options;
    options.allow_missing = options.allow_unexpected = options.complete_momentum = lenient;
    const bool loaded = fuzz::reads([&] { (void)checkpoint.load(path, options); });
    const auto after = run.values();
    if (!loaded) fuzz::check(before == after, "a load that fails changes nothing");
    for (const float v : after) fuzz::check(std::isfinite(v), "what was loaded is finite");
  }
}
