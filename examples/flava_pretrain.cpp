// flava_pretrain: pre-trains FLAVA on pictures alone, texts alone and pairs of both, each step on
// one of them: the encoders by themselves first, if asked for, then everything together. The
// composition is in train(); everything else is options.
#include <memory>
#include <string>

#include "albef/tasks/flava.hpp"
#include "albef/tasks/flava_settings.hpp"
#include "albef/tasks/pixel_clusters.hpp"
#include "albef/tasks/retrieval.hpp"
#include "common/run.hpp"

namespace {

using namespace albef;
using Pretraining = examples::Run<FlavaSettings>;
/// The ablation that learns of pairs only which belong together.
using ContrastiveOnly = FlavaPretrain<flava::Mim, flava::Mlm, flava::Contrastive>;

/// The image tokenizer of --tokenizer or, without one, clusters of the patches of some pictures,
/// the same in a run that goes on; null where there are no pictures.
template <class C, class Device>
std::unique_ptr<ImageTokenizer<Device>> image_tokenizer(const Pretraining& run,
                                                        const FlavaSources& sources, int size,
                                                        Device& device) {
  constexpr int clusters = 512, pictures = 1000;
  std::unique_ptr<ImageTokenizer<Device>> out;
  if (!run.image_tokenizer.empty()) {
    out = open_image_tokenizer(device, run.image_tokenizer);
    require(out->codes() <= image_vocab_size<C>(), run.image_tokenizer, ": ", out->codes(),
            " codes, the model has room for ", image_vocab_size<C>());
  } else if (sources.images || sources.pairs) {
    auto found = std::make_unique<ModelTokenizer<PixelClusters<clusters>, Device>>(device);
    cluster_pixels(*found, run.some_pictures(sources, size, pictures), size, size,
                   run.training.seed);
    out = std::move(found);
  }
  return out;
}

template <class C, class Precision, class Parts, class Device>
int train(Pretraining run, Device& device) {
  run.complete<C>(flava_tiny, flava_paper);
  const FlavaSources sources = run.sources();
  const SourcePtr val = run.validation_source();
  RetrievalSet pool;
  if (val) pool = retrieval_set(*val, run.validation_records()), check_pictures(*val, pool);
  const WordPiece tokenizer = run.text_tokenizer(sources, C::vocab_size);
  constexpr int code_size = ImageTokenizer<Device>::patch * (C::image_res / C::patch_size);
  const auto codes = image_tokenizer<C>(run, sources, code_size, device);
  auto loader = run.loader(sources, tokenizer, C::image_res, C::patch_size, code_size);
  const FlavaPretraining<C, Parts, TokenizedPictures<Device>> objective{{}, {codes.get()}};
  const auto train = [&](auto&& validate) {
    return train_with_curves<Precision>("FLAVA", run, device, objective, loader, tokenizer, {},
                                        validate);
  };
  if (!val) return train(nullptr);
  return train([&](auto& session) {
    const Recall r = retrieval_recall(session, *val, pool, {run.batch_size, run.workers});
    return Validation{r.mean() / 100, to_json(r)};
  });
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Pre-trains FLAVA: masked modelling of pictures alone (MIM) and of texts alone (MLM); of "
      "pairs, contrast, matching (ITM) and masked modelling of both (MMM). Each step sees one of "
      "these kinds of data. Writes to the output folder: checkpoint.safetensors (complete, to "
      "resume or evaluate), metrics.jsonl, losses.png, vocab.txt, summary.json; with --val also "
      "checkpoint_best.safetensors and results.json of the epoch with the best mean recall.",
      "flava_pretrain"};
  app.footer(
      "Examples:\n"
      "  flava_pretrain --data examples/data/emoji/emoji-train.tar \\\n"
      "    --images examples/data/grocery/grocery-train.tar.gz examples/data/emoji/emoji-train.tar "
      "\\\n"
      "    --texts examples/data/texts/texts.txt.gz --image-epochs 5 --text-epochs 5 --epochs 30 "
      "\\\n"
      "    --val examples/data/emoji/emoji-val.tar --output run\n"
      "  flava_pretrain --texts book.txt --epochs 10 --output words       # texts alone\n"
      "  flava_pretrain --data captions.json --init-image dino/checkpoint.safetensors \\\n"
      "    --init-text words/checkpoint.safetensors --output joint\n"
      "  flava_pretrain --data captions.json --objective contrastive --output contrastive");
  Pretraining run;
  run.start_options.by_module = true;  // an encoder alone will do, too
  add_options(app, run,
              std::string("Pairs: ") + examples::data_help + "; PATH=WEIGHT mixes several");
  return app.run(argc, argv, [&] {
    return examples::with_training(run, [&]<class C, class P>(auto& device) {
      return run.objective == "full" ? train<C, P, FlavaObjectives>(run, device)
                                     : train<C, P, ContrastiveOnly>(run, device);
    });
  });
}
