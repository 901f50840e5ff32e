// What the trainer does on a device whose values reach the host late: it waits for losses and norm
// of a step when the next step is under way.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "albef/cpu.hpp"
#include "albef/train/fit.hpp"
#include "nano_training.hpp"

namespace late_values_test {

namespace {

/// Its log says what was started, and what the host waited for.
struct LateCpu : albef::Cpu {
  using Cpu::Cpu;
  std::string log;
};

}  // namespace
}  // namespace late_values_test

/// Values are copied in the order of the work, and nobody sees them before wait().
template <class T>
class albef::Readback<late_values_test::LateCpu, T> {
 public:
  static constexpr bool deferred = true;

  Readback(late_values_test::LateCpu& device, int) : device_(device) {}
  void clear() { values_.clear(), closed_ = false; }
  void fetch(const T* from) { values_.push_back(*from); }
  void close() { closed_ = true; }
  const std::vector<T>& wait() {
    REQUIRE(closed_);
    device_.log += albef::concat("wait ", values_.front(), ", ");
    return values_;
  }

 private:
  late_values_test::LateCpu& device_;
  std::vector<T> values_;
  bool closed_ = false;
};

namespace late_values_test {

namespace {

struct Model {
  albef::Param<4> weight;
  static constexpr void fields(auto& m, auto&& f) { f("weight", m.weight); }
};

/// Pass k has the loss k + 0.5 and a gradient of norm k + 1.
struct Counted {
  using Device = LateCpu;
  using Batch = albef::PairBatch;
  using Store = albef::ParamStore<LateCpu>;
  static constexpr auto model = albef::laid_out<Model>();
  static constexpr bool deferred = albef::LossReadings<LateCpu, float>::deferred;
  static constexpr bool shares_features = false;

  LateCpu& cpu;
  albef::TrainingOptions settings{.optimizer = {.max_norm = 1}};
  Store weights{cpu, model, albef::Storage::training};
  albef::AdamW optimizer{settings.optimizer};
  albef::LossReadings<LateCpu, float> losses{cpu};

  LateCpu& device() { return cpu; }
  const albef::TrainingOptions& options() const { return settings; }
  Store& store() { return weights; }
  void start(const albef::PairBatch&, const albef::Step& step) {
    cpu.log += albef::concat("start ", step.number, ", ");
    const auto k = static_cast<float>(step.number);
    weights.touch(model.weight);
    std::fill_n(weights.data(albef::Plane::grad, model.weight), 4, (k + 1) / 2);
    float loss = k + 0.5f;
    albef::Tensor<float, 1> value;
    value.data = &loss;
    losses.start(value);
  }
  void finish(albef::PassLosses& out) { losses.finish(out); }
  auto update(double lr, double scale, const albef::Pace&) {
    return optimizer.step(weights, lr, scale);
  }
  void take_back() { optimizer.take_back(); }
  auto model_checkpoint() { return albef::Checkpoint<LateCpu, albef::Fp32>(weights); }
  auto checkpoint() { return model_checkpoint(); }
  albef::CheckpointInfo info() const { return {}; }
  albef::CheckpointInfo course() const { return {}; }
  static void check(const std::string&, const albef::CheckpointInfo&) {}
  std::vector<albef::PlateauRule> plateaus(int) const { return {}; }
};

}  // namespace

TEST_CASE(
    "late values: the norm of the gradient is read as late as the losses, and is the step's") {
  const train_test::TemporaryFolder folder;
  LateCpu cpu(1);
  Counted training{cpu};
  albef::Loader data = train_test::loader(4);
  albef::TrainOptions options{.output = folder / "run", .max_steps = 3};
  static std::FILE* const nowhere = std::fopen("/dev/null", "w");
  options.progress.out = nowhere;
  albef::Trainer<Counted, albef::Loader> trainer(training, data, options);
  trainer.run();

  // Losses, and squares of norms: those before the next update, which builds on this one.
  CHECK(cpu.log ==
        "start 0, start 1, wait 1, wait 0.5, start 2, wait 4, wait 1.5, wait 2.5, wait 9, ");
  const auto* norms = trainer.history().find("grad_norm");
  REQUIRE(norms != nullptr);
  REQUIRE(norms->values.size() == 3);
  for (std::size_t k = 0; k < 3; ++k) CHECK(norms->values[k] == static_cast<double>(k + 1));
}

}  // namespace late_values_test
