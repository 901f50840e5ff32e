// CLIP with a tokenizer of its own: trained by fit() on emoji and their names, to be stopped and
// resumed, with the recall of held-out pictures after each epoch.
#include "albef/models/clip.hpp"
#include "albef/tasks/contrastive.hpp"
#include "albef/tasks/retrieval.hpp"
#include "albef/text/learn_bpe.hpp"
#include "common/run.hpp"

using namespace albef;

int main(int argc, char** argv) {
  examples::Program app("Trains a CLIP on pictures and their names", "clip");
  app.footer(
      "Examples:\n"
      "  clip --output clip                             # learns merges of its own from the names\n"
      "  clip --output clip --resume                    # after Ctrl-C or a crash\n"
      "  clip --accumulate 4 --output large             # the loss of one batch of 4 x 64 pairs\n"
      "  zero_shot -m clip/checkpoint_best.safetensors --class cat --class dog picture.png");
  std::string data = "examples/data/emoji/emoji-train.tar";
  std::string held_out = "examples/data/emoji/emoji-val.tar", merges;
  TrainOptions run{.output = "clip", .epochs = 10, .lr = 5e-4, .warmup = 50};
  bool resume = false;
  app.add("-d,--data", data, examples::data_help);
  app.add("--val", held_out, "what is searched after each epoch");
  app.add("--bpe", merges, "list of merges of another BPE; else learnt from the captions");
  app.add("-o,--output", run.output, "folder of the run");
  app.add("--epochs", run.epochs, "passes over the data", examples::positive);
  app.add("--accumulate", run.accumulate, "batches a step, which count as one", examples::positive);
  app.add("--resume", resume, "continue the run in the folder exactly");
  return examples::run_on_device(app, argc, argv, [&](auto& device) {
    using C = Tiny;
    const SourcePtr source = open_source(data), val = open_source(held_out);
    const RetrievalSet pool = retrieval_set(*val, BadRecords(), 0);
    const Bpe bpe = merges.empty() ? learn_bpe(clean_captions(*source, 0), C::vocab_size)
                                   : Bpe::from_file(merges);
    const TrainTransform transform{C::image_res, true, {.scale_low = 0.6f}, 0, {.count = 0}};
    const EncodeOptions cut{.max_length = C::max_position_embeddings};
    Loader loader(source, bpe, transform,
                  {.batch_size = 64, .max_words = 0, .encode = cut, .mask_probability = 0});

    using Device = std::remove_reference_t<decltype(device)>;
    Training<Contrastive<Clip<C>>, Device> training(
        device, {.optimizer = {.weight_decay = 0.1, .max_norm = 1}});
    Session session(training, bpe, cut);
    const auto validate = [&] {
      const Recall r = retrieval_recall(session, *val, pool);
      return Validation{r.mean() / 100, to_json(r)};
    };
    run.existing = resume ? Existing::resume : Existing::refuse;
    const auto info = tokenizer_info(bpe, cut.max_length);
    const auto ended = fit(training, loader, run, {info, validate});
    return ended.signal ? 128 + ended.signal : 0;
  });
}
