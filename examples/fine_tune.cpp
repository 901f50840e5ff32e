// fine_tune: trains an encoder with a head to tell classes of pictures, of texts, or of pictures
// with texts apart; evaluates it and asks it.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "albef/core/file.hpp"
#include "albef/tasks/fine_tune.hpp"
#include "albef/tasks/fine_tune_settings.hpp"
#include "common/models.hpp"
#include "common/probe_options.hpp"

namespace {

using namespace albef;

constexpr int capacity = 1024;  // classes that a head has room for

template <template <class> class M, Domain D>
struct Tuned {
  template <class C>
  using Model = FineTuned<M<C>, D, capacity>;
};

/// Returns f.operator()<M, D>() for the model of a checkpoint, or without one that called `name`,
/// and the domain that has an encoder there.
template <class F>
int with_encoder(const std::string& checkpoint, const std::string& name, Domain domain, F&& f) {
  const auto of_model = [&]<template <class> class M>() {
    const auto in = [&]<Domain D>() {
      if constexpr (encodes<M<Tiny>>(D)) return f.template operator()<M, D>();
      fail("the model ", model_kind<M>.name, " has no ", domain_name(D), " encoder");
      return 1;
    };
    if (domain == Domain::image) return in.template operator()<Domain::image>();
    if (domain == Domain::text) return in.template operator()<Domain::text>();
    return in.template operator()<Domain::multimodal>();
  };
  return checkpoint.empty() ? with_model_called(name, examples::models, of_model)
                            : with_model_of(checkpoint, examples::models, of_model);
}

template <class M, Domain D, class Precision>
int train(examples::Run<FineTuneSettings> run, auto& device) {
  using C = typename M::Config;
  run.complete<C>(fine_tune_tiny, fine_tune_paper);
  const LabelledPtr set = run.labelled();
  const auto& classes = set->classes();
  require(classes.size() > 1 && classes.size() <= capacity, "the data have ", classes.size(),
          " classes, expected 2 to ", capacity);
  const LabelledPtr val = run.validation_labelled(classes);
  constexpr LabelledParts parts = parts_of(D);
  const WordPiece tokenizer = run.caption_tokenizer(*set, C::vocab_size);
  LabelledLoader loader(set, parts, &tokenizer, run.transform(C::image_res), run.loader());
  const auto validation_loader = [&] {
    return LabelledLoader(val, parts, &tokenizer, EvalTransform{C::image_res},
                          whole_set_options(run.validation_loader(), C::max_position_embeddings));
  };
  const FineTuning<M, D, capacity> objective{static_cast<int>(classes.size())};
  const CheckpointInfo info = class_info(classes, D);
  if (!val)
    return train_with_curves<Precision>("fine-tuning", run, device, objective, loader, tokenizer,
                                        info);
  check_records(validation_loader());
  const auto validate = [&](auto& session) {
    auto whole = validation_loader();
    const ClassificationScore score = evaluate_fine_tuned(session, *val, whole);
    return Validation{score.accuracy(), score.json()};
  };
  return train_with_curves<Precision>("fine-tuning", run, device, objective, loader, tokenizer,
                                      info, validate);
}

/// Returns f(session, classes, domain) for a checkpoint of a fine-tuned model.
template <class F>
int with_fine_tuned(const examples::ModelArguments& args, F&& f) {
  const CheckpointInfo info = checkpoint_info(args.checkpoint);
  const auto classes = classes_of(args.checkpoint, info);
  const Domain domain = domain_called(info_entry(args.checkpoint, info, "domain"));
  return with_encoder(args.checkpoint, "", domain, [&]<template <class> class M, Domain D>() {
    return examples::with_model<Tuned<M, D>::template Model>(
        args, [&](auto& session) { return f(session, classes, domain); });
  });
}

struct Evaluation : examples::ModelArguments {
  std::string field = LabelledOptions{}.field;

  int run() {
    return with_fine_tuned(*this, [&](auto& tuned, const auto& classes, Domain domain) {
      using C = typename std::remove_reference_t<decltype(tuned)>::Config;
      const LabelledPtr set =
          open_labelled(data, {.classes = classes, .field = field, .image_root = image_root});
      LabelledLoader loader(set, parts_of(domain), &tuned.tokenizer(), EvalTransform{C::image_res},
                            whole_set_options(this->loader(), C::max_position_embeddings));
      const ClassificationScore score = evaluate_fine_tuned(tuned, *set, loader);
      std::printf("%s\n%s", score.text().c_str(), score.skipped.text().c_str());
      if (!output.empty()) write_file(output, score.json().dump(2) + '\n');
      return 0;
    });
  }
};

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Trains an encoder with a head (Linear, ReLU, dropout, Linear upon the class token) to tell "
      "classes apart: of pictures, of texts, or of pictures with texts.",
      "fine_tune"};
  app.footer(
      "Examples:\n"
      "  fine_tune train --init run/checkpoint.safetensors --data flowers/train --val flowers/val "
      "\\\n"
      "    --output flowers-run\n"
      "  fine_tune train --init run/checkpoint.safetensors --encoder multimodal --data "
      "memes.jsonl\n"
      "  fine_tune evaluate -m flowers-run/checkpoint_best.safetensors --data flowers/test\n"
      "  fine_tune predict -m flowers-run/checkpoint_best.safetensors --image rose.jpg");
  examples::Run<FineTuneSettings> run;
  Evaluation test;
  examples::ModelArguments ask;
  auto training = app.add_subcommand("train", examples::training_help);
  auto evaluating = app.add_subcommand("evaluate", "accuracy, class by class, of a trained model");
  auto asking = app.add_subcommand("predict", "what the model says of pictures and texts of yours");
  add_options(training, run, examples::labelled_help);
  training.add("--encoder", run.encoder, "what the head stands on: image, text or multimodal",
               examples::one_of({"image", "text", "multimodal"}));
  training.add("--model", run.model,
               "which model a new one is (without --init): " + model_names(examples::models));
  training.add("--classes", run.class_names, examples::classes_help);
  training.add("--label-field", run.field, examples::label_field_help);
  test.add_to(evaluating);
  test.add_encoding(evaluating, false);
  test.add_data(evaluating, test.data, test.image_root, examples::labelled_help);
  evaluating.add("--label-field", test.field, examples::label_field_help);
  evaluating.add("-o,--output", test.output, "write the results to this JSON file",
                 examples::output_file);
  ask.add_to(asking);
  asking.add("-i,--image", ask.images, "picture files");
  asking.add("-t,--text", ask.texts, "texts; of pictures with texts one picture may do for all");
  return app.run(argc, argv, [&] {
    if (training)
      return with_encoder(
          run.start(), run.model, run.domain(), [&]<template <class> class M, Domain D>() {
            return examples::with_training(run, [&]<class C, class P>(auto& device) {
              return train<M<C>, D, P>(run, device);
            });
          });
    if (evaluating) return test.run();
    return with_fine_tuned(ask, [&](auto& session, const auto& classes, Domain domain) {
      print_answers(stdout, domain == Domain::image ? ask.images : ask.texts,
                    classify_given(session, ask.images, ask.texts, classes, domain));
      return 0;
    });
  });
}
