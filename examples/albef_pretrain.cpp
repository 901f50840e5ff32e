// albef_pretrain: pre-trains ALBEF (ITC + ITM + MLM with momentum distillation) on image-text
// pairs. The whole composition is in train(); everything else is options.
#include "albef/tasks/retrieval.hpp"
#include "common/run.hpp"

namespace {

using namespace albef;
using Pretraining = examples::Run<PairSettings>;

template <class C, class Precision>
int train(Pretraining run, auto& device) {
  run.complete<C>(pretrain_tiny, pretrain_paper);
  const SourcePtr source = run.source(), val = run.validation_source();
  RetrievalSet pool;
  if (val) pool = retrieval_set(*val, run.validation_records()), check_pictures(*val, pool);
  const WordPiece tokenizer = run.caption_tokenizer(*source, C::vocab_size);
  Loader loader = run.loader(source, tokenizer, C::image_res);
  const AlbefPretraining<C> objective{run.queue_size, run.objective_options()};
  const auto validate = [&](auto& session) {
    return validate_retrieval(session, *val, pool, candidates<C>(0),
                              {.batch_size = run.batch_size, .workers = run.workers});
  };
  return val ? train_with_curves<Precision>("pre-training", run, device, objective, loader,
                                            tokenizer, {}, validate)
             : train_with_curves<Precision>("pre-training", run, device, objective, loader,
                                            tokenizer);
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Pre-trains ALBEF on image-text pairs and writes to the output folder: "
      "checkpoint.safetensors (complete, to resume or evaluate), metrics.jsonl, losses.png, "
      "vocab.txt, summary.json; with --val also checkpoint_best.safetensors and results.json of "
      "the "
      "epoch with the best mean recall.",
      "albef_pretrain"};
  app.footer(
      "Examples:\n"
      "  albef_pretrain --data examples/data/emoji/emoji-train.tar --output run\n"
      "  albef_pretrain --output run --resume          # after Ctrl-C or a crash\n"
      "  albef_pretrain --config base --data captions.json --image-root images --vocab vocab.txt\n"
      "  albef_pretrain --init run/checkpoint.safetensors --freeze 'visual_encoder.*' --output "
      "next");
  Pretraining run;
  run.data = {"examples/data/emoji/emoji-train.tar"};
  run.start_options.by_module = true;  // an image or text encoder alone will do, too
  add_options(app, run, std::string(examples::data_help) + "; PATH=WEIGHT mixes several");
  return app.run(argc, argv, [&] {
    return examples::with_training(
        run, [&]<class C, class P>(auto& device) { return train<C, P>(run, device); });
  });
}
