// Golden cases of schedules. `lr_schedule`: the learning rate at every optimizer step of the
// official loops and the distillation weight in the first epoch; `dino_schedule`: DINO's.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "albef/optim/schedule.hpp"
#include "support/golden.hpp"

namespace albef {

/// Adds three lines per schedule: rate at every step, rate by scheduler position, samples of
/// alpha. All are held to a relative 1e-12.
inline void run_lr_schedule_case(const GoldenCase& golden, GoldenReport& report) {
  constexpr double tolerance = 1e-12;
  const auto relative = [](double got, double want) {
    return got == want ? 0 : std::abs(got - want) / std::abs(want);
  };
  for (const auto& item : golden.json.at("schedules")) {
    const auto name = item.at("name").get<std::string>();
    const auto& options = item.at("schedular");
    const CosineWarmup cosine{item.at("optimizer_lr"), options.at("min_lr"),
                              options.at("warmup_lr"), options.at("warmup_epochs"),
                              options.at("epochs")};
    const int iterations = item.at("iterations_per_epoch");
    const OfficialSchedule schedule{cosine, iterations, item.at("step_size")};

    double worst = 0;
    std::int64_t step = 0;
    for (const auto& run : item.at("lr_runs"))
      for (std::int64_t end = step + run.at(1).get<std::int64_t>(); step < end; ++step)
        worst = std::max(worst, relative(schedule.lr(step), run.at(0)));
    const auto total = item.at("total_steps").get<std::int64_t>();
    report.add(name + " lr", step == total ? worst : 1, tolerance, concat(step, " steps"));

    worst = 0;
    std::int64_t position = 0;
    for (const double want : item.at("lr_by_scheduler_step"))
      worst = std::max(worst, relative(cosine.at(position++), want));
    report.add(name + " scheduler", worst, tolerance, concat(position, " positions"));

    worst = 0;
    const AlphaRamp ramp{item.at("alpha"),
                         item.at("alpha_ramp_in_first_epoch").get<bool>() ? iterations : 0};
    for (const auto& sample : item.at("alpha_first_epoch_samples"))
      worst = std::max(worst, relative(ramp.at(sample.at(0)), sample.at(1)));
    report.add(name + " alpha", worst, tolerance);
  }
}

/// Lines per schedule of DINO: a value per iteration, or a temperature per epoch. Vectorised
/// cosines are a few units of the last place off, of the whole range; equal steps are not.
inline void run_dino_schedule_case(const GoldenCase& golden, GoldenReport& report) {
  for (const auto& item : golden.json.at("cosine_scheduler")) {
    const std::int64_t per_epoch = item.at("niter_per_ep"), epochs = item.at("epochs"),
                       warmup = item.at("warmup_epochs");
    const CosineSchedule schedule{item.at("base_value"), item.at("final_value"), epochs * per_epoch,
                                  warmup * per_epoch, item.at("start_warmup_value")};
    double worst = 0, exact = 0;
    std::int64_t step = 0;
    for (const double want : item.at("values")) {
      const double difference = std::abs(schedule.at(step) - want);
      if (step < schedule.warmup) exact = std::max(exact, difference);
      worst = std::max(worst, difference / std::abs(schedule.base - schedule.last));
      ++step;
    }
    const auto name = item.at("what").get<std::string>();
    report.add(name, step == schedule.total ? worst : 1, 1e-15, concat(step, " steps"));
    report.add(name + ", warm-up", exact, 0);
  }
  for (const auto& item : golden.json.at("teacher_temperature")) {
    const LinearRamp ramp{item.at("warmup_teacher_temp"), item.at("teacher_temp"),
                          item.at("warmup_teacher_temp_epochs")};
    double worst = 0;
    std::int64_t epoch = 0;
    for (const double want : item.at("values"))
      worst = std::max(worst, std::abs(ramp.at(epoch++) - want));
    report.add(concat("teacher temperature over ", ramp.n, " epochs"), worst, 0);
  }
}

}  // namespace albef
