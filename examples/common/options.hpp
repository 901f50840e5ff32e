// The options that several programs take, and which settings they fill.
#pragma once

#include <string>
#include <vector>

#include "albef/tasks/config_list.hpp"
#include "albef/tasks/encode.hpp"
#include "albef/tasks/pair_settings.hpp"
#include "albef/tasks/settings.hpp"
#include "albef/train/session.hpp"
#include "common/device.hpp"
#include "common/program.hpp"
#include "json_configs.hpp"

namespace albef {
struct AnswerSettings;
struct FlavaSettings;
}  // namespace albef

namespace examples {

/// The configurations the programs are compiled for, see examples/CMakeLists.txt.
inline constexpr albef::ConfigList<ALBEF_EXAMPLE_CONFIGS> configs;

inline constexpr const char* data_help =
    "Pictures with captions: a .json file (list of {\"image\", \"caption\"}) or WebDataset tar "
    "shards, one file or a quoted pattern such as 'train-{000..012}.tar'";
inline constexpr const char* training_help =
    "fine-tune; the output folder gets checkpoint.safetensors (to resume), "
    "checkpoint_best.safetensors and results.json (of the best epoch on --val), metrics.jsonl, "
    "losses.png, summary.json, vocab.txt";

/// Options of data, pictures and optimizer; `what` says what --data is. With s.no_distill there
/// are none of the momentum model's targets, without `validates` none of a validation.
void add_options(Command& app, albef::RunSettings& s, const std::string& what, bool validates);
/// The same for tasks on annotations.
void add_options(Command& app, albef::TaskSettings& s, const std::string& what, bool validates);
/// The same for pictures with captions; s.finetunes changes some of them.
void add_options(Command& app, albef::PairSettings& s, const std::string& what, bool validates);

/// The same for FLAVA, whose pairs are --data.
void add_options(Command& app, albef::FlavaSettings& s, const std::string& what, bool validates);

/// Settings of a run and the device it runs on.
template <class Settings>
struct Run : Settings {
  DeviceArguments compute;
};
template <class Settings>
void add_options(Command& app, Run<Settings>& run, const std::string& what, bool validates = true) {
  add_options(app, static_cast<Settings&>(run), what, validates);
  run.compute.add_to(app.group("Device"), true);
}

/// Which answers are chosen from, and how.
enum class Use { train, evaluate, predict };
void add_options(Command& app, albef::AnswerSettings& answers, Use use);

/// How pictures are decoded, see albef::default_decoding().
void add_picture_options(const Command& app);

/// Data sets with pictures; those that have no default are required.
void add_data(const Command& app, std::vector<std::string>& data, std::string& image_root,
              const std::string& help);

/// A trained model, what it is used on, and where results go.
struct ModelArguments {
  std::string checkpoint, config, image_root, by = "type", output, sheet;
  std::vector<std::string> data, images, texts;
  int shown = 12;       // examples on the sheet
  bool strict = false;  // an unusable record is an error
  albef::SessionOptions session;
  albef::EncodingOptions encoding;
  DeviceArguments compute;

  /// The model and its device; `needed`: the checkpoint must be given.
  void add_to(Command& app, bool needed = true);
  /// How data sets are read.
  void add_encoding(Command& app, bool cuts_texts = true);
  /// Data sets, see examples::add_data(), and what is done about records that cannot be used.
  void add_data(Command& app, std::vector<std::string>& sets, std::string& root,
                const std::string& help);
  /// The options of a loader for them.
  albef::LoaderOptions loader() const;
  /// The files of results; the option called `name` says how many examples the sheet has.
  void add_results(Command& app, const std::string& sheet_help, int most, const std::string& name,
                   const std::string& shown_help);
  /// All of `evaluate` on annotations.
  void add_evaluation(Command& app, const std::string& data_help);
  /// All of `predict`, for questions or statements about pictures of the user's; `text` is the
  /// option of these.
  void add_prediction(Command& app, int pictures, const char* text, const char* help);
};

}  // namespace examples
