// albef_nlvr: natural language for visual reasoning (NLVR2). Is a statement true of two pictures?
// Pre-trains the encoder of pairs by text assignment, trains, evaluates and asks the model.
#include "albef/tasks/nlvr.hpp"
#include "albef/tasks/statement_settings.hpp"
#include "albef/tasks/text_assignment.hpp"
#include "albef/viz/statement_sheet.hpp"
#include "common/run.hpp"

namespace {

using namespace albef;
using Assigning = examples::Run<TaskSettings>;
using Reasoning = examples::Run<StatementSettings>;

/// Learns which of two pictures a caption belongs to, if any.
template <class C, class Precision>
int assign(Assigning run, auto& device) {
  run.complete<C>(assignment_tiny, assignment_paper);
  const SourcePtr source = open_data(run.data, run.image_root);
  const WordPiece tokenizer = run.tokenizer(clean_captions(*source), C::vocab_size);
  Loader loader(source, tokenizer, run.transform(C::image_res), run.loader());
  return train_with_curves<Precision>("text assignment", run, device, TextAssignmentTraining<C>{},
                                      loader, tokenizer);
}

template <class C, class Precision>
int train(Reasoning run, auto& device) {
  run.complete<C>(statements_tiny, reasoning_paper);
  const auto set = run.statements(reasoning_format());
  const auto val = run.validation_statements(reasoning_format());
  const WordPiece tokenizer = run.tokenizer(clean_sentences(*set), C::vocab_size);
  StatementLoader loader(set, tokenizer, run.transform(C::image_res), run.loader());
  const NlvrReasoning<C> objective{run.distills()};
  if (!val) return train_with_curves<Precision>("nlvr", run, device, objective, loader, tokenizer);
  const LoaderOptions whole = run.validation_loader();
  check_records(statement_loader(val, tokenizer, C::image_res, C::max_position_embeddings, whole));
  const auto validate = [&](auto& s) { return validate_statements(s, val, whole); };
  return train_with_curves<Precision>("nlvr", run, device, objective, loader, tokenizer, {},
                                      validate);
}

template <class S>
int evaluate(const examples::ModelArguments& args, S& session) {
  const auto results = report_statements(
      session, args.data, reasoning_format(), annotation_options(args.image_root), args.loader(),
      args.by, "Statements about two pictures", args.sheet, args.shown);
  if (!args.output.empty()) write_file(args.output, results.dump(2) + '\n');
  return 0;
}

template <class S>
int predict(const examples::ModelArguments& args, S& session) {
  const auto said = judge_statements(session, args.images, args.texts, reasoning_format());
  print_answers(stdout, args.texts, said);
  if (!args.output.empty())
    write_answer_sheet(args.output, "Statements about two pictures", args.images, args.texts, said);
  return 0;
}

const char* const data_help =
    "JSON files: lists of {\"images\": [left, right], \"sentence\", \"label\"}, where the label is "
    "True or False";

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{"Reasoning about pairs of pictures: is a statement true of them?",
                        "albef_nlvr"};
  app.footer(
      "Examples:\n"
      "  albef_nlvr assign --init pretrained/checkpoint.safetensors --data captions.json \\\n"
      "    --image-root images --output assigned\n"
      "  albef_nlvr train --init assigned/checkpoint.safetensors --data nlvr_train.json \\\n"
      "    --val nlvr_dev.json --image-root images --output nlvr\n"
      "  albef_nlvr evaluate -m nlvr/checkpoint_best.safetensors --data nlvr_test.json \\\n"
      "    --image-root images --output results.json --sheet sheet.png\n"
      "  albef_nlvr predict -m nlvr/checkpoint_best.safetensors --images left.jpg right.jpg \\\n"
      "    --text 'both images contain a cat'");

  Assigning assigning;
  Reasoning run;
  examples::ModelArguments test;
  examples::ModelArguments ask;
  examples::Command assign_command = app.add_subcommand(
      "assign",
      "pre-train with captions, before `train`: which of two pictures does a caption belong to, or "
      "neither?");
  assigning.no_distill = true;
  add_options(assign_command, assigning, examples::data_help, false);
  examples::Command training = app.add_subcommand("train", examples::training_help);
  add_options(training, run, data_help);
  examples::Command evaluating =
      app.add_subcommand("evaluate", "accuracy, by label, of a trained model");
  test.add_evaluation(evaluating, data_help);
  examples::Command asking =
      app.add_subcommand("predict", "what the model says about pictures of yours");
  ask.add_prediction(asking, 2, "-t,--text", "statements");

  return app.run(argc, argv, [&] {
    if (assign_command)
      return examples::with_training(assigning, [&]<class C, class P>(auto& device) {
        return assign<C, P>(assigning, device);
      });
    if (training)
      return examples::with_training(
          run, [&]<class C, class P>(auto& device) { return train<C, P>(run, device); });
    if (evaluating)
      return examples::with_model<AlbefNlvr>(test, [&](auto& s) { return evaluate(test, s); });
    return examples::with_model<AlbefNlvr>(ask, [&](auto& s) { return predict(ask, s); });
  });
}
