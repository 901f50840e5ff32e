// albef_embed: writes the features of pictures and texts as NumPy arrays.
#include <cstdio>
#include <string>
#include <vector>

#include "albef/data/open.hpp"
#include "albef/tasks/features.hpp"
#include "albef/tasks/skipped.hpp"
#include "common/run.hpp"

namespace {

using namespace albef;

struct Arguments : examples::ModelArguments {
  std::string what = "both";
};

int embed(auto& session, const Arguments& args) {
  const SourcePtr source = open_data(args.data, args.image_root);
  const RetrievalSet set = retrieval_set(*source, evaluation_records(args.strict));
  const auto save = [&](const std::string& prefix, const NamedFeatures& features) {
    features.save(prefix);
    std::printf("%s.npy: %zu x %d\n", prefix.c_str(), features.names.size(), features.width);
    std::fputs(Skipped{source->size(), features.skipped}.text().c_str(), stdout);
  };
  if (args.what != "text")
    save(args.output + ".image", named_image_features(session, *source, set, args.encoding));
  if (args.what != "image")
    save(args.output + ".text", named_text_features(session, set, args.encoding));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Writes the normalised features of pictures and captions, whose dot product is their "
      "similarity: PREFIX.image.npy and PREFIX.text.npy, float32 (N, embed_dim), and beside each a "
      ".txt that names its rows (pictures by key, each once; captions as cleaned).",
      "albef_embed"};
  app.footer(
      "Example:\n"
      "  albef_embed -m run/checkpoint.safetensors -d examples/data/emoji/emoji-val.tar -o val\n"
      "  python3 -c 'import numpy as np; print(np.load(\"val.image.npy\") @ "
      "np.load(\"val.text.npy\").T)'");
  Arguments args;
  args.add_to(app);
  args.add_encoding(app);
  args.add_data(app, args.data, args.image_root, examples::data_help);
  app.add("-o,--output", args.output, "prefix of the files written", examples::required);
  app.add("--what", args.what, "image, text or both", examples::one_of({"image", "text", "both"}));
  return app.run(argc, argv, [&] {
    return examples::with_model<Albef>(args, [&](auto& session) { return embed(session, args); });
  });
}
