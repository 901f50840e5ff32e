// The commands of tasks on statements about pictures: training, evaluation, a user's pictures.
#pragma once

#include <string>
#include <vector>

#include "albef/tasks/statement_settings.hpp"
#include "albef/viz/statement_sheet.hpp"
#include "common/run.hpp"

namespace examples {

struct StatementTask {
  const char *name, *title;  ///< in checkpoints, on sheets
  albef::StatementFormat format;
  albef::Recipe paper;
  const char* data_help;
};

/// Objective<C> is a Classification in the configuration C.
template <template <class> class Objective>
class StatementCommands {
 public:
  StatementCommands(Command& app, StatementTask task)
      : task_(std::move(task)),
        training_(app.add_subcommand("train", training_help)),
        evaluating_(app.add_subcommand("evaluate", "accuracy, by label, of a trained model")),
        asking_(app.add_subcommand("predict", "what the model says about pictures of yours")) {
    add_options(training_, run_, task_.data_help);
    test_.add_evaluation(evaluating_, task_.data_help);
    ask_.add_prediction(asking_, task_.format.pictures, "-t,--text", "statements");
  }

  /// Runs the command that was asked for.
  int run() {
    if (training_)
      return with_training(
          run_, [&]<class C, class P>(auto& device) { return train<C, P>(run_, device); });
    if (evaluating_) return with_model<Model>(test_, [&](auto& s) { return evaluate(s); });
    return with_model<Model>(ask_, [&](auto& s) { return predict(s); });
  }

 private:
  template <class C>
  using Model = typename Objective<C>::Model;
  using Settings = Run<albef::StatementSettings>;

  template <class C, class Precision>
  int train(Settings run, auto& device) const {
    using namespace albef;
    run.complete<C>(statements_tiny, task_.paper);
    const auto set = run.statements(task_.format), val = run.validation_statements(task_.format);
    const WordPiece tokenizer = run.tokenizer(clean_sentences(*set), C::vocab_size);
    StatementLoader loader(set, tokenizer, run.transform(C::image_res), run.loader());
    const Objective<C> objective{run.distills()};
    if (!val)
      return train_with_curves<Precision>(task_.name, run, device, objective, loader, tokenizer);
    const LoaderOptions whole = run.validation_loader();
    check_records(
        statement_loader(val, tokenizer, C::image_res, C::max_position_embeddings, whole));
    const auto validate = [&](auto& s) { return validate_statements(s, val, whole); };
    return train_with_curves<Precision>(task_.name, run, device, objective, loader, tokenizer, {},
                                        validate);
  }

  int evaluate(auto& session) const {
    const auto results = report_statements(
        session, test_.data, task_.format, albef::annotation_options(test_.image_root),
        test_.loader(), test_.by, task_.title, test_.sheet, test_.shown);
    if (!test_.output.empty()) albef::write_file(test_.output, results.dump(2) + '\n');
    return 0;
  }

  int predict(auto& session) const {
    const auto said = judge_statements(session, ask_.images, ask_.texts, task_.format);
    albef::print_answers(stdout, ask_.texts, said);
    if (!ask_.output.empty())
      albef::write_answer_sheet(ask_.output, task_.title, ask_.images, ask_.texts, said);
    return 0;
  }

  StatementTask task_;
  Settings run_;
  ModelArguments test_, ask_;
  Command training_, evaluating_, asking_;
};

}  // namespace examples
