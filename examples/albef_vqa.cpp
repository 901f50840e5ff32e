// albef_vqa: visual question answering. Trains the model that writes answers, ranks a list of
// answers (or lets it write its own) over a data set, and answers questions about a picture.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "albef/data/vqa.hpp"
#include "albef/train/finetune_task.hpp"
#include "albef/train/task_eval.hpp"
#include "common/program.hpp"
#include "common/task_options.hpp"
#include "common/task_sheet.hpp"
#include "common/training_run.hpp"

namespace {

using namespace albef;
using examples::Json;

const examples::RunDefaults tiny{.epochs = 20,
                                 .batch_size = 64,
                                 .alpha_epochs = 10,
                                 .lr = 3e-4,
                                 .min_lr = 1e-5,
                                 .new_model_lr = 1e-3,
                                 .max_text_length = 25,
                                 .crop_low = 0.9f};
const examples::RunDefaults paper{.epochs = 8, .warmup = 400, .max_text_length = 25};

/// The answers to choose from, and how they are chosen.
struct AnswerArguments {
  std::string list;
  int k = 128;
  bool unlisted = false;

  void add_to(examples::Command& app, const std::string& without, bool scored = true) {
    app.add_option("-a,--answers", list,
                   "answer_list.json, the answers to rank; default: " + without);
    app.add_option("-k,--k", k, "answers of the list that are scored as a whole")
        .positive()
        .capture_default_str();
    if (scored)
      app.add_flag("--allow-unlisted", unlisted,
                   "questions whose right answers are all missing in the list count as wrong "
                   "instead of being an error");
  }
};

struct TrainArguments : examples::TaskArguments {
  AnswerArguments answers;
};
struct EvaluateArguments : examples::EvaluateArguments {
  AnswerArguments answers;
  std::string predictions;
  int beams = 3;
  bool generate = false, official = false;
};
struct PredictArguments : examples::ModelArguments {
  AnswerArguments answers;
  std::string image, output;
  std::vector<std::string> questions;
  int top = 5, beams = 3;
  bool generate = false;
};

/// All answers of a data set, the most frequent first.
AnswerList answers_of(const VqaSet& set) {
  std::map<std::string, int> counts;
  for (std::size_t i = 0; i < set.size(); ++i)
    for (const std::string& answer : set[i].answers) ++counts[answer];
  std::vector<std::string> answers;
  for (const auto& [answer, count] : counts) answers.push_back(answer);
  require(!answers.empty(), set.describe(0), ": field 'answer' is missing, here and everywhere");
  std::stable_sort(answers.begin(), answers.end(),
                   [&](const auto& a, const auto& b) { return counts.at(a) > counts.at(b); });
  return AnswerList(answers, "the training data");
}

/// The list a user names, or the one in a checkpoint.
AnswerList answers_for(const std::string& file, const std::string& checkpoint,
                       const CheckpointInfo& info) {
  if (!file.empty()) return AnswerList(file);
  const auto found = info.find("answers");
  require(found != info.end(), checkpoint,
          ": the checkpoint has no answer list; give one with --answers");
  try {
    return AnswerList(Json::parse(found->second).get<std::vector<std::string>>(), checkpoint);
  } catch (const nlohmann::json::exception& error) {
    fail(checkpoint, ": entry 'answers' is not a list of answers: ", error.what());
  }
}

/// The tokens of the answers; a warning if the model cannot tell some of them apart.
TextBatch encoded(const AnswerList& list, const WordPiece& tokenizer) {
  TextBatch texts = list.encode(tokenizer);
  std::map<std::vector<std::int32_t>, std::size_t> seen;
  std::size_t alike = 0;
  std::string example;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto ids = texts.text(static_cast<int>(i));
    const auto [found, added] = seen.try_emplace({ids.begin(), ids.end()}, i);
    if (!added && alike++ == 0) example = concat("'", list[found->second], "' and '", list[i], "'");
  }
  if (alike > 0)
    std::fprintf(stderr, "%s: the vocabulary makes %zu answers equal to others, e.g. %s\n",
                 list.name().c_str(), alike, example.c_str());
  return texts;
}

/// Error if the answers of a question are all missing in the list.
void check_listed(const VqaSet& set, const AnswerList& list) {
  try {
    set.check_answers(list);
  } catch (const Error& error) {
    fail(error.what(), "; --allow-unlisted counts such questions as wrong");
  }
}

/// What a model says to a question.
struct Said {
  std::string answer;
  double probability = 0;
};

/// Whether a record's answers are known.
bool answered(const VqaRecord& record) { return !record.answers.empty(); }

