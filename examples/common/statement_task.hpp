// The programs of visual entailment and of reasoning about pairs of pictures: training, evaluating
// and asking a classifier of statements.
#pragma once

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/data/statements.hpp"
#include "albef/train/finetune_task.hpp"
#include "albef/train/task_eval.hpp"
#include "common/task_options.hpp"
#include "common/task_sheet.hpp"
#include "common/training_run.hpp"

namespace examples {

/// What sets one task of this kind apart.
struct StatementTask {
  std::string name, title;
  std::string data_help;  // what --data is
  albef::StatementFormat format;
  RunDefaults paper;
  RunDefaults tiny{.epochs = 20,
                   .batch_size = 64,
                   .alpha_epochs = 10,
                   .lr = 2e-4,
                   .min_lr = 1e-5,
                   .new_model_lr = 1e-3,
                   .crop_low = 0.9f};
};

using StatementSetPtr = std::shared_ptr<const albef::StatementSet>;

/// The cleaned sentences of a set, without those the loader will report.
inline std::vector<std::string> sentences(const albef::StatementSet& set) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < set.size(); ++i) try {
      if (set[i].error.empty()) texts.push_back(albef::clean_caption(set[i].sentence));
    } catch (const albef::Error&) {}
  return texts;
}

/// Probabilities of the classes for every record of a set, (records, classes).
template <class Ctx, class M>
std::vector<double> statement_probabilities(Ctx& ctx, const M& model,
                                            albef::StatementLoader& loader) {
  std::vector<double> all;
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    const auto p = albef::class_probabilities(ctx, model, loader.next());
    all.insert(all.end(), p.begin(), p.end());
  }
  return all;
}

/// How good predictions for a set are.
struct StatementResults {
  albef::ConfusionMatrix matrix;
  GroupScores groups;             // by the values of a field of the annotations
  std::vector<int> predictions;   // (records)
  std::vector<double> certainty;  // (records) the probability of the prediction

  StatementResults(const albef::StatementSet& set, const std::vector<double>& probabilities,
                   const std::string& by = "")
      : matrix(static_cast<int>(set.format().labels.size())) {
    const std::size_t n = set.format().labels.size();
    for (std::size_t i = 0; i < set.size(); ++i) {
      const auto row = std::span(probabilities).subspan(i * n, n);
      predictions.push_back(albef::largest(row, 1)[0]);
      certainty.push_back(row[static_cast<std::size_t>(predictions.back())]);
      matrix.add(set[i].label, predictions.back());
      for (const auto& field : set[i].fields)
        if (field.name == by)
          for (const auto& value : field.values)
            groups.add(value, predictions.back() == set[i].label ? 1 : 0);
    }
  }

  Json json(const albef::StatementFormat& format) const {
    Json classes = Json::object();
    for (int c = 0; c < matrix.classes(); ++c) {
      Json predicted = Json::object();
      for (int p = 0; p < matrix.classes(); ++p) predicted[label(format, p)] = matrix.count(c, p);
      classes[label(format, c)] = {
          {"count", count(c)}, {"accuracy", accuracy(c)}, {"predicted", predicted}};
    }
    Json json{{"accuracy", matrix.accuracy()}, {"count", matrix.total()}, {"classes", classes}};
    if (!groups.empty()) json["groups"] = groups.json();
    return json;
  }

  void print(const std::string& name, const albef::StatementFormat& format) const {
    std::printf("%-22s %8s %7lld statements\n", name.c_str(), percent(matrix.accuracy()).c_str(),
                static_cast<long long>(matrix.total()));
    std::printf("  %-20s %8s %7s   predicted:", "label", "accuracy", "count");
    for (int p = 0; p < matrix.classes(); ++p) std::printf(" %13s", label(format, p).c_str());
    std::printf("\n");
    for (int c = 0; c < matrix.classes(); ++c) {
      std::printf("  %-20s %8s %7lld             ", label(format, c).c_str(),
                  percent(accuracy(c)).c_str(), static_cast<long long>(count(c)));
      for (int p = 0; p < matrix.classes(); ++p)
        std::printf(" %13lld", static_cast<long long>(matrix.count(c, p)));
      std::printf("\n");
    }
    groups.print();
  }

 private:
  static const std::string& label(const albef::StatementFormat& format, int i) {
    return format.labels[static_cast<std::size_t>(i)];
  }
  std::int64_t count(int c) const {
    std::int64_t sum = 0;
    for (int p = 0; p < matrix.classes(); ++p) sum += matrix.count(c, p);
    return sum;
  }
  double accuracy(int c) const {
    return count(c) ? static_cast<double>(matrix.count(c, c)) / static_cast<double>(count(c)) : 0;
  }
};

template <template <class> class Model, class C, class Precision>
int train_statements(const StatementTask& task, TaskArguments args, auto& device) {
  using namespace albef;
  using Device = std::remove_reference_t<decltype(device)>;
  constexpr int positions = C::max_position_embeddings;
  args.complete<C>(task.tiny, task.paper);
  const auto open = [&](const std::vector<std::string>& files, bool strict) {
    return std::make_shared<const StatementSet>(files, task.format, args.annotations(strict));
  };
  const StatementSetPtr set = open(args.data, false);
  const StatementSetPtr val = args.val.empty() ? nullptr : open(args.val, true);
  const WordPiece tokenizer = args.tokenizer(sentences(*set), C::vocab_size);
  StatementLoader loader(set, tokenizer, args.transform(C::image_res), args.loader());
  std::unique_ptr<StatementLoader> val_loader;
  if (val) {
    val_loader = std::make_unique<StatementLoader>(val, tokenizer, EvalTransform{C::image_res},
                                                   args.validation_loader(positions));
    check_first_batch(*val_loader);
  }

  using Task = ClassifierTask<Model<C>, Device, Precision>;
  Task trained(device, args.train.seed, args.distills());
  typename Task::Ctx ctx(device, trained.store());  // without dropout
  std::function<Validation()> validate;
  if (val)
    validate = [&] {
      const StatementResults r(*val, statement_probabilities(ctx, Task::model, *val_loader));
      return Validation{r.matrix.accuracy(), r.json(task.format)};
    };
  return run_training(task.name, args, trained, loader, tokenizer, {}, validate);
}

