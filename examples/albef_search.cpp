// albef_search: finds the pictures that fit a sentence, and the sentences that fit a picture.
#include "common/retrieval_commands.hpp"

int main(int argc, char** argv) {
  examples::Program app{
      std::string("Searches a data set with sentences and pictures. ") + examples::search_help,
      "albef_search"};
  app.footer(
      "Examples:\n"
      "  albef_search -m run/checkpoint.safetensors -d examples/data/emoji/emoji-test_comp.tar \\\n"
      "    --text \"woman farmer medium skin tone\" --sheet found.png\n"
      "  albef_search -m run/checkpoint.safetensors -d captions.json --image cat.jpg\n"
      "  cat sentences.txt | albef_search -m run/checkpoint.safetensors -d captions.json --text -");
  examples::SearchCommand command(app);
  return app.run(argc, argv, [&] { return command.run(); });
}
