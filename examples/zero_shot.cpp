// zero_shot: tells what pictures show by the names of classes alone, with a model that encodes
// pictures and texts.
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "albef/data/labelled.hpp"
#include "albef/data/open.hpp"
#include "albef/tasks/zero_shot.hpp"
#include "common/models.hpp"

namespace {

using namespace albef;

struct Arguments : examples::ModelArguments {
  std::string prompts, class_file;
  std::vector<std::string> classes;
  std::string labelled;
  int top = 5;
};

int classify(auto& session, const Arguments& args) {
  std::vector<std::string> classes = args.classes;
  if (!args.class_file.empty()) classes = read_class_names(args.class_file);
  LabelledPtr set;
  MemorySource files;
  if (!args.labelled.empty()) {
    set = open_labelled(args.labelled, {.classes = classes, .image_root = args.image_root});
    classes = set->classes();
  } else {
    files = picture_files(args.images);
  }
  const Source& source = set ? static_cast<const Source&>(*set) : files;
  const int count = static_cast<int>(classes.size());
  const auto prompts = args.prompts.empty() ? default_prompts() : read_prompts(args.prompts);
  const auto features = class_features(session, classes, prompts, args.encoding);

  BadRecords bad;
  std::vector<std::uint32_t> records(source.size());
  std::iota(records.begin(), records.end(), 0u);
  if (set) records = set->usable(bad);
  const auto scores =
      zero_shot(session, source, records, features, count, args.encoding, set ? &bad : nullptr);
  std::erase_if(records, [&](std::uint32_t r) { return bad.has(r); });
  if (set) {
    std::vector<std::int32_t> labels;
    for (const std::uint32_t r : records) labels.push_back(set->label(r));
    std::printf("%zu pictures, %d classes, %zu prompts: top-1 %.1f %%, top-5 %.1f %%\n",
                records.size(), count, prompts.size(), 100 * scores.accuracy(labels, 1),
                100 * scores.accuracy(labels, 5));
    if (args.images.empty() && args.top == 0) return 0;
  }
  for (int i = 0; i < scores.pictures() && args.top > 0; ++i) {
    std::printf("%s:", source.record(records[static_cast<std::size_t>(i)]).key.c_str());
    for (const int c : scores.nearest(i, args.top))
      std::printf("  %s %.3f", classes[static_cast<std::size_t>(c)].c_str(),
                  static_cast<double>(scores.of(i)[static_cast<std::size_t>(c)]));
    std::printf("\n");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Tells what pictures show by the names of classes alone: each class is the mean of the "
      "features of some sentences with its name, and a picture is of the class that is most "
      "similar "
      "to it. For checkpoints of clip, albef_pretrain and flava_pretrain.",
      "zero_shot"};
  app.footer(
      "Examples:\n"
      "  zero_shot picture.png -m clip/checkpoint_best.safetensors --class cat dog\n"
      "  zero_shot -m run/checkpoint.safetensors --labelled photos/test --top 0\n"
      "  printf 'a photo of a {}\\nthe {}\\n' > prompts.txt\n"
      "  zero_shot -m run/checkpoint.safetensors --labelled photos/test --prompts prompts.txt");
  Arguments args;
  args.add_to(app);
  args.add_encoding(app);
  app.add("pictures", args.images, "picture files");
  app.add("--class", args.classes, "names of the classes");
  app.add("--classes", args.class_file, "file with the names of the classes, one a line");
  app.add(
      "--labelled", args.labelled,
      "labelled pictures instead: a folder of a folder per class, .csv or .tsv (picture, label), "
      ".json, or shards with .cls entries; default classes: their labels");
  app.add("--image-root", args.image_root, "where the pictures of JSON files and tables are");
  app.add("--prompts", args.prompts, "file with sentences, one a line, {} for the class's name");
  app.add("--top", args.top, "classes told of each picture; 0: none", examples::non_negative);
  return app.run(argc, argv, [&] {
    require(args.labelled.empty() != args.images.empty(), "give pictures or --labelled");
    require(!args.labelled.empty() || !args.classes.empty() || !args.class_file.empty(),
            "give the names of classes: --class or --classes");
    constexpr ModelList<Albef, Clip, Flava> models;
    return examples::with_device(args.compute, [&](auto& device) {
      return with_any_session(device, args.checkpoint, args.config, args.session, models,
                              examples::configs,
                              [&](auto& session) { return classify(session, args); });
    });
  });
}