/// The accuracy of VQA v2, averaged over the choices of nine of ten people: right if four gave the
/// answer, 0.3 for each if fewer did. Answers are compared as they are written, without the
/// official clean-up.
double score(const VqaRecord& record, const std::string& answer) {
  for (std::size_t i = 0; i < record.answers.size(); ++i)
    if (record.answers[i] == answer)
      return std::min(1.0, 3 * static_cast<double>(record.weights[i]));
  return 0;
}

/// The mean score of the questions whose answers are known.
double accuracy(const VqaSet& set, const std::vector<Said>& said) {
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < set.size(); ++i)
    if (answered(set[i])) sum += score(set[i], said[i].answer), ++count;
  return count ? sum / static_cast<double>(count) : 0;
}
std::size_t answered_count(const VqaSet& set) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < set.size(); ++i) count += answered(set[i]);
  return count;
}

/// The best answer of the list to each question of a loader's epoch.
template <class Ctx, class M>
std::vector<Said> ranked(Ctx& ctx, const M& model, VqaLoader& loader, const AnswerList& list,
                         const TextBatch& texts, const RankOptions& options) {
  std::vector<Said> all;
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i)
    for (const auto& answers : rank_answers(ctx, model, loader.next(), texts, options))
      all.push_back(
          {list[static_cast<std::size_t>(answers.front().index)], answers.front().probability});
  return all;
}

template <class C>
GenerateOptions writing_options(const WordPiece& tokenizer, int beams) {
  return {.first_id = tokenizer.cls_id(),
          .last_id = tokenizer.sep_id(),
          .max_length = std::min(10, C::max_position_embeddings - 1),
          .beams = beams};
}
Said said(const WordPiece& tokenizer, const GeneratedText& text) {
  return {tokenizer.decode(text.ids, true), std::exp(text.log_probability)};
}

/// The loader's options for questions to be answered: the official 50 words.
LoaderOptions question_options(LoaderOptions options) {
  options.max_words = 50;
  return options;
}

template <class C, class Precision>
int train(TrainArguments args, auto& device) {
  using Device = std::remove_reference_t<decltype(device)>;
  args.complete<C>(tiny, paper);
  const auto set = std::make_shared<const VqaSet>(args.data, args.annotations(false));
  const AnswerList list =
      args.answers.list.empty() ? answers_of(*set) : AnswerList(args.answers.list);
  std::shared_ptr<const VqaSet> val;
  if (!args.val.empty()) {
    val = std::make_shared<const VqaSet>(args.val, args.annotations(true));
    require(answered_count(*val) > 0, args.val.front(), ": field 'answer' is missing everywhere");
    if (!args.answers.unlisted) check_listed(*val, list);
  }

  std::vector<std::string> texts = list.answers();
  for (std::size_t i = 0; i < set->size(); ++i) try {
      texts.push_back(pre_question((*set)[i].question));
      texts.insert(texts.end(), (*set)[i].answers.begin(), (*set)[i].answers.end());
    } catch (const Error&) {  // the loader will report the record
    }
  const WordPiece tokenizer = args.tokenizer(texts, C::vocab_size);
  const TextBatch answers = encoded(list, tokenizer);
  VqaLoader loader(set, tokenizer, args.transform(C::image_res), args.loader());
  std::unique_ptr<VqaLoader> val_loader;
  if (val) {
    val_loader = std::make_unique<VqaLoader>(
        val, tokenizer, EvalTransform{C::image_res},
        question_options(args.validation_loader(C::max_position_embeddings)), false);
    examples::check_first_batch(*val_loader);
  }

  using Task = VqaTask<C, Device, Precision>;
  Task task(device, args.train.seed, args.distills());
  typename Task::Ctx ctx(device, task.store());  // without dropout
  std::function<examples::Validation()> validate;
  if (val)
    validate = [&] {
      const auto answer =
          ranked(ctx, Task::model, *val_loader, list, answers, {.k = args.answers.k});
      const double share = accuracy(*val, answer);
      return examples::Validation{
          share, {{"accuracy", share}, {"count", answered_count(*val)}, {"answers", list.size()}}};
    };
  return examples::run_training("vqa", args, task, loader, tokenizer,
                                {{"answers", Json(list.answers()).dump()}}, validate);
}

