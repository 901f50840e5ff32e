// Composes scenes of everyday objects with captions, questions, hypotheses, statements about pairs
// and boxes with expressions: something to run every task of ALBEF on.
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "albef/core/file.hpp"
#include "common/program.hpp"
#include "datasets/scene_files.hpp"

namespace {

const std::string data = "examples/data/scenes/";

/// The lines of a file, or what stands between commas.
std::vector<std::string> list_of(const std::string& argument) {
  const bool file = std::filesystem::is_regular_file(argument);
  const std::string text = file ? albef::read_file(argument) : argument;
  std::vector<std::string> items;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(file ? "\r\n" : ",", at), text.size());
    if (end > at) items.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return items;
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app("Composes scenes with annotations for every task of ALBEF", "make_scenes");
  examples::SceneOptions options;
  std::string sprites = data + "sprites.tar.gz", objects, styles;
  int train = 6000, val = -1, test = -1, size = 96;
  bool easy = false;
  app.add("-o,--output", options.output, "folder for shards and annotations");
  app.add("--sprites", sprites, "shard of STYLE/NAME.png");
  app.add("--objects", objects,
          "names: a file with one per line, a list with commas, all; default: " + data +
              "objects40.txt, objects12.txt with --easy");
  app.add("--styles", styles, "list with commas; default: noto,fluent,twemoji, noto with --easy");
  app.add("--easy", easy, "12 objects in one style");
  app.add("--scenes", train, "scenes for training");
  app.add("--val", val, "scenes for validation; default: a tenth of those for training");
  app.add("--test", test, "scenes for testing; default: a fifth");
  app.add("--size", size, "width and height, pixels");
  app.add("--seed", options.seed, "other scenes for every number");
  app.add("--distractors", options.distractors,
          "boxes per picture that hold no object, among those to choose from",
          examples::non_negative);
  app.add("--png", options.png, "write the pictures as files, too");

  return app.run(argc, argv, [&] {
    if (objects.empty()) objects = data + (easy ? "objects12.txt" : "objects40.txt");
    if (styles.empty()) styles = easy ? "noto" : "noto,fluent,twemoji";
    const examples::Sprites art(sprites);
    const examples::SceneMaker maker(art, objects == "all" ? art.names() : list_of(objects),
                                     list_of(styles), size);
    examples::SceneFiles files(maker, options);
    files.write_split("train", train);
    files.write_split("val", val < 0 ? std::max(2, train / 10) : val);
    files.write_split("test", test < 0 ? std::max(2, train / 5) : test);
    files.finish();
    std::printf("%zu objects; %s\n", maker.names().size(), options.output.c_str());
    return 0;
  });
}
