// albef_ve: visual entailment (SNLI-VE). Does a picture entail a hypothesis, contradict it, or
// neither? Trains, evaluates and asks the model.
#include "albef/tasks/statement_settings.hpp"
#include "albef/tasks/ve.hpp"
#include "albef/viz/statement_sheet.hpp"
#include "common/run.hpp"

namespace {

using namespace albef;
using Entailing = examples::Run<StatementSettings>;

template <class C, class Precision>
int train(Entailing run, auto& device) {
  run.complete<C>(statements_tiny, entailment_paper);
  const auto set = run.statements(entailment_format());
  const auto val = run.validation_statements(entailment_format());
  const WordPiece tokenizer = run.tokenizer(clean_sentences(*set), C::vocab_size);
  StatementLoader loader(set, tokenizer, run.transform(C::image_res), run.loader());
  const VisualEntailment<C> objective{run.distills()};
  if (!val) return train_with_curves<Precision>("ve", run, device, objective, loader, tokenizer);
  const LoaderOptions whole = run.validation_loader();
  check_records(statement_loader(val, tokenizer, C::image_res, C::max_position_embeddings, whole));
  const auto validate = [&](auto& s) { return validate_statements(s, val, whole); };
  return train_with_curves<Precision>("ve", run, device, objective, loader, tokenizer, {},
                                      validate);
}

template <class S>
int evaluate(const examples::ModelArguments& args, S& session) {
  const auto results = report_statements(session, args.data, entailment_format(),
                                         annotation_options(args.image_root), args.loader(),
                                         args.by, "Visual entailment", args.sheet, args.shown);
  if (!args.output.empty()) write_file(args.output, results.dump(2) + '\n');
  return 0;
}

template <class S>
int predict(const examples::ModelArguments& args, S& session) {
  const auto said = judge_statements(session, args.images, args.texts, entailment_format());
  print_answers(stdout, args.texts, said);
  if (!args.output.empty())
    write_answer_sheet(args.output, "Visual entailment", args.images, args.texts, said);
  return 0;
}

const char* const data_help =
    "JSON files: lists of {\"image\", \"sentence\", \"label\"}, where the label is contradiction, "
    "neutral or entailment";

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Visual entailment: does a picture entail a hypothesis, contradict it, or neither?",
      "albef_ve"};
  app.footer(
      "Examples:\n"
      "  albef_ve train --init pretrained/checkpoint.safetensors --data ve_train.json \\\n"
      "    --val ve_dev.json --image-root images --output ve\n"
      "  albef_ve evaluate -m ve/checkpoint_best.safetensors --data ve_test.json \\\n"
      "    --image-root images --output results.json --sheet sheet.png\n"
      "  albef_ve predict -m ve/checkpoint_best.safetensors --image cat.jpg \\\n"
      "    --text 'there is a cat' 'there is no animal'");

  Entailing run;
  examples::ModelArguments test;
  examples::ModelArguments ask;
  examples::Command training = app.add_subcommand("train", examples::training_help);
  add_options(training, run, data_help);
  examples::Command evaluating =
      app.add_subcommand("evaluate", "accuracy, by label, of a trained model");
  test.add_evaluation(evaluating, data_help);
  examples::Command asking =
      app.add_subcommand("predict", "what the model says about pictures of yours");
  ask.add_prediction(asking, 1, "-t,--text", "statements");

  return app.run(argc, argv, [&] {
    if (training)
      return examples::with_training(
          run, [&]<class C, class P>(auto& device) { return train<C, P>(run, device); });
    if (evaluating)
      return examples::with_model<AlbefVe>(test, [&](auto& s) { return evaluate(test, s); });
    return examples::with_model<AlbefVe>(ask, [&](auto& s) { return predict(ask, s); });
  });
}
