#include "common/task_options.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "albef/core/file.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/shared_pictures.hpp"
#include "common/open_data.hpp"

namespace examples {

void TaskArguments::add_to(Command& app, const RunHelp& help, bool validates) {
  RunArguments::add_to(app, help);
  app.get_option("--data").required();
  app.remove_option("--keep-epochs");
  if (!validates) return;
  const auto data_group = "Data";
  app.add_option("--val", val, "validation set of the same kind, to keep the best epoch")
      .group(data_group);
  app.add_option("--val-image-root", val_image_root,
                 "where the pictures of --val are; default: --image-root")
      .group(data_group);
  app.add_flag("--by-picture", by_picture,
               "examples about the same picture come together and share its pass through the "
               "image encoder: several times faster where pictures have several examples")
      .group(data_group);
}

albef::CheckpointInfo TaskArguments::metadata(const albef::WordPiece& tokenizer) const {
  auto info = RunArguments::metadata(tokenizer);
  info["run.by_picture"] = by_picture ? "yes" : "no";
  return info;
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
  add_batch_options(app);
  app.add_option("-d,--data", data, data_what).required();
  app.add_option("--image-root", image_root, image_root_help);
  app.add_option("-o,--output", output, "write the results to this JSON file").output_file();
  app.add_option("--by", by, "field of the annotations whose values are also scored one by one")
      .capture_default_str();
  app.add_option("--sheet", sheet, "write a PNG with examples and what the model says")
      .output_file();
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

nlohmann::ordered_json GroupScores::json() const {
  auto json = nlohmann::ordered_json::object();
  for (const auto& [name, g] : groups_)
    json[name] = {{"accuracy", g.sum / static_cast<double>(g.count)}, {"count", g.count}};
  return json;
}

}  // namespace examples
