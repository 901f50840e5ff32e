// albef_retrieval: fine-tunes ALBEF for image-text retrieval (ITC with several captions per
// picture, ITM), evaluates it, and searches data sets with it.
#include <algorithm>
#include <string>

#include "common/retrieval_commands.hpp"

namespace {

using namespace albef;

using Finetuning = examples::Run<RetrievalSettings>;

template <class C, class Precision>
int train(Finetuning run, auto& device) {
  run.complete<C>(pairs_tiny, pairs_paper);
  const SourcePtr source = run.source(), val = run.validation_source();
  RetrievalSet pool;
  if (val) pool = retrieval_set(*val, run.validation_records()), check_pictures(*val, pool);
  const WordPiece tokenizer = run.tokenizer(clean_captions(*source), C::vocab_size);
  Loader loader = run.loader(source, tokenizer, C::image_res);
  const RetrievalTraining<C> objective{run.queue_size, run.objective_options()};
  // The official evaluation cuts texts, the training does not (Retrieval.py).
  const int length = std::min(30, run.max_text_length);
  const auto train = [&](auto&& validate) {
    return train_with_curves<Precision>("retrieval", run, device, objective, loader, tokenizer,
                                        {{"max_text_length", concat(length)}}, validate, length);
  };
  if (!val) return train(nullptr);
  return train([&](auto& session) {
    return validate_retrieval(session, *val, pool, candidates<C>(run.k),
                              {.batch_size = run.batch_size, .workers = run.workers});
  });
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Image-text retrieval with ALBEF: fine-tuning of a pre-trained model (or from scratch), "
      "evaluation, search. `albef_retrieval train --help` tells about the first, and so on.",
      "albef_retrieval"};

  Finetuning train_args;
  examples::Command train_command = app.add_subcommand(
      "train",
      "Fine-tunes for retrieval. Captions of the same picture (equal image_id or path) are right "
      "answers of each other. Writes to the output folder: checkpoint.safetensors (the last state, "
      "to resume), checkpoint_best.safetensors and results.json (of the best epoch by mean recall "
      "on --val), metrics.jsonl, losses.png, summary.json, vocab.txt.");
  train_command.footer(
      "Example:\n"
      "  make_scenes --easy --scenes 2000 --output scenes\n"
      "  albef_retrieval train --init pretrained/checkpoint.safetensors \\\n"
      "    --data scenes/retrieval_train.json --image-root scenes/train.tar \\\n"
      "    --val scenes/retrieval_val.json --val-image-root scenes/val.tar --output retrieval");
  add_options(train_command, train_args, examples::data_help);
  train_command.group("Validation")
      .add("-k,--k", train_args.k, examples::candidates_help, examples::positive);

  examples::Command evaluate_command = app.add_subcommand(
      "evaluate", std::string("Evaluates a trained model. ") + examples::evaluate_help);
  evaluate_command.footer(
      "Example:\n"
      "  albef_retrieval evaluate -m retrieval/checkpoint_best.safetensors -d "
      "scenes/retrieval_test.json \\\n"
      "    --image-root scenes/test.tar --output results.json --sheet retrieval.png");
  examples::RecallCommand evaluate(evaluate_command);

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
  examples::SearchCommand predict(predict_command);

  return app.run(argc, argv, [&] {
    if (train_command)
      return examples::with_training(train_args, [&]<class C, class P>(auto& device) {
        return train<C, P>(train_args, device);
      });
    return evaluate_command ? evaluate.run() : predict.run();
  });
}
