// albef_ve: visual entailment (SNLI-VE). Does a picture entail a hypothesis, contradict it, or
// neither? Trains, evaluates and asks the model.
#include "common/program.hpp"
#include "common/statement_task.hpp"

namespace {

const examples::StatementTask task{.name = "ve",
                                   .title = "Visual entailment",
                                   .format = albef::entailment_format(),
                                   .tiny = {.epochs = 20,
                                            .batch_size = 64,
                                            .alpha_epochs = 10,
                                            .lr = 2e-4,
                                            .min_lr = 1e-5,
                                            .new_model_lr = 1e-3},
                                   .paper = {.epochs = 5, .alpha_epochs = 0}};

const char* const data_help =
    "JSON files: lists of {\"image\", \"sentence\", \"label\"}, where the label is contradiction, "
    "neutral or entailment";

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Visual entailment: does a picture entail a hypothesis, contradict it, or neither?",
      "albef_ve"};
  app.require_subcommand(1).fallthrough();
  app.footer(
      "Examples:\n"
      "  albef_ve train --init pretrained/checkpoint.safetensors --data ve_train.json \\\n"
      "    --val ve_dev.json --image-root images --output ve\n"
      "  albef_ve evaluate -m ve/checkpoint_best.safetensors --data ve_test.json \\\n"
      "    --image-root images --output results.json --sheet sheet.png\n"
      "  albef_ve predict -m ve/checkpoint_best.safetensors --image cat.jpg \\\n"
      "    --text 'there is a cat' 'there is no animal'");

  examples::TaskArguments training;
  examples::Command train = app.add_subcommand(
      "train",
      "fine-tune; the output folder gets checkpoint.safetensors (to resume), "
      "checkpoint_best.safetensors and results.json (of the best epoch on --val), metrics.jsonl, "
      "validation.jsonl, losses.png, summary.json, vocab.txt");
  training.add_to(train, data_help);

  examples::EvaluateArguments evaluation;
  examples::Command evaluate =
      app.add_subcommand("evaluate", "accuracy, by label, of a trained model");
  evaluation.add_to(evaluate, data_help);

  examples::StatementQuestion question;
  examples::Command predict = app.add_subcommand("predict", "what the model says about a picture");
  question.add_to(predict);
  predict.add_option("-i,--image", question.images, "picture file (PNG or JPEG)")
      .required()
      .expected(1);
  predict.add_option("-t,--text", question.statements, "hypotheses").required();
  predict.add_option("-o,--output", question.output, "write picture and verdicts to this PNG");

  return app.run(argc, argv, [&] {
    if (train)
      return examples::with_training(training, [&]<class C, class P>(auto& device) {
        return examples::train_statements<albef::AlbefVe, C, P>(task, training, device);
      });
    if (evaluate)
      return examples::with_model<albef::AlbefVe>(evaluation, [&](auto& model) {
        return examples::evaluate_statements(task, evaluation, model);
      });
    return examples::with_model<albef::AlbefVe>(
        question, [&](auto& model) { return examples::predict_statements(task, question, model); });
  });
}
