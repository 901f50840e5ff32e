// albef_pretrain: pre-trains ALBEF (ITC + ITM + MLM with momentum distillation) on image-text
// pairs. The whole composition is in train(); everything else is options.
#include <string>

#include "albef/train/pretrain_task.hpp"
#include "albef/train/trainer.hpp"
#include "common/program.hpp"
#include "common/train_options.hpp"
#include "common/training_run.hpp"

namespace {

template <class C, class Precision>
int train(examples::TrainArguments args, auto& device) {
  using namespace albef;
  using Device = std::remove_reference_t<decltype(device)>;
  args.complete<C>();
  const SourcePtr source = args.source();
  const WordPiece tokenizer = args.caption_tokenizer(*source, C::vocab_size);
  Loader loader = args.loader(source, tokenizer, C::image_res);

  PretrainTask<C, AlbefObjectives, Device, Precision> task(device, args.train.seed, args.queue_size,
                                                           args.objective_options());
  const auto start = [&](const std::string& path) {
    const LoadOptions options{.allow_missing = true,
                              .allow_unexpected = true,
                              .resize_positions = true,
                              .complete_momentum = true};
    const LoadReport report = Checkpoint(task.store()).load(path, options);
    require(report.loaded > 0, path, ": no tensor of the file belongs to the model");
    return report;
  };
  return examples::run_training("pre-training", args, task, loader, tokenizer, {}, {}, start);
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Pre-trains ALBEF on image-text pairs and writes to the output folder: "
      "checkpoint.safetensors "
      "(complete, to resume or evaluate), metrics.jsonl, losses.png, vocab.txt, summary.json.",
      "albef_pretrain"};
  app.footer(
      "Examples:\n"
      "  albef_pretrain --data examples/data/emoji/emoji-train.tar --output run\n"
      "  albef_pretrain --output run --resume          # after Ctrl-C or a crash\n"
      "  albef_pretrain --config base --data captions.json --image-root images --vocab vocab.txt");
  examples::TrainArguments args;
  args.add_to(app);
  return app.run(argc, argv, [&] {
    return examples::with_training(
        args, [&]<class C, class P>(auto& device) { return train<C, P>(args, device); });
  });
}
