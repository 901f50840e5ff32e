// albef_pretrain: pre-trains ALBEF (ITC + ITM + MLM with momentum distillation) on image-text
// pairs. The whole composition is in train(); everything else is options.
#include <string>
#include <type_traits>

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
  args.complete(std::is_base_of_v<Tiny, C>, C::vocab_size, C::queue_size,
                C::max_position_embeddings);
  const SourcePtr source = args.source();
  const WordPiece tokenizer = args.tokenizer(*source, C::vocab_size);
  Loader loader = args.loader(source, tokenizer, C::image_res);

  PretrainTask<C, AlbefObjectives, Device, Precision> task(device, args.train.seed, args.queue_size,
                                                           args.objective_options());
  task.context().set_checkpointing(args.checkpointing);
  Trainer trainer(task, loader, args.train,
                  {{"vocab", examples::vocabulary_text(tokenizer)},
                   {"max_text_length", concat(args.max_text_length)}});
  examples::begin(args, trainer, [&](const std::string& path) {
    const LoadOptions options{.allow_missing = true,
                              .allow_unexpected = true,
                              .resize_positions = true,
                              .complete_momentum = true};
    const LoadReport report = Checkpoint(task.store()).load(path, options);
    require(report.loaded > 0, path, ": no tensor of the file belongs to the model");
    return report;
  });
  return examples::run_to_end("pre-training", args, task, trainer, loader, tokenizer);
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
  app.add_option(
      "--config", args.config,
      "model (default: tiny, or that of --init): " + examples::config_names(examples::Configs{}));
  app.add_flag("--resume", args.resume, "continue the run in the output folder exactly");
  app.add_option("--init", args.init, "start from the weights of a checkpoint (safetensors)");
  args.add_to(app);
  return app.run(argc, argv, [&] {
    return examples::with_training(
        args, [&]<class C, class P>(auto& device) { return train<C, P>(args, device); });
  });
}