template <class M>
int evaluate_statements(const StatementTask& task, const EvaluateArguments& args, M& model) {
  using namespace albef;
  using C = typename M::Config;
  Json results;
  for (const std::string& file : args.data) {
    const auto set = std::make_shared<const StatementSet>(file, task.format, args.annotations());
    StatementLoader loader(set, model.tokenizer(), EvalTransform{C::image_res},
                           args.loader(C::max_position_embeddings));
    const StatementResults r(*set, statement_probabilities(model.context(), M::model, loader),
                             args.by);
    r.print(file, task.format);
    if (!args.sheet.empty() && results.empty()) {
      std::vector<SheetExample> examples;
      for (std::size_t i = 0; i < set->size(); ++i) {
        const StatementRecord& record = (*set)[i];
        const auto said = static_cast<std::size_t>(r.predictions[i]);
        const auto truth = static_cast<std::size_t>(record.label);
        examples.push_back({record.key,
                            {.question = record.sentence,
                             .answer = task.format.labels[said],
                             .truth = task.format.labels[truth],
                             .score = r.certainty[i],
                             .mark = said == truth ? Mark::right : Mark::wrong}});
      }
      write_task_sheet(
          args.sheet, concat(task.title, ": ", percent(r.matrix.accuracy()), " of ", file),
          examples, args.sheet_entries, task.format.pictures,
          [&](std::size_t i, std::size_t p, auto& bytes) { set->read_image(i, p, bytes); });
    }
    results[file] = r.json(task.format);
  }
  if (!args.output.empty()) write_file(args.output, results.dump(2) + '\n');
  return 0;
}

/// The options of `predict`.
struct StatementQuestion : ModelArguments {
  std::vector<std::string> images, statements;
  std::string output;
};

template <class M>
int predict_statements(const StatementTask& task, const StatementQuestion& args, M& model) {
  using namespace albef;
  using C = typename M::Config;
  std::vector<std::string> texts;
  for (const std::string& statement : args.statements) {
    texts.push_back(pre_caption(statement));
    require(says_something(texts.back()), "--text '", statement, "' has no words");
  }
  ClassBatch batch;
  fill_batch(batch, args.images, texts, C::image_res, model.tokenizer(),
             C::max_position_embeddings);

  const auto p = class_probabilities(model.context(), M::model, batch);
  const auto& labels = task.format.labels;
  std::vector<QuestionLine> lines;
  for (std::size_t i = 0; i < args.statements.size(); ++i) {
    const auto row = std::span(p).subspan(i * labels.size(), labels.size());
    std::printf("%s\n", args.statements[i].c_str());
    for (const int c : albef::largest(row, static_cast<int>(row.size()))) {
      const auto at = static_cast<std::size_t>(c);
      std::printf("  %-14s %.3f\n", labels[at].c_str(), row[at]);
    }
    const auto best = static_cast<std::size_t>(albef::largest(row, 1)[0]);
    lines.push_back({.question = args.statements[i], .answer = labels[best], .score = row[best]});
  }
  if (!args.output.empty()) write_answer_sheet(args.output, task.title, args.images, lines);
  return 0;
}

/// The commands `train`, `evaluate` and `predict` of a program for the task.
class StatementCommands {
 public:
  StatementCommands(Command& app, const StatementTask& task)
      : task_(task),
        train_(app.add_subcommand("train", training_help)),
        evaluate_(app.add_subcommand("evaluate", "accuracy, by label, of a trained model")),
        predict_(app.add_subcommand("predict", "what the model says about pictures of yours")) {
    training_.add_to(train_, {.data = task.data_help});
    evaluation_.add_to(evaluate_, task.data_help);
    question_.add_to(predict_);
    const int pictures = task.format.pictures;
    predict_
        .add_option(pictures == 1 ? "-i,--image" : "-i,--images", question_.images,
                    pictures == 1 ? "picture file (PNG or JPEG)" : "picture files (PNG or JPEG)")
        .required()
        .expected(pictures);
    predict_.add_option("-t,--text", question_.statements, "statements").required();
    predict_.add_option("-o,--output", question_.output, "write pictures and verdicts to this PNG")
        .output_file();
  }

  /// Does what was asked for.
  template <template <class> class Model>
  int run() {
    if (train_)
      return with_training(training_, [&]<class C, class P>(auto& device) {
        return train_statements<Model, C, P>(task_, training_, device);
      });
    if (evaluate_)
      return with_model<Model>(
          evaluation_, [&](auto& model) { return evaluate_statements(task_, evaluation_, model); });
    return with_model<Model>(
        question_, [&](auto& model) { return predict_statements(task_, question_, model); });
  }

 private:
  const StatementTask& task_;
  TaskArguments training_;
  EvaluateArguments evaluation_;
  StatementQuestion question_;
  Command train_, evaluate_, predict_;
};

}  // namespace examples
