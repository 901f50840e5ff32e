// What the programs of the downstream tasks share: the options of a fine-tuning run and of an
// evaluation, and how they read annotations.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "albef/data/batch_loader.hpp"
#include "albef/data/json_records.hpp"
#include "albef/data/task_batch.hpp"
#include "albef/text/wordpiece.hpp"
#include "common/load_model.hpp"
#include "common/program.hpp"
#include "common/run_options.hpp"

namespace examples {

inline constexpr const char* training_help =
    "fine-tune; the output folder gets checkpoint.safetensors (to resume), "
    "checkpoint_best.safetensors and results.json (of the best epoch on --val), metrics.jsonl, "
    "validation.jsonl, losses.png, summary.json, vocab.txt";

/// What a user may set of a fine-tuning run on annotations.
struct TaskArguments : RunArguments {
  std::vector<std::string> val;
  std::string val_image_root;
  bool by_picture = false;

  /// `help.data` says what --data and --val are; `validates`: the task has --val.
  void add_to(Command& app, const RunHelp& help, bool validates = true);
  /// How the training set, or that of --val, is read.
  albef::AnnotationOptions annotations(bool validation) const;
  albef::LoaderOptions loader() const;
  /// Of a validation set; texts are cut where the model has no more positions.
  albef::LoaderOptions validation_loader(int model_positions) const;
  albef::CheckpointInfo metadata(const albef::WordPiece& tokenizer) const override;
};

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
  nlohmann::ordered_json json() const;

 private:
  struct Group {
    double sum = 0;
    std::int64_t count = 0;
  };
  std::map<std::string, Group> groups_;
};

}  // namespace examples
