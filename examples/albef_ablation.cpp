// albef_ablation: the six rows of the paper's ablation (tasks/ablation.hpp), trained on captions of
// which a part is wrong, evaluated by retrieval, printed as a table.
#include <array>

#include "albef/tasks/ablation.hpp"
#include "albef/tasks/retrieval.hpp"
#include "common/run.hpp"

namespace {

using namespace albef;
using C = Tiny;

struct Arguments : examples::Run<PairSettings> {
  std::string test = "examples/data/emoji/emoji-test_comp.tar", table;
  std::vector<std::uint64_t> seeds{1, 2, 3};
  std::vector<int> rows{1, 2, 3, 4, 5, 6};
};
struct Data {
  SourcePtr train, test;
  WordPiece tokenizer;
  RetrievalSet pool;
};

/// Trains one row with one seed, unless that is done already, and returns the minutes.
template <class Precision, class Objectives, class Device>
double train(Device& device, const Arguments& args, const Data& data, const TrainOptions& run) {
  Loader loader = args.loader(data.train, data.tokenizer, C::image_res);
  Training<AlbefPretraining<C, Objectives>, Device, Precision> training(
      device, args.training, {args.queue_size, args.objective_options()});
  const TrainSummary summary = fit(training, loader, run, {args.metadata(data.tokenizer)});
  if (summary.signal) fail("stopped by a signal; the same command continues");
  return summary.seconds / 60;
}

/// Recalls of one row and seed, and the minutes of its training.
template <class Precision, class Device>
std::array<double, 5> row(Device& device, Arguments args, const Data& data, int number,
                          std::uint64_t seed, nlohmann::ordered_json& table) {
  // Rows 5 and 6 share their training.
  TrainOptions run = args.train;
  run.output += concat("/row", std::min(number, 5), "_seed", seed);
  if (RunFolder(run.output).has(RunFolder::checkpoint)) run.existing = Existing::resume;
  args.training.seed = seed;
  args.training.groups = groups_for<Albef<C>>(args.groups);
  const double minutes = ablation::with_row(number, [&]<class Objectives>() {
    return train<Precision, Objectives>(device, args, data, run);
  });

  Session<Albef<C>, Device> session(device, RunFolder(run.output).file(RunFolder::checkpoint),
                                    {.momentum = number == 6});
  // The whole pool is re-ranked, since the first row has no similarities to choose candidates by.
  const int all = static_cast<int>(std::max(data.pool.images.size(), data.pool.texts.size()));
  const RetrievalResult r = evaluate_retrieval(session, *data.test, data.pool, all);
  const Recall itc = number > 1 ? r.itc : Recall{};
  table.push_back({{"row", ablation::name(number)},
                   {"seed", seed},
                   {"itm", to_json(r.itm)},
                   {"itc", to_json(itc)},
                   {"minutes", minutes}});
  return {r.itm.tr_mean(), r.itm.ir_mean(), itc.tr_mean(), itc.ir_mean(), minutes};
}

template <class Precision>
int run(Arguments args, auto& device) {
  args.complete<C>(pretrain_tiny, pretrain_paper);
  for (const int number : args.rows) ablation::with_row(number, []<class>() {});
  const SourcePtr source = args.source(), test = open_source(args.test);
  const Data data{source, test, args.caption_tokenizer(*source, C::vocab_size),
                  retrieval_set(*test)};
  std::printf(
      "%zu training records, %.0f %% mismatched captions, %d epochs of batches of %d; pool "
      "of %zu; mean and deviation over %zu seeds\n%-24s %14s %14s %14s %14s %8s\n",
      source->size(), 100 * args.noise.mismatch, args.train.epochs, args.batch_size,
      data.pool.images.size(), args.seeds.size(), "objectives", "ITM: TR mean", "IR mean",
      "ITC: TR mean", "IR mean", "minutes");
  nlohmann::ordered_json table = nlohmann::ordered_json::array();
  for (const int number : args.rows) {
    std::array<std::vector<double>, 5> columns;
    for (const std::uint64_t seed : args.seeds) {
      const auto values = row<Precision>(device, args, data, number, seed, table);
      for (std::size_t i = 0; i < 5; ++i) columns[i].push_back(values[i]);
      if (!args.table.empty()) write_file(args.table, table.dump(2) + '\n');
    }
    std::printf("%-24s", ablation::name(number));
    for (std::size_t i = 0; i < 4; ++i) {
      const auto [mean, deviation] = mean_and_deviation(columns[i]);
      std::printf("   %5s +- %4s", fixed(mean, 1).c_str(),
                  fixed(deviation, 1).c_str());  // of the first row's ITC: untrained
    }
    std::printf(" %8s\n", fixed(mean_and_deviation(columns[4]).first, 1).c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Trains the rows of the paper's ablation (objectives added one by one) on data whose "
      "captions are partly wrong and prints their retrieval results. Every finished training is "
      "kept in the output folder; the same command continues where it was stopped.",
      "albef_ablation"};
  app.footer(
      "Example:\n  albef_ablation --mismatch 0.4 --seeds 1 2 3 --epochs 20 --output ablation");
  Arguments args;
  args.data = {"examples/data/emoji/emoji-train.tar"};
  args.noise.mismatch = 0.4;
  args.train.output = "ablation";
  app.add("--test", args.test, "data set whose pool is searched");
  app.add("--seeds", args.seeds, "one training of every row for each");
  app.add("--rows", args.rows, "rows to run, 1 to 6");
  app.add("--json", args.table, "write the results to this file as well");
  add_options(app, args, std::string(examples::data_help) + "; PATH=WEIGHT mixes several", false);
  app.remove({"--init", "--config", "--resume", "--overwrite"});
  return app.run(argc, argv, [&] {
    return examples::with_device_and_precision(
        args.compute, [&]<class P>(auto& device) { return run<P>(args, device); });
  });
}
