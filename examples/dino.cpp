// dino: trains a vision transformer on pictures alone by self-distillation (DINO). The whole
// composition is in train(); everything else is options.
#include "albef/tasks/dino_settings.hpp"
#include "common/run.hpp"

namespace {

using namespace albef;
using Settings = examples::Run<DinoSettings>;

template <class C, class Precision>
int train(Settings run, auto& device) {
  run.complete<C>(dino_tiny, dino_paper);
  MultiCropLoader loader = run.loader(run.source());
  run.complete_schedule(loader.batches_per_epoch());
  LabelledPtr known, val;
  if (!run.val.empty()) known = run.known_set(), val = run.validation_set(*known);
  const DinoTraining<C> objective{run.dino};
  const auto validate = [&](auto& session) {
    return validate_neighbours(session, *known, *val, run.neighbours,
                               {.batch_size = run.batch_size, .workers = run.workers});
  };
  return val ? train_with_curves<Precision>("DINO", run, device, objective, loader, NoTexts{}, {},
                                            validate)
             : train_with_curves<Precision>("DINO", run, device, objective, loader, NoTexts{});
}

void add_dino_options(examples::Program& app, Settings& run) {
  using namespace examples;
  add_options(app, run,
              "pictures: a folder, a .txt with names of files, a .json file, or WebDataset shards; "
              "texts and labels play no part; PATH=WEIGHT mixes several");
  app.remove({"--vocab", "--vocab-size", "--max-text-length", "--crop", "--augment", "--warmup",
              "--warmup-lr"});
  const Command data = app.group("Data"), training = app.group("Training"),
                teacher = app.group("Teacher"), validation = app.group("Validation");
  data.add("--global-scale", run.global_scale,
           "share of the picture that the two global crops keep, low and high (default: 0.4 1)",
           expected(2), share);
  data.add("--local-scale", run.local_scale, "the same of local crops (default: 0.05 0.4)",
           expected(2), share);
  data.add("--local-size", run.local_size,
           "pixels of local crops, one or several sizes; default: 3/7 of the model's");
  data.add("--local-crops", run.local_crops,
           "local crops of each size (default: 8; tiny: 4); 0 for global crops alone");
  data.add("--jitter", run.crops.jitter_probability, "probability of changed colours", share);
  data.add("--gray", run.crops.gray, "probability of a picture without colours", share);
  data.add("--blur-radius", run.crops.blur_high,
           "largest radius of the blur in pixels (default: 2, made for 224 pixels; tiny: 0.6)",
           non_negative);
  data.add("--solarize", run.crops.solarize_second,
           "probability that the second global crop is solarised", share);
  training.add("--warmup-epochs", run.warmup_epochs,
               "epochs until the peak of the rate; default: 10, at most a tenth of all",
               non_negative);
  training.add("--weight-decay-end", run.weight_decay_end,
               "weight decay at the end (default: 0.4), to which it goes in a half cosine",
               non_negative);
  training.add("--freeze-last-layer", run.dino.freeze_last_layer,
               "epochs in which the head's last layer is not trained", non_negative);
  teacher.add("--momentum", run.training.momentum,
              "of the teacher, the student's moving average (default: 0.996; tiny: 0.99)", share);
  teacher.add("--momentum-end", run.momentum_end, "at the end, in a half cosine", share);
  teacher.add("--teacher-temp", run.dino.teacher_temp,
              "its temperature (default: 0.04); above 0.07 training is unstable", non_negative);
  teacher.add("--warmup-teacher-temp", run.dino.warmup_teacher_temp, "its temperature at first",
              non_negative);
  teacher.add("--warmup-teacher-temp-epochs", run.dino.warmup_teacher_temp_epochs,
              "epochs from the one to the other", non_negative);
  validation.add("--known", run.known,
                 "labelled pictures whose nearest neighbours classify those of --val; default: "
                 "--data");
  validation.add("--label", run.label, "field of the records with the label");
  validation.add("--neighbours", run.neighbours.neighbours, "how many of them vote", positive);
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Trains a vision transformer on pictures without labels (DINO): a student learns from crops "
      "of a picture what a teacher, its own moving average, says of two large ones. The output "
      "folder gets checkpoint.safetensors (complete, to resume, evaluate or start other models "
      "from), metrics.jsonl, losses.png, summary.json; with --val also the share of labelled "
      "pictures that their nearest neighbours classify rightly after each epoch, and "
      "checkpoint_best.safetensors. A loss that stays near the logarithm of the number of outputs "
      "(6.93 for tiny) means that the features have collapsed, which is told: lower the teacher's "
      "temperature, or raise --momentum.",
      "dino"};
  app.footer(
      "Examples:\n"
      "  dino --data examples/data/grocery/grocery-train.tar.gz --val "
      "examples/data/grocery/grocery-test.tar.gz\n"
      "  dino --output run --resume                    # after Ctrl-C or a crash\n"
      "  dino --config small --data photos --local-size 48 64 --local-crops 6 2");
  Settings run;
  run.train.output = "dino";
  run.data = {"examples/data/grocery/grocery-train.tar.gz"};
  add_dino_options(app, run);
  return app.run(argc, argv, [&] {
    return examples::with_training(
        run, [&]<class C, class P>(auto& device) { return train<C, P>(run, device); });
  });
}
