// albef_ve: visual entailment (SNLI-VE). Does a picture entail a hypothesis, contradict it, or
// neither? Trains, evaluates and asks the model.
#include "albef/tasks/ve.hpp"
#include "common/statement_commands.hpp"

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
  examples::StatementCommands<albef::VisualEntailment> commands(
      app, {"ve", "Visual entailment", albef::entailment_format(), albef::entailment_paper,
            "JSON files: lists of {\"image\", \"sentence\", \"label\"}, where the label is "
            "contradiction, neutral or entailment"});
  return app.run(argc, argv, [&] { return commands.run(); });
}
