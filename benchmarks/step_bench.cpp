// Times whole training steps of ALBEF, CLIP, FLAVA (pairs) or DINO with synthetic data, alone or on
// request of compare_step.py, which runs the same steps in PyTorch. See there for the protocol and
// the data.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "../examples/common/device.hpp"
#include "../examples/common/program.hpp"
#include "albef/data/pair_batch.hpp"
#include "albef/models/clip.hpp"
#include "albef/tasks/contrastive.hpp"
#include "albef/tasks/dino.hpp"
#include "albef/tasks/flava.hpp"
#include "albef/tasks/pretrain.hpp"
#include "albef/text/masking.hpp"
#include "albef/train/training.hpp"

namespace {

using namespace albef;
using nlohmann::json;

struct Options {
  std::string model = "albef", config = "tiny";
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

/// The pixels and texts of numbered steps.
template <class C>
struct Synthetic {
  int batch;
  std::int64_t low, high;  // lengths of texts

  void pixels(std::vector<std::uint8_t>& values, std::size_t images, int size,
              std::int64_t step) const {
    const auto side = static_cast<std::size_t>(size);
    values.resize(images * side * side * 3);
    RandomStream random(7, static_cast<std::uint64_t>(step));
    for (std::size_t i = 0; i + 4 <= values.size(); i += 4) {
      const auto bits = random.bits();
      for (std::size_t k = 0; k < 4; ++k)
        values[i + k] = static_cast<std::uint8_t>(bits >> (8 * k));
    }
  }
  void texts(TextBatch& texts, std::int64_t step) const {
    texts.clear();
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i < batch; ++i) {
      const auto length = low + (i * 7919 + step * 104729) % (high - low + 1);
      ids.assign(1, masking.cls_id);
      for (std::int64_t j = 1; j < length; ++j)
        ids.push_back(
            static_cast<std::int32_t>(5 + (i * 31 + j * 17 + step * 13) % (C::vocab_size - 5)));
      texts.add(ids);
    }
  }
  void mask(const TextBatch& texts, MaskedText& masked, std::int64_t step) {
    RandomStream random(11, static_cast<std::uint64_t>(step));
    albef::mask_tokens(texts, masking, random, draws, masked);
  }

  MaskDraws draws = {};
  MaskingOptions masking{.vocab_size = C::vocab_size, .mask_id = 4, .pad_id = 0, .cls_id = 2};
};

// What is trained, and its batches: pixels() may be left out where it would be timed, texts() is
// made for every step, draw() is timed, as it is part of a step in the official code.

template <class C>
struct AlbefSteps {
  using Objective = AlbefPretraining<C>;
  PairBatch batch;
  void pixels(Synthetic<C>& s, std::int64_t step) {
    batch.size = s.batch;
    batch.image_size = C::image_res;
    s.pixels(batch.images, static_cast<std::size_t>(s.batch), C::image_res, step);
    batch.image_ids.resize(static_cast<std::size_t>(s.batch));
    std::iota(batch.image_ids.begin(), batch.image_ids.end(), 0);
  }
  void texts(Synthetic<C>& s, std::int64_t step) { s.texts(batch.text, step); }
  void draw(Synthetic<C>& s, std::int64_t step) { s.mask(batch.text, batch.masked, step); }
};

template <class C>
struct ClipSteps : AlbefSteps<C> {
  using Objective = Contrastive<Clip<C>>;
  void draw(Synthetic<C>&, std::int64_t) {}
};

/// Pairs, with codes as an image tokenizer would give them; two patches of five are hidden.
template <class C>
struct FlavaSteps {
  using Objective = FlavaPretraining<C>;
  FlavaBatch batch;
  void pixels(Synthetic<C>& s, std::int64_t step) {
    batch.kind = FlavaKind::pairs;
    batch.size = s.batch;
    batch.image_size = C::image_res;
    s.pixels(batch.images, static_cast<std::size_t>(s.batch), C::image_res, step);
    batch.patches.clear(), batch.codes.clear(), batch.itm_labels.clear();
    std::vector<std::uint8_t> hidden(static_cast<std::size_t>(Flava<C>::patches));
    for (std::size_t p = 0; p < hidden.size(); ++p) hidden[p] = p % 5 < 2;
    for (int i = 0; i < s.batch; ++i) {
      batch.patches.add(hidden);
      for (int p = 0; p < Flava<C>::patches; ++p)
        batch.codes.push_back((i * 31 + p * 17) % Flava<C>::codes);
      batch.itm_labels.push_back(i % 10 != 9);
    }
  }
  void texts(Synthetic<C>& s, std::int64_t step) {
    s.texts(batch.text, step);
    s.mask(batch.text, batch.masked, step);
  }
  void draw(Synthetic<C>&, std::int64_t) {}
};

/// Two crops of the configured size and six of half of it.
template <class C>
struct DinoSteps {
  using Objective = DinoTraining<C>;
  CropBatch batch;
  void pixels(Synthetic<C>& s, std::int64_t step) {
    batch.size = s.batch;
    batch.image_size = C::image_res;
    batch.groups.resize(2);
    for (const int local : {0, 1}) {
      CropGroup& g = batch.groups[static_cast<std::size_t>(local)];
      g.crops = local ? 6 : 2;
      g.size = local ? C::image_res / 2 : C::image_res;
      s.pixels(g.images, static_cast<std::size_t>(g.crops * s.batch), g.size, step);
    }
  }
  void texts(Synthetic<C>&, std::int64_t) {}
  void draw(Synthetic<C>&, std::int64_t) {}
};

/// Runs numbered steps of a model.
template <class Steps, class C, class Device, class Precision>
class Stepper {
 public:
  using Run = Training<typename Steps::Objective, Device, Precision>;

