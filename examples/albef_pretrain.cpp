// albef_pretrain: pre-trains ALBEF (ITC + ITM + MLM with momentum distillation) on image-text
// pairs. The whole composition is in train(); everything else is options.
#include <algorithm>
#include <cstdio>
#include <string>
#include <type_traits>

#include "albef/train/pretrain_task.hpp"
#include "albef/train/trainer.hpp"
#include "common/config_dispatch.hpp"
#include "common/device.hpp"
#include "common/program.hpp"
#include "common/train_options.hpp"

namespace {

struct Arguments : examples::TrainArguments {
  std::string config = "tiny", init;
  bool resume = false;
};

template <class C, class Precision>
int train(Arguments args, auto& device) {
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
  if (args.resume) {
    require(trainer.resume(), trainer.checkpoint_path(), ": nothing to resume from");
  } else if (!args.init.empty()) {
    const LoadOptions options{
        .allow_missing = true, .allow_unexpected = true, .resize_positions = true};
    const auto report = Checkpoint(task.store()).load(args.init, options);
    std::fprintf(stderr, "%s: %s\n", args.init.c_str(), report.text().c_str());
    require(report.loaded > 0, args.init, ": no tensor of the file belongs to the model");
  }

  std::fprintf(stderr,
               "%s: %.1f M parameters, %zu records, vocabulary %d, %lld steps of %d x %d pairs, "
               "%s\n",
               args.config.c_str(), static_cast<double>(parameter_count<Albef<C>>()) * 1e-6,
               source->size(), tokenizer.size(), static_cast<long long>(trainer.total_steps()),
               args.train.accumulate, args.batch_size, examples::describe(device).c_str());
  const TrainSummary summary = [&] {
    try {
      return trainer.run();
    } catch (const OutOfMemory& error) {
      const int pairs = task.fitting_pairs(loader.next());
      fail(error.what(), "; a batch of ", args.batch_size, " does not fit, one of ", pairs,
           " does. Use --batch-size ", std::max(2, pairs),
           ", with --accumulate for the same steps, or --checkpointing");
    }
  }();
  tokenizer.save(args.train.output + "/vocab.txt");
  examples::write_loss_curves(args.train.output + "/losses.png", trainer.history(),
                              task.plateaus(args.batch_size));
  std::fprintf(stderr, "%s after %lld steps: %.0f s, %.1f pairs/s; %s\n",
               summary.finished ? "finished" : "stopped", static_cast<long long>(summary.steps),
               summary.seconds, summary.pairs_per_second(), trainer.checkpoint_path().c_str());
  return summary.signal ? 128 + summary.signal : 0;
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
  Arguments args;
  app.add_option("--config", args.config, "model: " + examples::config_names(examples::Configs{}))
      .capture_default_str();
  app.add_flag("--resume", args.resume, "continue the run in the output folder exactly");
  app.add_option("--init", args.init, "start from the weights of a checkpoint (safetensors)");
  args.add_to(app);
  return app.run(argc, argv, [&] {
    return examples::with_config(args.config, [&]<class C>() {
      return examples::with_device_and_precision(
          args.compute, [&]<class P>(auto& device) { return train<C, P>(args, device); });
    });
  });
}
