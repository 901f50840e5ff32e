// albef_embed: writes the features of pictures and texts as NumPy arrays.
#include <cstdio>
#include <string>
#include <vector>

#include "albef/checkpoint/npy.hpp"
#include "common/load_model.hpp"
#include "common/open_data.hpp"
#include "common/program.hpp"

namespace {

using namespace albef;

struct Arguments : examples::ModelArguments {
  std::vector<std::string> data;
  std::string image_root, output, what = "both";
};

/// Writes PREFIX.npy, float32 of shape (names, width), and PREFIX.txt with a name per row.
void write_features(const std::string& prefix, const std::vector<float>& features, int width,
                    const std::vector<std::string>& names) {
  std::string lines;
  for (const std::string& name : names) lines += name + '\n';
  write_npy<float>(prefix + ".npy", features, {static_cast<std::int64_t>(names.size()), width});
  write_file(prefix + ".txt", lines);
  std::printf("%s.npy: %zu x %d\n", prefix.c_str(), names.size(), width);
}

template <class Model>
int embed(Model& model, const Arguments& args) {
  constexpr int width = Model::Config::embed_dim;
  const SourcePtr source = examples::open_data(args.data, args.image_root);
  const RetrievalSet set = retrieval_set(*source);
  if (args.what != "text") {
    std::vector<std::string> keys;
    for (const auto record : set.images) keys.push_back(source->record(record).key);
    write_features(args.output + ".image",
                   image_features(model, *source, set.images, args.encoding), width, keys);
  }
  if (args.what != "image")
    write_features(args.output + ".text", text_features(model, set.texts, args.encoding), width,
                   set.texts);
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
  args.add_encoding_options(app);
  app.add_option("-d,--data", args.data, examples::data_help).required();
  app.add_option("--image-root", args.image_root, examples::image_root_help);
  app.add_option("-o,--output", args.output, "prefix of the files written").required();
  app.add_option("--what", args.what, "image, text or both")
      .one_of({"image", "text", "both"})
      .capture_default_str();
  return app.run(argc, argv, [&] {
    return examples::with_model(args, [&](auto& model) { return embed(model, args); });
  });
}
