// Times whole ALBEF pre-training steps with synthetic data, alone or on request of
// compare_step.py, which runs the same steps in PyTorch. See there for the protocol and the data.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../examples/common/device.hpp"
#include "../examples/common/program.hpp"
#include "albef/data/pair_batch.hpp"
#include "albef/tasks/pretrain.hpp"
#include "albef/text/masking.hpp"
#include "albef/train/training.hpp"

namespace {

using namespace albef;
using nlohmann::json;

struct Options {
  std::string config = "tiny";
  int batch = 64, steps = 10, warmup = 2;
  examples::DeviceArguments compute;
  bool as_json = false, serve = false, checkpointing = false;
};

double peak_rss_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

double device_memory_mb(Cpu&) { return 0; }
#ifdef ALBEF_WITH_CUDA
/// What is taken of the GPU's memory.
double device_memory_mb(Cuda&) {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for free memory");
  return static_cast<double>(total - free) / (1 << 20);
}
#endif

/// Floating-point operations of a step of the official code, which computes some things several
/// times, per pair: what model FLOP utilisation is measured by (base, 256 pixels, 25 tokens).
constexpr double official_flop_per_pair = 288.8e9;

/// Runs numbered steps of configuration C on deterministic captions and random pixels.
template <class C, class Device, class Precision>
class Stepper {
 public:
  using Run = Training<AlbefPretraining<C>, Device, Precision>;

  Stepper(Device& device, const Options& options, int text_low, int text_high)
      : training_(device, {.seed = 1, .checkpointing = options.checkpointing}),
        batch_(options.batch),
        low_(text_low),
        high_(text_high) {
    host_.size = batch_;
    host_.image_size = C::image_res;
    host_.images.resize(static_cast<std::size_t>(batch_) * 3 * C::image_res * C::image_res);
    for (int i = 0; i < batch_; ++i) host_.image_ids.push_back(i);
  }

  /// Milliseconds of each of the next n steps. A device that works on by itself is given the next
  /// step before the losses of one are waited for, as in training; the time of a step then is that
  /// from one arrival of losses to the next, and includes what the host does in between.
  std::vector<double> run(int n) {
    std::vector<double> times;
    auto begin = std::chrono::steady_clock::now();
    const auto arrived = [&] {
      training_.finish(losses_);
      const auto now = std::chrono::steady_clock::now();
      times.push_back(std::chrono::duration<double, std::milli>(now - begin).count());
      begin = now;
    };
    for (int i = 0; i < n; ++i, ++step_) {
      make_batch();
      if (!Run::deferred || i == 0) begin = std::chrono::steady_clock::now();
      mask_tokens();
      training_.start(host_, {.number = static_cast<std::uint64_t>(step_), .alpha = 0.4});
      if (Run::deferred && i > 0) arrived();
      training_.update(1e-5);
      if (!Run::deferred) arrived();
    }
    if (Run::deferred && n > 0) {  // the last step ends with the optimizer
      float word;
      copy_to_host(training_.device(), &word,
                   static_cast<const float*>(training_.store().data(Plane::online)), 1);
      arrived();
    }
    return times;
  }
  double loss() const { return losses_.losses.empty() ? 0 : losses_.at("loss"); }

 private:
  void make_batch() {
    if (!Run::deferred || step_ == 0) {  // elsewhere it would be timed
      RandomStream pixels(7, static_cast<std::uint64_t>(step_));
      for (std::size_t i = 0; i + 4 <= host_.images.size(); i += 4) {
        const auto bits = pixels.bits();
        for (std::size_t k = 0; k < 4; ++k)
          host_.images[i + k] = static_cast<std::uint8_t>(bits >> (8 * k));
      }
    }
    host_.text.clear();
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i < batch_; ++i) {
      const auto length = low_ + (i * 7919 + step_ * 104729) % (high_ - low_ + 1);
      ids.assign(1, masking_.cls_id);
      for (std::int64_t j = 1; j < length; ++j)
        ids.push_back(
            static_cast<std::int32_t>(5 + (i * 31 + j * 17 + step_ * 13) % (C::vocab_size - 5)));
      host_.text.add(ids);
    }
  }
  void mask_tokens() {
    RandomStream random(11, static_cast<std::uint64_t>(step_));
    albef::mask_tokens(host_.text, masking_, random, draws_, host_.masked);
  }

