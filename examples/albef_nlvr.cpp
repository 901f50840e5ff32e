// albef_nlvr: natural language for visual reasoning (NLVR2). Is a statement true of two pictures?
// Pre-trains the encoder of pairs by text assignment, trains, evaluates and asks the model.
#include "albef/tasks/nlvr.hpp"
#include "albef/tasks/text_assignment.hpp"
#include "common/statement_commands.hpp"

namespace {

using namespace albef;
using Assigning = examples::Run<TaskSettings>;

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
  examples::Command assign_command = app.add_subcommand(
      "assign",
      "pre-train with captions, before `train`: which of two pictures does a caption belong to, or "
      "neither?");
  assigning.no_distill = true;
  add_options(assign_command, assigning, examples::data_help, false);
  examples::StatementCommands<NlvrReasoning> commands(
      app, {"nlvr", "Statements about two pictures", reasoning_format(), reasoning_paper,
            "JSON files: lists of {\"images\": [left, right], \"sentence\", \"label\"}, where the "
            "label is True or False"});

  return app.run(argc, argv, [&] {
    if (!assign_command) return commands.run();
    return examples::with_training(
        assigning, [&]<class C, class P>(auto& device) { return assign<C, P>(assigning, device); });
  });
}
