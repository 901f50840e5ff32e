// expect: Training: the objective does not say what it trains: add `using Model
#include "albef/cpu.hpp"
#include "albef/data/pair_batch.hpp"
#include "albef/models/albef.hpp"
#include "albef/train/training.hpp"

struct Objective {
  using Batch = albef::PairBatch;
  auto operator()(auto& ctx, const auto&, const auto&, const albef::Step&) const {
    return ctx.scalar();
  }
};

void train(albef::Cpu& cpu) { albef::Training<Objective> training(cpu); }