  Run training_;
  PairBatch host_;
  MaskDraws draws_;
  MaskingOptions masking_{.vocab_size = C::vocab_size, .mask_id = 4, .pad_id = 0, .cls_id = 2};
  PassLosses losses_;
  int batch_;
  std::int64_t low_, high_, step_ = 0;
};

template <class C, class Precision>
int run(auto& device, const Options& options, int text_low, int text_high) {
  using Device = std::remove_reference_t<decltype(device)>;
  Stepper<C, Device, Precision> stepper(device, options, text_low, text_high);
  json about = {{"program", "albef"},
                {"config", options.config},
                {"batch", options.batch},
                {"device", describe(device)},
                {"precision", std::is_same_v<Precision, Bf16> ? "bf16" : "fp32"},
                {"parameters", parameter_count<Albef<C>>()}};
  const auto result = [&](const std::vector<double>& times) {
    double seconds = 0;
    for (const double t : times) seconds += t / 1e3;
    return json{{"steps", times.size()},
                {"seconds", seconds},
                {"step_ms", times},
                {"loss", stepper.loss()},
                {"peak_rss_mb", peak_rss_mb()},
                {"device_memory_mb", device_memory_mb(device)}};
  };
  if (options.serve) {
    about["ready"] = true;
    std::cout << about.dump() << std::endl;
    for (std::string word; std::cin >> word && word == "step";) {
      int n = 0;
      std::cin >> n;
      std::cout << result(stepper.run(n)).dump() << std::endl;
    }
    return 0;
  }
  stepper.run(options.warmup);
  auto times = stepper.run(options.steps);
  json out = result(times);
  std::sort(times.begin(), times.end());
  const double median = times.empty() ? 0 : times[times.size() / 2];
  if (options.as_json) {
    about.update(out);
    std::cout << about.dump() << std::endl;
  } else {
    const double rate = 1e3 * options.batch / median;
    std::printf("median %.1f ms, %.1f pairs/s, peak memory %.0f MB, loss %.4f\n", median, rate,
                std::max(peak_rss_mb(), device_memory_mb(device)), stepper.loss());
    if (std::is_same_v<C, Base> && !std::is_same_v<Device, Cpu>)
      std::printf("%.1f TFLOP/s by the official count, %.1f %% of an H100's 989 in bf16\n",
                  rate * official_flop_per_pair * 1e-12,
                  100 * rate * official_flop_per_pair / 989e12);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  examples::Program app{"Times ALBEF pre-training steps with synthetic data", "step_bench"};
  app.add("--config", options.config, "tiny or base");
  app.add("--batch", options.batch, "pairs per step");
  app.add("--steps", options.steps, "steps to time");
  app.add("--warmup", options.warmup, "steps before the clock starts");
  options.compute.add_to(app, true);
  app.add("--checkpointing", options.checkpointing, "gradient checkpointing");
  app.add("--json", options.as_json, "one line of JSON");
  app.add("--serve", options.serve, "run steps on request from standard input");
  return app.run(argc, argv, [&] {
    return examples::with_device_and_precision(options.compute, [&]<class P>(auto& device) {
      if (options.config == "tiny") return run<Tiny, P>(device, options, 5, 9);
      if (options.config == "small") return run<Small, P>(device, options, 3, 25);
      if (options.config == "base") return run<Base, P>(device, options, 3, 25);
      fail("--config ", options.config, ": expected tiny, small or base");
    });
  });
}
