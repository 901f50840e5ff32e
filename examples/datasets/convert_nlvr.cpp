// Brings the first NLVR corpus (three grey boxes and a statement) into the JSON format of
// statements and a shard of square pictures: for albef_ve (a true statement is entailed by its
// picture) or, as pairs, for albef_nlvr.
#include <cstdio>
#include <filesystem>
#include <string>

#include "common/program.hpp"
#include "datasets/nlvr_corpus.hpp"

int main(int argc, char** argv) {
  examples::Program app(
      "Converts the NLVR corpus (three boxes and a statement) to JSON and a shard", "convert_nlvr");
  examples::NlvrOptions options;
  std::string source, pictures;
  options.name.clear();
  app.add("source", source,
          "the corpus' train.json, dev.json or test.json (one object per line), or a .tsv "
          "table beside its .bpk pack",
          examples::required);
  app.add("--pictures", pictures,
          "folder of the pictures, for .json; default: the folder of the source");
  app.add("-o,--output", options.output, "folder for NAME.tar and NAME.json");
  app.add("--name", options.name, "default: that of the source");
  app.add("--orders", options.orders,
          "how many of the six orders of the boxes to show; 6 suits training");
  app.add("--pairs", options.pairs,
          "two pictures, of boxes 1 and 2 and of box 3, with the labels of albef_nlvr; else one, "
          "with those of albef_ve: entailment and contradiction");

  return app.run(argc, argv, [&] {
    const std::filesystem::path path(source);
    if (options.name.empty()) options.name = path.stem().string();
    examples::NlvrFiles files(options);
    const auto add = [&](const examples::NlvrExample& example) { files.add(example); };
    if (path.extension() == ".tsv")
      examples::read_nlvr_table(source, add);
    else
      examples::read_nlvr_json(source, pictures.empty() ? path.parent_path().string() : pictures,
                               add);
    files.commit();
    std::printf("%zu statements in %s/%s.json\n", files.count(), options.output.c_str(),
                options.name.c_str());
    return 0;
  });
}
