// probe: how well frozen features tell classes apart, by logistic regression and by their nearest
// neighbours: of any encoder of a checkpoint, of a new one, or of the pixels themselves.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "albef/core/file.hpp"
#include "common/models.hpp"
#include "common/probe_options.hpp"

namespace {

using namespace albef;

struct Arguments : examples::ModelArguments {
  examples::ProbeOptions probe;
  std::string new_model;
  std::uint64_t seed = 42;
  int raw_pixels = 0;
};

int report(const Arguments& args, nlohmann::ordered_json head,
           const nlohmann::ordered_json& found) {
  head.update(found);
  if (!args.output.empty()) write_file(args.output, head.dump(2) + '\n');
  return 0;
}

int run(Arguments& args) {
  require((args.checkpoint.empty() ? 0 : 1) + (args.new_model.empty() ? 0 : 1) +
                  (args.raw_pixels > 0) ==
              1,
          "whose features? Give one of --checkpoint, --new and --raw-pixels");
  const ProbeRequest& request = args.probe.request(args);
  const ProbeSets sets(request);
  if (args.raw_pixels > 0) {
    const auto found = report_probe(sets, request, [&](const LabelledSource& set, BadRecords bad) {
      return pixel_features(set, args.raw_pixels, request.encoding, std::move(bad));
    });
    return report(args, {{"features", "pixels"}, {"side", args.raw_pixels}}, found);
  }
  const auto of_model = [&](auto& session) {
    using Name = ModelName<std::remove_reference_t<decltype(session)>>;
    nlohmann::ordered_json head{{"features", domain_name(request.domain)},
                                {"model", Name::model},
                                {"config", Name::config}};
    if (args.checkpoint.empty())
      head["seed"] = args.seed;
    else
      head["checkpoint"] = args.checkpoint;
    return report(args, head, report_probe(session, sets, request));
  };
  if (!args.checkpoint.empty()) return examples::with_any_model(args, of_model);
  return examples::with_device(args.compute, [&](auto& device) {
    return with_new_session(device, args.new_model, args.config.empty() ? "tiny" : args.config,
                            args.seed, examples::models, examples::configs, of_model);
  });
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "How well frozen features tell classes apart. A linear probe is multinomial logistic "
      "regression on features of mean 0 and deviation 1; knn lets the nearest training examples "
      "vote. What a new encoder (--new) and the pixels themselves (--raw-pixels) give is what a "
      "trained one must beat. Accuracies come with the interval that holds the true one with a "
      "probability of 95 %.",
      "probe"};
  app.footer(
      "Examples:\n"
      "  probe -m run/checkpoint.safetensors --train examples/data/grocery/grocery-train.tar.gz "
      "\\\n"
      "    --test examples/data/grocery/grocery-test.tar.gz --output probe.json --pictures shown\n"
      "  probe --raw-pixels 16 --train flowers/train --test flowers/test");
  Arguments args;
  args.add_to(app, false);
  app.add("--new", args.new_model,
          "probe a new model of --config (tiny) instead: " + model_names(examples::models));
  app.add("--seed", args.seed, "of the values of the new model");
  app.add("--raw-pixels", args.raw_pixels,
          "probe the pixels of the pictures instead, scaled to so many a side", examples::positive);
  args.add_encoding(app);
  args.probe.add_to(app, true);
  args.probe.add_domain(app);
  app.add("--strict", args.strict, "stop at the first record that cannot be used");
  app.add("-o,--output", args.output, "write the results to this JSON file", examples::output_file);
  return app.run(argc, argv, [&] { return run(args); });
}
