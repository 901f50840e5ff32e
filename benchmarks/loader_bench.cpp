// The training loader: decoded, augmented, tokenised pairs per second from the emoji shards.
// Run from the top of the repository.
#include <benchmark/benchmark.h>

#include <memory>

#include "albef/data/loader.hpp"
#include "albef/data/retrieval_set.hpp"
#include "albef/data/webdataset.hpp"
#include "albef/text/vocabulary.hpp"

namespace {

void loader(benchmark::State& state) {
  using namespace albef;
  const auto data = std::make_shared<WebDataset>("examples/data/emoji/emoji-train.tar");
  const auto tokenizer =
      WordPiece::from_vocab(learn_vocabulary(retrieval_set(*data).texts, 2048), "captions");
  LoaderOptions options;
  options.workers = static_cast<int>(state.range(1));
  Loader loader(data, tokenizer, TrainTransform{.size = static_cast<int>(state.range(0))}, options);
  for (auto _ : state) benchmark::DoNotOptimize(loader.next().images.data());
  state.SetItemsProcessed(state.iterations() * options.batch_size);
}
BENCHMARK(loader)
    ->ArgNames({"pixels", "workers"})
    ->Args({64, 0})
    ->Args({64, 1})
    ->Args({64, 2})
    ->Args({256, 0})
    ->Args({256, 2})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
