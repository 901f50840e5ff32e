#include "common/task_options.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "albef/data/codec.hpp"
#include "albef/data/shared_pictures.hpp"
#include "albef/io/file.hpp"
#include "albef/text/tokenizer_json.hpp"
#include "albef/text/vocabulary.hpp"
#include "common/open_data.hpp"

namespace examples {

void TaskArguments::add_to(Command& app, const std::string& data_what, bool validates,
                           bool distills) {
  const auto model_group = "Model";
  app.add_option("--init", init,
                 "start from this checkpoint, of pre-training or of the task: its configuration "
                 "and vocabulary are taken over; without it the model is new")
      .group(model_group);
  app.add_option("--config", config,
                 "configuration of a new model (default: tiny), of a checkpoint that does not name "
                 "its own (official ones), or the same for another image size: " +
                     config_names(Configs{}))
      .group(model_group);
  app.add_option("--vocab", vocab,
                 "BERT vocab.txt or Hugging Face tokenizer.json; default: the checkpoint's, or one "
                 "learned from the texts")
      .group(model_group);
  const auto data_group = "Data";
  app.add_option("-d,--data", data, data_what).required().group(data_group);
  if (validates)
    app.add_option("--val", val, "validation set of the same kind, to keep the best epoch")
        .group(data_group);
  app.add_option("--image-root", image_root, image_root_help).group(data_group);
  app.add_option("--max-text-length", max_text_length,
                 "tokens kept of a text, [CLS] included; 0: the task's default")
      .capture_default_str()
      .group(data_group);
  if (validates) {
    app.add_option("--val-image-root", val_image_root,
                   "where the pictures of --val are; default: --image-root")
        .group(data_group);
    app.add_flag("--by-picture", by_picture,
                 "examples about the same picture come together and share its pass through the "
                 "image encoder: several times faster where pictures have several examples")
        .group(data_group);
  }
  add_picture_options(app, data_group);

  compute.add_to(app, true, "Device");

  const auto run_group = "Training";
  app.add_option("-o,--output", train.output, "folder for checkpoints, metrics and curves")
      .capture_default_str()
      .group(run_group);
  app.add_flag("--resume", resume, "continue the run in the output folder exactly")
      .group(run_group);
  add_optimizer_options(app, run_group, "examples");
  if (distills) {
    add_distillation_options(app, run_group, "; 0: at once");
    app.get_option("--alpha").range(0.0, 1.0);
    app.add_flag("--no-distill", no_distill, "no soft targets and no momentum model (alpha 0)")
        .group(run_group);
  } else {
    no_distill = true;
  }
  add_state_options(app, run_group);
}

void TaskArguments::complete(bool is_tiny, const TaskDefaults& tiny, const TaskDefaults& paper,
                             int model_positions) {
  const TaskDefaults& standard = is_tiny ? tiny : paper;
  const auto set = [](auto& value, auto otherwise) {
    if (value < 0) value = otherwise;
  };
  if (train.epochs == 0) train.epochs = standard.epochs;
  if (batch_size <= 0) batch_size = standard.batch_size;
  set(train.lr, init.empty() ? standard.new_model_lr : standard.lr);
  set(train.min_lr, std::min(standard.min_lr, train.lr));
  set(train.warmup_lr, std::min(1e-5, train.lr));
  set(train.warmup, standard.warmup);
  set(train.alpha_epochs, standard.alpha_epochs);
  set(train.optimizer.weight_decay, 0.02);
  set(train.momentum, is_tiny ? 0.98 : 0.995);
  if (no_distill) train.alpha = 0;
  set(flip, is_tiny ? 0.0f : 0.5f);
  set(augment, is_tiny ? 0 : 2);
  if (crop.empty()) crop = is_tiny ? std::vector{0.9f, 1.0f} : std::vector{0.5f, 1.0f};
  if (max_text_length == 0)
    max_text_length = standard.max_text_length > 0
                          ? std::min(standard.max_text_length, model_positions)
                          : model_positions;
  albef::require(max_text_length >= 2 && max_text_length <= model_positions, "--max-text-length ",
                 max_text_length, ": expected 2 to ", model_positions, ", the model's positions");
}

albef::WordPiece TaskArguments::tokenizer(const std::vector<std::string>& texts,
                                          int model_vocabulary) const {
  const std::string from = start();
  const bool learned = vocab.empty() && from.empty();
  const albef::WordPiece given = [&] {
    if (!vocab.empty()) return albef::load_wordpiece(vocab);
    if (!learned) return albef::detail::vocab_of(from, checkpoint_info(from));
    return albef::WordPiece::from_vocab(albef::learn_vocabulary(texts, model_vocabulary),
                                        "learned vocabulary");
  }();
  const std::string place = vocab.empty() ? from : vocab;
  albef::require(given.size() <= model_vocabulary, place, ": ", given.size(),
                 " tokens, the model has room for ", model_vocabulary);
  if (learned) return given;

  std::vector<std::string> tokens = given.tokens();
  const std::size_t room = static_cast<std::size_t>(model_vocabulary);
  std::size_t unknown = 0;
  std::string example;
  for (const auto& word : albef::detail::count_words(texts, given.options().normalization)) {
    const auto ids = given.ids(word.text);
    if (std::find(ids.begin(), ids.end(), given.unk_id()) == ids.end()) continue;
    if (unknown++ == 0) example = word.text;
    if (tokens.size() < room) tokens.push_back(word.text);
  }
  if (unknown == 0) return given;
  const std::size_t added = tokens.size() - static_cast<std::size_t>(given.size());
  std::fprintf(stderr,
               "%s: the vocabulary cannot spell %zu words of the texts, e.g. '%s'; %zu were added "
               "to it\n",
               place.c_str(), unknown, example.c_str(), added);
  return albef::WordPiece::from_vocab(std::move(tokens), place, given.options());
}

albef::AnnotationOptions TaskArguments::annotations(bool validation) const {
  auto options =
      annotation_options(validation && !val_image_root.empty() ? val_image_root : image_root);
  options.strict = validation;
  return options;
}

albef::LoaderOptions TaskArguments::loader() const {
  albef::LoaderOptions options;
  options.batch_size = batch_size;
  options.workers = workers;
  options.seed = train.seed;
  options.by_picture = by_picture;
  options.mask_probability = 0;
  options.encode.max_length = max_text_length;
  options.max_bad_share = max_bad_share;
  options.on_bad_record = [reported = 0](const std::string& message) mutable {
    constexpr int limit = 5;
    if (++reported <= limit) std::fprintf(stderr, "skipped %s\n", message.c_str());
    if (reported == limit + 1) std::fprintf(stderr, "skipped more records\n");
  };
  return options;
}

namespace {

/// Every record in order; one that is unusable is an Error and needs no message before.
albef::LoaderOptions in_order(albef::LoaderOptions options, int model_positions) {
  options = albef::evaluation_options(std::move(options));
  options.encode.max_length = model_positions;
  options.on_bad_record = nullptr;
  return options;
}

}  // namespace

albef::LoaderOptions TaskArguments::validation_loader(int model_positions) const {
  return in_order(loader(), model_positions);
}

void EvaluateArguments::add_to(Command& app, const std::string& data_what) {
  ModelArguments::add_to(app);
  app.add_option("-d,--data", data, data_what).required();
  app.add_option("--image-root", image_root, image_root_help);
  app.add_option("-o,--output", output, "write the results to this JSON file");
  app.add_option("--by", by, "field of the annotations whose values are also scored one by one")
      .capture_default_str();
  app.add_option("--sheet", sheet, "write a PNG with examples and what the model says");
  app.add_option("--sheet-entries", sheet_entries, "pictures, or pairs of them, on the sheet")
      .range(1, 200)
      .capture_default_str();
}

albef::AnnotationOptions EvaluateArguments::annotations() const {
  auto options = annotation_options(image_root);
  options.strict = true;
  return options;
}

albef::LoaderOptions EvaluateArguments::loader(int model_positions) const {
  albef::LoaderOptions options;
  options.batch_size = encoding.batch_size;
  options.workers = encoding.workers;
  return in_order(options, model_positions);
}

void fill_batch(albef::TaskBatch& batch, const std::vector<std::string>& pictures,
                const std::vector<std::string>& texts, int image_size,
                const albef::WordPiece& tokenizer, int max_length) {
  batch.size = static_cast<int>(texts.size());
  const albef::PictureTransform transform = albef::EvalTransform{image_size};
  albef::TransformBuffers buffers;
  albef::RandomStream random(0, 0);  // evaluation draws nothing
  albef::clear_pictures(batch, image_size);
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const auto place =
        albef::share_picture(batch, static_cast<std::int64_t>(i), transform, random, buffers,
                             [&] { return albef::load_image(pictures[i]); });
    batch.image_of.insert(batch.image_of.end(), texts.size(), place);
  }
  for (const std::string& text : texts)
    batch.text.add(tokenizer.encode(text, {.max_length = max_length}));
}

void GroupScores::add(const std::string& group, double score) {
  Group& g = groups_[group];
  g.sum += score;
  ++g.count;
}

void GroupScores::print() const {
  for (const auto& [name, g] : groups_)
    std::printf("  %-20s %8s %7lld\n", name.c_str(),
                percent(g.sum / static_cast<double>(g.count)).c_str(),
                static_cast<long long>(g.count));
}

Json GroupScores::json() const {
  Json json = Json::object();
  for (const auto& [name, g] : groups_)
    json[name] = {{"accuracy", g.sum / static_cast<double>(g.count)}, {"count", g.count}};
  return json;
}

}  // namespace examples
