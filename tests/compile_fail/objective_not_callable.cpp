// expect: Training: the objective cannot be called as objective(ctx, model, batch, step), const
#include "albef/cpu.hpp"
#include "albef/data/pair_batch.hpp"
#include "albef/models/albef.hpp"
#include "albef/train/training.hpp"

struct Objective {
  using Model = albef::Albef<albef::Nano>;
  using Batch = albef::PairBatch;
  auto operator()(auto& ctx, const Model&) const { return ctx.scalar(); }
};

void train(albef::Cpu& cpu) { albef::Training<Objective> training(cpu); }