/// Prints accuracies and returns them.
Json report(const std::string& file, const VqaSet& set, const std::vector<Said>& answers,
            const std::string& by) {
  examples::GroupScores groups;
  for (std::size_t i = 0; i < set.size(); ++i)
    if (answered(set[i]))
      for (const auto& field : set[i].fields)
        if (field.name == by)
          for (const auto& value : field.values)
            groups.add(value, score(set[i], answers[i].answer));
  const double share = accuracy(set, answers);
  std::printf("%-22s %8s %7zu questions\n", file.c_str(), examples::percent(share).c_str(),
              answered_count(set));
  groups.print();
  Json json{{"accuracy", share}, {"count", answered_count(set)}};
  if (!groups.empty()) json["groups"] = groups.json();
  return json;
}

void write_sheet(const EvaluateArguments& args, const std::string& file, const VqaSet& set,
                 const std::vector<Said>& answers) {
  std::vector<examples::SheetExample> shown;
  for (std::size_t i = 0; i < set.size(); ++i) {
    QuestionLine line{
        .question = set[i].question, .answer = answers[i].answer, .score = answers[i].probability};
    if (answered(set[i])) {
      line.truth = set[i].answers[static_cast<std::size_t>(
          std::max_element(set[i].weights.begin(), set[i].weights.end()) - set[i].weights.begin())];
      line.mark = score(set[i], line.answer) > 0 ? Mark::right : Mark::wrong;
    }
    shown.push_back({set[i].key, std::move(line)});
  }
  examples::write_task_sheet(
      args.sheet, concat("Questions of ", file), shown, args.sheet_entries, 1,
      [&](std::size_t i, std::size_t, auto& bytes) { set.read_image(i, bytes); });
}

/// A question's id as its file has it: whole numbers are what the evaluation server looks for.
Json id_json(const std::string& id) {
  const bool whole = !id.empty() && id.size() <= 18 &&
                     id.find_first_not_of("0123456789") == std::string::npos &&
                     (id[0] != '0' || id.size() == 1);
  return whole ? Json(std::stoll(id)) : Json(id);
}

template <class Model>
int evaluate(const EvaluateArguments& args, Model& model) {
  using C = typename Model::Config;
  const WordPiece& tokenizer = model.tokenizer();
  std::optional<AnswerList> list;
  TextBatch texts;
  if (!args.generate) {
    list = answers_for(args.answers.list, args.checkpoint, model.report().info);
    texts = encoded(*list, tokenizer);
  }
  Json results = Json::object(), predictions = Json::array();
  for (const std::string& file : args.data) {
    const auto set = std::make_shared<const VqaSet>(file, args.annotations());
    if (list && !args.answers.unlisted) check_listed(*set, *list);
    for (std::size_t i = 0; i < set->size() && !args.predictions.empty(); ++i)
      require(!(*set)[i].question_id.empty(), set->describe(i),
              ": field 'question_id' is missing; --predictions needs it");
    require(answered_count(*set) > 0 || !args.predictions.empty(), file,
            ": field 'answer' is missing everywhere; without answers there is only --predictions");
    VqaLoader loader(set, tokenizer, EvalTransform{C::image_res},
                     question_options(args.loader(C::max_position_embeddings)), false);
    std::vector<Said> answers;
    if (list) {
      answers = ranked(model.context(), Model::model, loader, *list, texts,
                       {.k = args.answers.k, .count_first_word_twice = args.official});
    } else {
      const auto options = writing_options<C>(tokenizer, args.beams);
      for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i)
        for (const auto& text :
             albef::generate(model.context(), Model::model, loader.next(), options))
          answers.push_back(said(tokenizer, text));
    }
    if (answered_count(*set) > 0) {
      if (!args.sheet.empty() && results.empty()) write_sheet(args, file, *set, answers);
      results[file] = report(file, *set, answers, args.by);
    }
    for (std::size_t i = 0; i < set->size(); ++i)
      predictions.push_back(
          {{"question_id", id_json((*set)[i].question_id)}, {"answer", answers[i].answer}});
  }
  if (!args.predictions.empty()) write_file(args.predictions, predictions.dump() + '\n');
  if (!args.output.empty()) write_file(args.output, results.dump(2) + '\n');
  return 0;
}

