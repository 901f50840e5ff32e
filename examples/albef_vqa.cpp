// albef_vqa: visual question answering. Trains the model that writes answers, ranks a list of
// answers (or lets it write its own) over a data set, and answers questions about a picture.
#include "albef/tasks/vqa_settings.hpp"
#include "albef/viz/vqa_sheet.hpp"
#include "common/run.hpp"

namespace {

using namespace albef;
using Json = nlohmann::ordered_json;
using Answered = examples::Run<VqaSettings>;

struct Evaluation : examples::ModelArguments {
  AnswerSettings answers;
  std::string predictions;
};
struct Question : examples::ModelArguments {
  AnswerSettings answers;
  int top = 5;
};

template <class C, class Precision>
int train(Answered run, auto& device) {
  run.complete<C>(vqa_tiny, vqa_paper);
  const auto set = run.questions();
  const AnswerList list = run.answer_list(*set);
  const auto val = run.validation_questions(list);
  const WordPiece words = run.question_tokenizer(*set, list, C::vocab_size);
  VqaLoader loader(set, words, run.transform(C::image_res), run.loader());
  const VqaTraining<C> objective{run.distills()};
  const auto info = answer_info(list);
  if (!val) return train_with_curves<Precision>("vqa", run, device, objective, loader, words, info);
  const LoaderOptions whole = run.validation_loader();
  check_records(question_loader(val, words, C::image_res, C::max_position_embeddings, whole));
  return train_with_curves<Precision>(
      "vqa", run, device, objective, loader, words, info,
      [&](auto& s) { return validate_vqa(s, val, list, run.answers.k, whole); });
}

template <class S>
int evaluate(const Evaluation& args, S& session) {
  const bool predicts = !args.predictions.empty();
  const auto list = args.answers.list(session, args.checkpoint);
  Json results = Json::object(), predictions = Json::array();
  for (const std::string& file : args.data) {
    const auto set = std::make_shared<const VqaSet>(file, annotation_options(args.image_root));
    if (list) args.answers.check(*set, *list);
    if (predicts) check_question_ids(*set);
    require(answered_questions(*set) > 0 || predicts, file,
            ": field 'answer' is missing everywhere; without answers there is only --predictions");
    const VqaResults r =
        evaluate_vqa(session, set, args.answers.answering(list), args.by, args.loader());
    if (r.count > 0) {
      r.print(stdout, file);
      if (!args.sheet.empty() && results.empty())
        write_vqa_sheet(args.sheet, "Questions of " + file, *set, r, args.shown);
      results[file] = r.json();
    }
    if (predicts) vqa_predictions(*set, r.answers, predictions);
  }
  if (predicts) write_file(args.predictions, predictions.dump() + '\n');
  if (!args.output.empty()) write_file(args.output, results.dump(2) + '\n');
  return 0;
}

template <class S>
int predict(const Question& args, S& session) {
  const auto list = args.answers.list(session, args.checkpoint);
  const auto said = answer_questions(session, args.images.front(), args.texts,
                                     args.answers.answering(list), args.top);
  print_answers(stdout, args.texts, said);
  if (!args.output.empty())
    write_answer_sheet(args.output, "Visual question answering", args.images, args.texts, said);
  return 0;
}

const char* const data_help =
    "JSON files: lists of {\"image\", \"question\", \"answer\"} with one answer or those of "
    "several people, and optionally \"question_id\" and \"dataset\" (vqa or vg)";

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{"Visual question answering: answers questions about pictures in words",
                        "albef_vqa"};
  app.footer(
      "Examples:\n"
      "  albef_vqa train --init pretrained/checkpoint.safetensors --data vqa_train.json \\\n"
      "    --val vqa_val.json --answers answer_list.json --image-root images --output vqa\n"
      "  albef_vqa evaluate -m vqa/checkpoint_best.safetensors --data vqa_test.json \\\n"
      "    --image-root images --output results.json --sheet sheet.png\n"
      "  albef_vqa predict -m vqa/checkpoint_best.safetensors --image cat.jpg \\\n"
      "    --question 'what color is the cat?' 'how many cats are there?'");

  Answered run;
  Evaluation test;
  Question ask;
  examples::Command training = app.add_subcommand("train", examples::training_help);
  add_options(training, run, data_help);
  examples::add_options(training, run.answers, examples::Use::train);
  examples::Command evaluating =
      app.add_subcommand("evaluate", "accuracy of a trained model, also by the type of question");
  test.add_evaluation(evaluating, data_help);
  examples::add_options(evaluating, test.answers, examples::Use::evaluate);
  const char* const server = "JSON file for the evaluation server: [{\"question_id\", \"answer\"}]";
  evaluating.add("--predictions", test.predictions, server, examples::output_file);
  examples::Command asking = app.add_subcommand("predict", "answers questions about a picture");
  ask.add_prediction(asking, 1, "-q,--question", "one or several");
  examples::add_options(asking, ask.answers, examples::Use::predict);
  asking.add("--top", ask.top, "answers to print", examples::positive);

  return app.run(argc, argv, [&] {
    if (training)
      return examples::with_training(
          run, [&]<class C, class P>(auto& device) { return train<C, P>(run, device); });
    if (evaluating)
      return examples::with_model<AlbefVqa>(test, [&](auto& s) { return evaluate(test, s); });
    return examples::with_model<AlbefVqa>(ask, [&](auto& s) { return predict(ask, s); });
  });
}