  Stepper(Device& device, const Options& options, int text_low, int text_high)
      : training_(device, {.seed = 1, .checkpointing = options.checkpointing}),
        data_{options.batch, text_low, text_high} {}

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
      if (!Run::deferred || step_ == 0) steps_.pixels(data_, step_);
      steps_.texts(data_, step_);
      if (!Run::deferred || i == 0) begin = std::chrono::steady_clock::now();
      steps_.draw(data_, step_);
      training_.start(steps_.batch, {.number = static_cast<std::uint64_t>(step_), .alpha = 0.4});
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
  Run training_;
  Steps steps_;
  Synthetic<C> data_;
  PassLosses losses_;
  std::int64_t step_ = 0;
};

template <class Steps, class C, class Precision>
int run(auto& device, const Options& options, int text_low, int text_high) {
  using Device = std::remove_reference_t<decltype(device)>;
  Stepper<Steps, C, Device, Precision> stepper(device, options, text_low, text_high);
  json about = {{"program", "albef"},
                {"model", options.model},
                {"config", options.config},
                {"batch", options.batch},
                {"device", describe(device)},
                {"precision", std::is_same_v<Precision, Bf16> ? "bf16" : "fp32"},
                {"parameters", parameter_count<typename Steps::Objective::Model>()}};
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
    if (std::is_same_v<Steps, AlbefSteps<Base>> && !std::is_same_v<Device, Cpu>)
      std::printf("%.1f TFLOP/s by the official count, %.1f %% of an H100's 989 in bf16\n",
                  rate * official_flop_per_pair * 1e-12,
                  100 * rate * official_flop_per_pair / 989e12);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  examples::Program app{"Times training steps with synthetic data", "step_bench"};
  app.add("--model", options.model, "albef, clip, flava (on pairs) or dino");
  app.add("--config", options.config, "tiny, small or base");
  app.add("--batch", options.batch, "pairs per step");
  app.add("--steps", options.steps, "steps to time");
  app.add("--warmup", options.warmup, "steps before the clock starts");
  options.compute.add_to(app, true);
  app.add("--checkpointing", options.checkpointing, "gradient checkpointing");
  app.add("--json", options.as_json, "one line of JSON");
  app.add("--serve", options.serve, "run steps on request from standard input");
  return app.run(argc, argv, [&] {
    return examples::with_device_and_precision(options.compute, [&]<class P>(auto& device) {
      const auto with = [&]<class C>(int low, int high) {
        if (options.model == "albef") return run<AlbefSteps<C>, C, P>(device, options, low, high);
        if (options.model == "clip") return run<ClipSteps<C>, C, P>(device, options, low, high);
        if (options.model == "flava") return run<FlavaSteps<C>, C, P>(device, options, low, high);
        if (options.model == "dino") return run<DinoSteps<C>, C, P>(device, options, low, high);
        fail("--model ", options.model, ": expected albef, clip, flava or dino");
      };
      if (options.config == "tiny") return with.template operator()<Tiny>(5, 9);
      if (options.config == "small") return with.template operator()<Small>(3, 25);
      if (options.config == "base") return with.template operator()<Base>(3, 25);
      fail("--config ", options.config, ": expected tiny, small or base");
    });
  });
}
