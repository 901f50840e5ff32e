// albef_eval: image-text retrieval of a trained model, by similarity alone (ITC) and re-ranked by
// the matching head (ITM). Prints a table; writes the numbers as JSON and examples as a picture.
#include "common/retrieval_commands.hpp"

int main(int argc, char** argv) {
  examples::Program app{std::string("Evaluates image-text retrieval. ") + examples::evaluate_help,
                        "albef_eval"};
  app.footer(
      "Example:\n"
      "  albef_eval --checkpoint run/checkpoint.safetensors --output results.json \\\n"
      "    --data test_comp=examples/data/emoji/emoji-test_comp.tar --sheet retrieval.png");
  examples::RecallCommand command(app);
  return app.run(argc, argv, [&] { return command.run(); });
}
