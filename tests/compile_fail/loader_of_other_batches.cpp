// expect: Trainer: the loader's batches are not those the objective learns from (its Batch)
#include "albef/cpu.hpp"
#include "albef/data/loader.hpp"
#include "albef/tasks/ve.hpp"
#include "albef/train/fit.hpp"

void train(albef::Cpu& cpu, albef::Loader& pairs) {
  albef::Training<albef::VisualEntailment<albef::Nano>> training(cpu);
  albef::fit(training, pairs, {.output = "run"});
}
