// What the programs of the downstream tasks share: the options of a fine-tuning run, its start from
// a checkpoint or from nothing, the run itself, and the options of an evaluation.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "albef/data/batch_loader.hpp"
#include "albef/data/json_records.hpp"
#include "albef/data/transform.hpp"
#include "albef/models/task_batch.hpp"
#include "albef/text/wordpiece.hpp"
#include "albef/train/metrics.hpp"
#include "albef/train/trainer.hpp"
#include "common/load_model.hpp"
#include "common/program.hpp"
#include "common/training_run.hpp"

namespace examples {

/// What a task takes where the user says nothing.
struct TaskDefaults {
  int epochs = 10, batch_size = 32, warmup = 100;
  int alpha_epochs = 1;  // epochs over which the soft targets gain their weight
  double lr = 2e-5, min_lr = 1e-6;
  double new_model_lr = lr;  // peak for a model that is not pre-trained
  int max_text_length = 0;   // tokens of a text; 0: the model's positions
};

inline constexpr const char* training_help =
    "fine-tune; the output folder gets checkpoint.safetensors (to resume), "
    "checkpoint_best.safetensors and results.json (of the best epoch on --val), metrics.jsonl, "
    "validation.jsonl, losses.png, summary.json, vocab.txt";

/// What a user may set of a fine-tuning run. Unset numbers (0 or below) take the task's default;
/// see complete().
struct TaskArguments : RunArguments {
  std::vector<std::string> data, val;
  std::string image_root, val_image_root, vocab;
  int max_text_length = 0;
  bool no_distill = false, by_picture = false;

  /// `data_what` says what --data is; `validates`: the task has --val, `distills`: a momentum
  /// model.
  void add_to(Command& app, const std::string& data_what, bool validates = true,
              bool distills = true);
  /// Fills in what was not set: `tiny` for the configuration of that name, else the paper's.
  void complete(bool is_tiny, const TaskDefaults& tiny, const TaskDefaults& paper,
                int model_positions);

  bool distills() const { return train.alpha > 0; }
  /// The given vocabulary, the starting checkpoint's, or one learned from the texts. Words it
  /// cannot spell are added to the end of it while the model has room.
  albef::WordPiece tokenizer(const std::vector<std::string>& texts, int model_vocabulary) const;
  /// How the training set, or that of --val, is read.
  albef::AnnotationOptions annotations(bool validation) const;
  albef::LoaderOptions loader() const;
  /// Of a validation set; texts are cut where the model has no more positions.
  albef::LoaderOptions validation_loader(int model_positions) const;
};

/// Error now, before a run leaves files or at the end of its first epoch, if the pictures of a data
/// set are elsewhere.
template <class LoaderT>
void check_first_batch(LoaderT& loader) {
  loader.next();
  loader.seek({});
}

/// Trains a task (see FinetuneTask) to the end and returns the exit status. `validate`, unless
/// empty, is called with a context for inference after each epoch. `extra` is kept in the
/// checkpoints beside the vocabulary.
template <class Task, class LoaderT>
int run_training(const std::string& name, const TaskArguments& args, Task& task, LoaderT& loader,
                 const albef::WordPiece& tokenizer, albef::CheckpointInfo extra,
                 const std::function<Validation(typename Task::Ctx&)>& validate) {
  using namespace albef;
  check_first_batch(loader);
  task.context().set_checkpointing(args.checkpointing);
  extra["task"] = name;
  extra["vocab"] = vocabulary_text(tokenizer);
  extra["max_text_length"] = concat(args.max_text_length);

  Trainer trainer(task, loader, args.train, extra);
  begin(args, trainer, [&](const std::string& path) { return task.start_from(path, true); });
  typename Task::Ctx inference(task.store().device(), task.store());
  std::function<Validation()> validate_now;
  if (validate) validate_now = [&] { return validate(inference); };
  return run_to_end(name, args, task, trainer, loader, tokenizer, extra, validate_now);
}

/// The options of `evaluate`.
struct EvaluateArguments : ModelArguments {
  std::vector<std::string> data;
  std::string image_root, output, sheet, by = "type";
  int sheet_entries = 12;

  void add_to(Command& app, const std::string& data_what);
  albef::AnnotationOptions annotations() const;
  albef::LoaderOptions loader(int model_positions) const;
};

/// A batch with one row per cleaned text, all about the same picture files.
void fill_batch(albef::TaskBatch& batch, const std::vector<std::string>& pictures,
                const std::vector<std::string>& texts, int image_size,
                const albef::WordPiece& tokenizer, int max_length);

/// Mean scores of groups of examples, e.g. of the types of questions.
class GroupScores {
 public:
  void add(const std::string& group, double score);
  bool empty() const { return groups_.empty(); }
  /// One row per group: its name, percentage and size.
  void print() const;
  Json json() const;

 private:
  struct Group {
    double sum = 0;
    std::int64_t count = 0;
  };
  std::map<std::string, Group> groups_;
};

}  // namespace examples
