// albef_retrieval: fine-tunes ALBEF for image-text retrieval (ITC with several captions per
// picture, ITM), evaluates it, and searches data sets with it.
#include <algorithm>
#include <string>

#include "albef/tasks/retrieval.hpp"
#include "common/pair_training.hpp"
#include "common/program.hpp"
#include "common/retrieval_commands.hpp"

namespace {

using namespace albef;

struct TrainArguments : examples::PairTrainArguments {
  std::string val, val_image_root;
  int k = 0;
};

template <class C, class Precision>
int train(TrainArguments args, auto& device) {
  args.complete<C>(examples::pairs_tiny, examples::pairs_paper);
  SourcePtr val;
  RetrievalSet pool;
  if (!args.val.empty()) {
    val = examples::open_source(
        args.val, args.val_image_root.empty() ? args.image_root : args.val_image_root);
    pool = retrieval_set(*val);
    examples::check_pictures(*val);
  }
  const auto validate = [&](auto& model) {
    const auto r = evaluate_retrieval(model, *val, pool, examples::candidates<C>(args.k), 0,
                                      {.batch_size = args.batch_size, .workers = args.workers});
    examples::Validation found{r.itm.mean() / 100, examples::to_json(r.itm)};
    found.results["itc_mean"] = r.itc.mean();
    return found;
  };
  // The official evaluation cuts texts, the training does not (Retrieval.py).
  const int evaluated_length = std::min(30, args.max_text_length);
  return examples::train_pairs<C, Precision>("retrieval", args, device, args.source(),
                                             val != nullptr, evaluated_length, validate);
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Image-text retrieval with ALBEF: fine-tuning of a pre-trained model (or from scratch), "
      "evaluation, search. `albef_retrieval train --help` tells about the first, and so on.",
      "albef_retrieval"};
  app.require_subcommand(1);

  TrainArguments train_args;
  examples::Command train_command = app.add_subcommand(
      "train",
      "Fine-tunes for retrieval. Captions of the same picture (equal image_id or path) are right "
      "answers of each other. Writes to the output folder: checkpoint.safetensors (the last state, "
      "to resume), checkpoint_best.safetensors and results.json (of the best epoch by mean recall "
      "on --val), metrics.jsonl, validation.jsonl, losses.png, summary.json, vocab.txt.");
  train_command.footer(
      "Example:\n"
      "  make_scenes --easy --scenes 2000 --output scenes\n"
      "  albef_retrieval train --init pretrained/checkpoint.safetensors \\\n"
      "    --data scenes/retrieval_train.json --image-root scenes/train.tar \\\n"
      "    --val scenes/retrieval_val.json --val-image-root scenes/val.tar --output retrieval");
  train_args.add_to(train_command);
  train_command
      .add_option("--val", train_args.val,
                  "data set evaluated after each epoch to keep the best weights")
      .group("Validation");
  train_command
      .add_option("--val-image-root", train_args.val_image_root,
                  "where its pictures are; default: --image-root")
      .group("Validation");
  train_command.add_option("-k,--k", train_args.k, examples::candidates_help)
      .positive()
      .group("Validation");

  examples::RecallArguments evaluate_args;
  examples::Command evaluate_command = app.add_subcommand(
      "evaluate", std::string("Evaluates a trained model. ") + examples::evaluate_help);
  evaluate_command.footer(
      "Example:\n"
      "  albef_retrieval evaluate -m retrieval/checkpoint_best.safetensors -d "
      "scenes/retrieval_test.json \\\n"
      "    --image-root scenes/test.tar --output results.json --sheet retrieval.png");
  evaluate_args.add_to(evaluate_command);

  examples::SearchArguments search_args;
  examples::Command predict_command =
      app.add_subcommand("predict", std::string("Searches a data set. ") + examples::search_help);
  predict_command.footer(
      "Examples:\n"
      "  albef_retrieval predict -m retrieval/checkpoint_best.safetensors -d "
      "scenes/retrieval_test.json \\\n"
      "    --image-root scenes/test.tar --text \"a banana to the left of a key\" --sheet "
      "found.png\n"
      "  albef_retrieval predict -m retrieval/checkpoint_best.safetensors -d captions.json --image "
      "cat.jpg");
  search_args.add_to(predict_command);

  return app.run(argc, argv, [&] {
    if (train_command)
      return examples::with_training(train_args, [&]<class C, class P>(auto& device) {
        return train<C, P>(train_args, device);
      });
    if (evaluate_command)
      return examples::with_model(
          evaluate_args, [&](auto& model) { return examples::evaluate(model, evaluate_args); });
    return examples::with_model(search_args,
                                [&](auto& model) { return examples::search(model, search_args); });
  });
}
