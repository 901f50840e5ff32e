// albef_ablation: the six rows of the paper's ablation as type aliases, trained on captions of
// which a part is wrong, evaluated by retrieval, printed as a table.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "albef/tasks/retrieval.hpp"
#include "albef/train/pretrain_task.hpp"
#include "albef/train/trainer.hpp"
#include "common/open_data.hpp"
#include "common/program.hpp"
#include "common/train_options.hpp"

namespace {

using namespace albef;

// Li et al. 2021, table 1: each row adds one idea to the row above.
using MlmItm = Pretrain<Itm<Uniform>, Mlm<>>;
using WithItc = Pretrain<Itc<>, Itm<Uniform>, Mlm<>>;
using WithHardNegatives = Pretrain<Itc<>, Itm<Hard>, Mlm<>>;
using WithItcDistillation = Pretrain<Itc<Distill>, Itm<Hard>, Mlm<>>;
using Full = Pretrain<Itc<Distill>, Itm<Hard>, Mlm<Distill>>;
// The sixth row distils in the downstream task as well. Retrieval without fine-tuning has no such
// step: what the momentum model has learned is used by evaluating its weights.
using FullMomentum = Full;

struct Arguments : examples::TrainArguments {
  std::string test = "examples/data/emoji/emoji-test_comp.tar", output;
  std::vector<std::uint64_t> seeds{1, 2, 3};
  std::vector<int> rows{1, 2, 3, 4, 5, 6};
};

struct Score {
  Recall itm, itc;  // ranked by matching score, by similarity
  double minutes = 0;
};

struct Data {
  SourcePtr train, test;
  WordPiece tokenizer;
  RetrievalSet pool;
};

/// ITM ranks the whole pool, since the first row has no similarities to choose candidates by.
template <class C, class Device>
RetrievalResult evaluate(Device& device, const std::string& checkpoint, const Data& data,
                         bool momentum) {
  InferenceModel<C, Device> model(device, checkpoint, {.momentum = momentum});
  const int all = static_cast<int>(std::max(data.pool.images.size(), data.pool.texts.size()));
  return evaluate_retrieval(model, *data.test, data.pool, all);
}

/// Trains one row with one seed into `folder`, unless a finished run is there already.
template <class C, class Precision, class Device, class Objectives>
double train(Device& device, Arguments args, const Data& data, std::uint64_t seed,
             const std::string& folder) {
  args.train.seed = seed;
  args.train.output = folder;
  Loader loader = args.loader(data.train, data.tokenizer, C::image_res);
  PretrainTask<C, Objectives, Device, Precision> task(device, seed, args.queue_size,
                                                      args.objective_options());
  Trainer trainer(task, loader, args.train, args.metadata(data.tokenizer));
  trainer.resume();
  const TrainSummary summary = trainer.run();
  if (summary.signal) throw Error("stopped by a signal; the same command continues");
  return summary.seconds / 60;
}

template <class C, class Precision, class Device>
Score run_row(Device& device, const Arguments& args, const Data& data, int row,
              std::uint64_t seed) {
  // Rows 5 and 6 share their training.
  const std::string folder = concat(args.train.output, "/row", std::min(row, 5), "_seed", seed);
  constexpr double (*train_row[])(Device&, Arguments, const Data&, std::uint64_t,
                                  const std::string&) = {
      train<C, Precision, Device, MlmItm>,
      train<C, Precision, Device, WithItc>,
      train<C, Precision, Device, WithHardNegatives>,
      train<C, Precision, Device, WithItcDistillation>,
      train<C, Precision, Device, Full>,
      train<C, Precision, Device, FullMomentum>};
  Score score;
  score.minutes = train_row[row - 1](device, args, data, seed, folder);
  const auto result = evaluate<C>(device, folder + "/checkpoint.safetensors", data, row == 6);
  score.itm = result.itm;
  if (row > 1) score.itc = result.itc;
  return score;
}

const char* row_name(int row) {
  static constexpr const char* names[] = {"MLM + ITM",        "+ ITC",
                                          "+ hard negatives", "+ distillation in ITC",
                                          "+ in MLM (full)",  "+ momentum weights"};
  return names[row - 1];
}

struct Spread {
  double mean = 0, deviation = 0;
};
Spread spread(const std::vector<double>& values) {
  Spread s;
  for (const double v : values) s.mean += v / static_cast<double>(values.size());
  for (const double v : values) s.deviation += (v - s.mean) * (v - s.mean);
  s.deviation =
      values.size() > 1 ? std::sqrt(s.deviation / static_cast<double>(values.size() - 1)) : 0.0;
  return s;
}

template <class Precision>
int run(Arguments args, auto& device) {
  using C = Tiny;
  args.complete<C>();
  for (const int row : args.rows)
    require(row >= 1 && row <= 6, "--rows ", row, ": expected 1 to 6");
  const SourcePtr train = args.source(), test = examples::open_data({args.test});
  const Data data{train, test, args.caption_tokenizer(*train, C::vocab_size), retrieval_set(*test)};

  std::printf(
      "%zu training records, %.0f %% mismatched captions, %d epochs of batches of %d; pool "
      "of %zu; mean and deviation over %zu seeds\n",
      data.train->size(), 100 * args.noise.mismatch, args.train.epochs, args.batch_size,
      data.pool.images.size(), args.seeds.size());
  std::printf("%-24s %29s %29s\n%-24s %14s %14s %14s %14s %8s\n", "", "ranked by ITM",
              "ranked by ITC", "objectives", "TR mean", "IR mean", "TR mean", "IR mean", "minutes");
  nlohmann::ordered_json table = nlohmann::ordered_json::array();
  for (const int row : args.rows) {
    std::vector<double> columns[5];
    for (const std::uint64_t seed : args.seeds) {
      const Score s = run_row<C, Precision>(device, args, data, row, seed);
      const double values[] = {s.itm.tr_mean(), s.itm.ir_mean(), s.itc.tr_mean(), s.itc.ir_mean(),
                               s.minutes};
      for (std::size_t i = 0; i < 5; ++i) columns[i].push_back(values[i]);
      table.push_back({{"row", row_name(row)},
                       {"seed", seed},
                       {"itm_tr1", s.itm.tr1},
                       {"itm_ir1", s.itm.ir1},
                       {"itm_tr_mean", values[0]},
                       {"itm_ir_mean", values[1]},
                       {"itc_tr1", s.itc.tr1},
                       {"itc_ir1", s.itc.ir1},
                       {"itc_tr_mean", values[2]},
                       {"itc_ir_mean", values[3]},
                       {"minutes", values[4]}});
      if (!args.output.empty()) write_file(args.output, table.dump(2) + '\n');
    }
    std::printf("%-24s", row_name(row));
    for (std::size_t i = 0; i < 4; ++i) {
      const Spread s = spread(columns[i]);
      if (row == 1 && i >= 2)
        std::printf(" %14s", "-");  // not trained to
      else
        std::printf("   %5.1f +- %4.1f", s.mean, s.deviation);
    }
    std::printf(" %8.1f\n", spread(columns[4]).mean);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Trains the rows of the paper's ablation (objectives added one by one) on data whose "
      "captions "
      "are partly wrong and prints their retrieval results. Every finished training is kept in the "
      "output folder; the same command continues where it was stopped.",
      "albef_ablation"};
  app.footer(
      "Example:\n  albef_ablation --mismatch 0.4 --seeds 1 2 3 --epochs 20 --output ablation");
  Arguments args;
  args.noise.mismatch = 0.4;
  args.train.output = "ablation";
  app.add_option("--test", args.test, "data set whose pool is searched").capture_default_str();
  app.add_option("--seeds", args.seeds, "one training of every row for each").capture_default_str();
  app.add_option("--rows", args.rows, "rows to run, 1 to 6").capture_default_str();
  app.add_option("--json", args.output, "write the results to this file as well");
  args.add_to(app);
  for (const char* name : {"--init", "--config", "--resume", "--overwrite"})
    app.remove_option(name);
  return app.run(argc, argv, [&] {
    return examples::with_device_and_precision(
        args.compute, [&]<class P>(auto& device) { return run<P>(args, device); });
  });
}
