// Schedules: the corners that the golden case does not reach.
#include "albef/optim/schedule.hpp"

#include <doctest/doctest.h>

using doctest::Approx;

TEST_CASE("CosineWarmup without warm-up starts at the peak") {
  const albef::CosineWarmup cosine{1e-3, 1e-5, 1e-6, 0, 10};
  CHECK(cosine.at(0) == Approx(1e-3).epsilon(1e-12));
  CHECK(cosine.at(5) == Approx((1e-3 + 1e-5) / 2).epsilon(1e-12));
  CHECK(cosine.at(10) == 1e-5);
  CHECK(cosine.at(1000) == 1e-5);
}

TEST_CASE("OfficialSchedule: warm-up in stairs of step_size iterations, cut off by epoch 1") {
  const albef::OfficialSchedule schedule{{1e-4, 1e-5, 1e-5, 20, 30}, 2500, 100};
  CHECK(schedule.lr(0) == 1e-5);
  CHECK(schedule.lr(100) == 1e-5);
  CHECK(schedule.lr(101) == Approx(1.45e-5).epsilon(1e-12));
  CHECK(schedule.lr(2000) == Approx(9.55e-5).epsilon(1e-12));
  CHECK(schedule.lr(2001) == 1e-4);
  CHECK(schedule.lr(2499) == 1e-4);
  CHECK(schedule.lr(2500) == Approx(9.97534852915723e-5).epsilon(1e-12));
  CHECK(schedule.lr(2500 * 30) == 1e-5);
}

TEST_CASE("PerIteration: linear, then cosine down to min_lr at the end") {
  const albef::PerIteration schedule{1e-4, 1e-5, 0, 10, 110};
  CHECK(schedule.lr(0) == 0);
  CHECK(schedule.lr(5) == Approx(5e-5).epsilon(1e-12));
  CHECK(schedule.lr(10) == Approx(1e-4).epsilon(1e-12));
  CHECK(schedule.lr(60) == Approx(5.5e-5).epsilon(1e-12));
  CHECK(schedule.lr(109) > 1e-5);
  CHECK(schedule.lr(110) == 1e-5);
  CHECK(schedule.lr(500) == 1e-5);
  CHECK((albef::PerIteration{1e-4, 1e-5, 0, 0, 100}).lr(0) == 1e-4);
}

TEST_CASE("AlphaRamp") {
  CHECK(albef::AlphaRamp{0.4, 100}.at(0) == 0);
  CHECK(albef::AlphaRamp{0.4, 100}.at(50) == Approx(0.2).epsilon(1e-12));
  CHECK(albef::AlphaRamp{0.4, 100}.at(100) == 0.4);
  CHECK(albef::AlphaRamp{0.4, 0}.at(0) == 0.4);
}

TEST_CASE("equal steps and DINO's cosine: ends, beyond the ends, a warm-up of one iteration") {
  CHECK(albef::LinearRamp{0.04, 0.07, 1}.at(0) == 0.04);
  CHECK(albef::LinearRamp{0.04, 0.07, 1}.at(1) == 0.07);
  CHECK(albef::LinearRamp{0.04, 0.07, 0}.at(0) == 0.07);
  const albef::CosineSchedule lr{2e-3, 1e-6, 100, 10, 0};
  CHECK(lr.at(0) == 0);
  CHECK(lr.at(9) == 2e-3);
  CHECK(lr.at(10) == 2e-3);
  CHECK(lr.at(55) == doctest::Approx((2e-3 + 1e-6) / 2));
  CHECK(lr.at(100) == 1e-6);
  CHECK(lr.at(1000) == 1e-6);
}
