// The options that several programs take, and which settings they fill.
#pragma once

#include <string>
#include <vector>

#include "albef/tasks/encode.hpp"
#include "albef/tasks/pair_settings.hpp"
#include "albef/tasks/settings.hpp"
#include "albef/train/session.hpp"
#include "common/device.hpp"
#include "common/program.hpp"

namespace albef {
struct AnswerSettings;
}

namespace examples {

inline constexpr const char* data_help =
    "Pictures with captions: a .json file (list of {\"image\", \"caption\"}) or WebDataset tar "
    "shards, one file or a quoted pattern such as 'train-{000..012}.tar'";
inline constexpr const char* image_root_help =
    "where the pictures are that .json files name: a folder, or WebDataset shards; default: the "
    "folder of each file";
inline constexpr const char* training_help =
    "fine-tune; the output folder gets checkpoint.safetensors (to resume), "
    "checkpoint_best.safetensors and results.json (of the best epoch on --val), metrics.jsonl, "
    "losses.png, summary.json, vocab.txt";

/// How the help of a program speaks of a run.
struct RunHelp {
  std::string data;                // what --data is
  std::string items = "examples";  // of which there are --batch-size in a batch
  bool distills = true;            // there is a momentum model
  bool validates = true;           // there is --val
};

/// Settings of a run and the device it runs on.
template <class Settings>
struct Run : Settings {
  DeviceArguments compute;
};

/// Options of data, pictures, optimizer and device.
void add_options(Command& app, albef::RunSettings& s, DeviceArguments& compute,
                 const RunHelp& help);
/// The same for tasks on annotations.
void add_options(Command& app, albef::TaskSettings& s, DeviceArguments& compute,
                 const RunHelp& help);
/// The same for pictures with captions; s.finetunes changes some of them.
void add_options(Command& app, albef::PairSettings& s, DeviceArguments& compute,
                 const std::string& data);
template <class Settings, class Help>
void add_options(Command& app, Run<Settings>& run, const Help& help) {
  add_options(app, static_cast<Settings&>(run), run.compute, help);
}

/// Which answers are chosen from, and how.
enum class Use { train, evaluate, predict };
void add_options(Command& app, albef::AnswerSettings& answers, Use use);

/// A trained model, and how it is used.
struct ModelArguments {
  std::string checkpoint, config;
  albef::SessionOptions session;
  albef::EncodingOptions encoding;
  DeviceArguments compute;

  /// The model and its device.
  void add_to(Command& app);
  /// How data sets are read.
  void add_batch_options(Command& app);
  /// The same, and how their texts are cut.
  void add_encoding_options(Command& app);
};

/// The options of `evaluate` on annotations.
struct EvaluateArguments : ModelArguments {
  std::vector<std::string> data;
  std::string image_root, output, sheet, by = "type";
  int sheet_entries = 12;

  void add_to(Command& app, const std::string& data_what);
  albef::AnnotationOptions annotations() const;
  albef::LoaderOptions loader() const;
};

/// The options of `predict`: questions or statements about pictures of the user's.
struct PredictArguments : ModelArguments {
  std::vector<std::string> images, texts;
  std::string output;

  /// `text` is the option of the texts with its help.
  void add_to(Command& app, int pictures, const char* text, const char* help);
};

}  // namespace examples