template <class Model>
int predict(const PredictArguments& args, Model& model) {
  using C = typename Model::Config;
  const WordPiece& tokenizer = model.tokenizer();
  std::vector<std::string> questions;
  for (const std::string& question : args.questions) {
    questions.push_back(pre_question(question, 50));
    require(says_something(questions.back()), "--question '", question, "' has no words");
  }
  VqaBatch batch;
  examples::fill_batch(batch, {args.image}, questions, C::image_res, tokenizer,
                       C::max_position_embeddings);
  std::vector<std::vector<Said>> answers;
  if (args.generate) {
    for (const auto& text : albef::generate(model.context(), Model::model, batch,
                                            writing_options<C>(tokenizer, args.beams)))
      answers.push_back({said(tokenizer, text)});
  } else {
    const AnswerList list = answers_for(args.answers.list, args.checkpoint, model.report().info);
    for (const auto& ranking : rank_answers(model.context(), Model::model, batch,
                                            encoded(list, tokenizer), {.k = args.answers.k})) {
      auto& best = answers.emplace_back();
      for (const RankedAnswer& answer : ranking)
        if (static_cast<int>(best.size()) < args.top)
          best.push_back({list[static_cast<std::size_t>(answer.index)], answer.probability});
    }
  }

  std::vector<QuestionLine> lines;
  for (std::size_t q = 0; q < answers.size(); ++q) {
    std::printf("%s\n", args.questions[q].c_str());
    for (const Said& s : answers[q]) std::printf("  %-20s %.3f\n", s.answer.c_str(), s.probability);
    lines.push_back({.question = args.questions[q],
                     .answer = answers[q].front().answer,
                     .score = answers[q].front().probability});
  }
  if (!args.output.empty())
    examples::write_answer_sheet(args.output, "Visual question answering", {args.image}, lines);
  return 0;
}

const char* const data_help =
    "JSON files: lists of {\"image\", \"question\", \"answer\"} with one answer or those of "
    "several "
    "people, and optionally \"question_id\" and \"dataset\" (vqa or vg)";

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{"Visual question answering: answers questions about pictures in words",
                        "albef_vqa"};
  app.require_subcommand(1).fallthrough();
  app.footer(
      "Examples:\n"
      "  albef_vqa train --init pretrained/checkpoint.safetensors --data vqa_train.json \\\n"
      "    --val vqa_val.json --answers answer_list.json --image-root images --output vqa\n"
      "  albef_vqa evaluate -m vqa/checkpoint_best.safetensors --data vqa_test.json \\\n"
      "    --image-root images --output results.json --sheet sheet.png\n"
      "  albef_vqa predict -m vqa/checkpoint_best.safetensors --image cat.jpg \\\n"
      "    --question 'what color is the cat?' 'how many cats are there?'");

  TrainArguments training;
  examples::Command train_command = app.add_subcommand("train", examples::training_help);
  training.add_to(train_command, {.data = data_help});
  training.answers.add_to(train_command, "all answers of the training data");

  EvaluateArguments evaluation;
  examples::Command evaluate_command =
      app.add_subcommand("evaluate", "accuracy of a trained model, also by the type of question");
  evaluation.add_to(evaluate_command, data_help);
  evaluation.answers.add_to(evaluate_command, "those the checkpoint was trained with");
  evaluate_command.add_flag("--generate", evaluation.generate,
                            "let the model write its answers instead of ranking the list");
  evaluate_command.add_option("--beams", evaluation.beams, "of the search with --generate")
      .range(1, 64)
      .capture_default_str();
  evaluate_command.add_flag("--official-ranking", evaluation.official,
                            "count the first word of an answer twice, as the official code does");
  evaluate_command
      .add_option("--predictions", evaluation.predictions,
                  "write [{\"question_id\", \"answer\"}] to this JSON file, for the evaluation "
                  "server")
      .output_file();

  PredictArguments question;
  examples::Command predict_command =
      app.add_subcommand("predict", "answers questions about a picture");
  question.ModelArguments::add_to(predict_command);
  predict_command.add_option("-i,--image", question.image, "picture file (PNG or JPEG)").required();
  predict_command.add_option("-q,--question", question.questions, "one or several").required();
  question.answers.add_to(predict_command, "those the checkpoint was trained with", false);
  predict_command.add_option("--top", question.top, "answers to print")
      .positive()
      .capture_default_str();
  predict_command.add_flag("--generate", question.generate, "let the model write an answer");
  predict_command.add_option("--beams", question.beams, "of the search with --generate")
      .range(1, 64)
      .capture_default_str();
  predict_command
      .add_option("-o,--output", question.output,
                  "write picture, questions and answers to this PNG")
      .output_file();

  return app.run(argc, argv, [&] {
    if (train_command)
      return examples::with_training(
          training, [&]<class C, class P>(auto& device) { return train<C, P>(training, device); });
    if (evaluate_command)
      return examples::with_model<AlbefVqa>(
          evaluation, [&](auto& model) { return evaluate(evaluation, model); });
    return examples::with_model<AlbefVqa>(question,
                                          [&](auto& model) { return predict(question, model); });
  });
}
