// flava_evaluate: what a FLAVA has learned, side by side with other models: zero-shot retrieval, a
// linear probe and nearest neighbours, as a table, as JSON and as pictures.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "albef/core/file.hpp"
#include "albef/viz/model_comparison.hpp"
#include "common/models.hpp"
#include "common/probe_options.hpp"

namespace {

using namespace albef;

struct Arguments : examples::ModelArguments {
  std::vector<std::string> checkpoints;
  examples::ProbeOptions probe;
  ComparisonRequest request;
};

int compare(Arguments& args) {
  args.request.probe = args.probe.request(args);
  args.request.pictures = args.probe.pictures;
  const bool probes = !args.probe.train.empty();
  require(probes == !args.probe.test.empty(), "a probe needs both --train and --test");
  require(probes || !args.request.retrieval.empty(),
          "nothing to measure: give --data, or --train and --test");
  const auto models = named_paths(args.checkpoints);
  return examples::with_device(args.compute, [&](auto& device) {
    auto results = nlohmann::ordered_json::object();
    for (const auto& [name, path] : models)
      with_any_session(
          device, path, args.config, args.session, examples::models, examples::configs,
          [&, &of = name, &from = path](auto& session) {
            using Name = ModelName<std::remove_reference_t<decltype(session)>>;
            std::printf("%s (%s, %s)\n", of.c_str(), Name::model, Name::config);
            results[of] = {{"model", Name::model}, {"config", Name::config}, {"checkpoint", from}};
            results[of].update(measure_model(session, args.request, of));
            return 0;
          });
    std::printf("\n%s", comparison_table(results).c_str());
    if (!args.output.empty()) write_file(args.output, results.dump(2) + '\n');
    return 0;
  });
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Measures what a FLAVA has learned, and whatever other models are given beside it, all "
      "alike. "
      "Zero-shot retrieval ranks the texts of each data set for its pictures (TR) and the reverse "
      "(IR) by the similarity of features; a probe tells the classes of labelled pictures apart by "
      "frozen features of the image encoder: by logistic regression (linear) and by the vote of "
      "the nearest training examples (knn).",
      "flava_evaluate"};
  app.footer(
      "Examples:\n"
      "  flava_evaluate -m run/checkpoint.safetensors \\\n"
      "    --data comp=examples/data/emoji/emoji-test_comp.tar --output results.json\n"
      "  flava_evaluate -m flava=flava/checkpoint.safetensors clip=clip/checkpoint.safetensors \\\n"
      "    albef=albef/checkpoint.safetensors --train examples/data/grocery/grocery-train.tar.gz "
      "\\\n"
      "    --test examples/data/grocery/grocery-test.tar.gz --pictures shown");
  Arguments args;
  app.add("-m,--checkpoint", args.checkpoints,
          "checkpoints of " + model_names(examples::models) + ": PATH or NAME=PATH",
          examples::required);
  app.add("--momentum", args.session.momentum, "use the momentum models' weights");
  app.add("-d,--data", args.request.retrieval,
          std::string("what is searched, each set on its own: PATH or NAME=PATH. ") +
              examples::data_help);
  app.add("--data-root", args.request.image_root,
          "where the pictures of .json files of --data are");
  args.probe.add_to(app, false);
  args.add_encoding(app);
  app.add("--strict", args.strict, "stop at the first record that cannot be used");
  app.add("-o,--output", args.output, "write the results to this JSON file", examples::output_file);
  args.compute.add_to(app);
  return app.run(argc, argv, [&] { return compare(args); });
}
