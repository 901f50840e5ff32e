// albef_search: finds the pictures that fit a sentence, and the sentences that fit a picture.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include "common/load_model.hpp"
#include "common/open_data.hpp"
#include "common/program.hpp"
#include "common/retrieval_sheet.hpp"

namespace {

using namespace albef;

struct Arguments : examples::ModelArguments {
  std::vector<std::string> data, texts, images;
  std::string image_root, sheet;
  int top = 5, k = 32;
};

/// The sentences asked for; "-" stands for the lines of the standard input.
std::vector<std::string> read_sentences(const std::vector<std::string>& arguments) {
  std::vector<std::string> out;
  for (const std::string& argument : arguments) {
    if (argument != "-") out.push_back(clean_caption(argument));
    if (argument == "-")
      for (std::string line; std::getline(std::cin, line);)
        if (!line.empty()) out.push_back(clean_caption(line));
  }
  return out;
}

/// The pictures asked for, as a data set without captions.
MemorySource read_pictures(const std::vector<std::string>& paths) {
  MemorySource source;
  for (const std::string& path : paths) {
    const std::string bytes = read_file(path);
    source.add({.key = path}, {bytes.begin(), bytes.end()});
  }
  return source;
}

void print_answers(const std::string& query, std::vector<Answer>& answers, int top,
                   const auto& name_of) {
  answers.resize(std::min(answers.size(), static_cast<std::size_t>(top)));
  std::printf("%s\n", query.c_str());
  for (std::size_t i = 0; i < answers.size(); ++i)
    std::printf("  %zu. match %6.2f  similarity %5.2f  %s\n", i + 1,
                static_cast<double>(answers[i].score), static_cast<double>(answers[i].similarity),
                name_of(answers[i].index).c_str());
}

template <class Model>
int search(Model& model, const Arguments& args) {
  const std::vector<std::string> texts = read_sentences(args.texts);
  const MemorySource pictures = read_pictures(args.images);
  RetrievalSet wanted;  // the pictures asked for
  wanted.images.resize(pictures.size());
  std::iota(wanted.images.begin(), wanted.images.end(), 0u);
  require(!texts.empty() || !wanted.images.empty(),
          "nothing to search for: give --text or --image");

  // The pool: pictures for sentences and texts for pictures, where asked for; then the queries.
  const SourcePtr source = examples::open_data(args.data, args.image_root);
  const RetrievalSet set = retrieval_set(*source);
  auto pool = retrieval_pool(model);
  if (!texts.empty()) add_images(model, pool, *source, set.images, args.encoding);
  if (!wanted.images.empty()) add_texts(model, pool, set.texts, args.encoding);
  const int images = pool.images(), captions = pool.texts();
  if (!wanted.images.empty()) add_images(model, pool, pictures, wanted.images, args.encoding);
  if (!texts.empty()) add_texts(model, pool, texts, args.encoding);

  examples::PoolItems items(*source, set), queries(pictures, wanted);
  SheetSection by_text{"Text to image"}, by_image{"Image to text"};
  const int k = std::max(args.k, args.top);
  for (int q = 0; q < pool.texts() - captions; ++q) {
    const std::string& text = texts[static_cast<std::size_t>(q)];
    auto answers = search_images(pool, captions + q, images, k);
    print_answers(text, answers, args.top, [&](int i) {
      return concat(source->record(set.images[static_cast<std::size_t>(i)]).key, "  ",
                    items.image(i).text);
    });
    by_text.queries.push_back(items.pictures_for({.text = text}, answers));
  }
  for (int q = 0; q < pool.images() - images; ++q) {
    auto answers = search_texts(pool, images + q, captions, k);
    print_answers(args.images[static_cast<std::size_t>(q)], answers, args.top,
                  [&](int t) { return items.text(t).text; });
    by_image.queries.push_back(items.texts_for(queries.image(q), answers));
  }

  if (args.sheet.empty()) return 0;
  std::vector<SheetSection> sections;
  if (!by_text.queries.empty()) sections.push_back(std::move(by_text));
  if (!by_image.queries.empty()) sections.push_back(std::move(by_image));
  write_contact_sheet(args.sheet, sections);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Searches a data set with sentences and pictures: a sentence finds its best pictures, a "
      "picture (PNG or JPEG) its best sentences. The -k most similar candidates by features are "
      "ordered by how well the matching head finds that picture and text fit.",
      "albef_search"};
  app.footer(
      "Examples:\n"
      "  albef_search -m run/checkpoint.safetensors -d examples/data/emoji/emoji-test_comp.tar \\\n"
      "    --text \"woman farmer medium skin tone\" --sheet found.png\n"
      "  albef_search -m run/checkpoint.safetensors -d captions.json --image cat.jpg\n"
      "  cat sentences.txt | albef_search -m run/checkpoint.safetensors -d captions.json --text -");
  Arguments args;
  args.add_to(app);
  app.add_option("-d,--data", args.data, examples::data_help)->required();
  app.add_option("--image-root", args.image_root, examples::image_root_help);
  app.add_option("-t,--text", args.texts, "sentences; - reads them from the standard input");
  app.add_option("-i,--image", args.images, "picture files");
  app.add_option("--top", args.top, "answers shown per query")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app.add_option("-k,--k", args.k, "candidates that the matching head orders")
      ->capture_default_str();
  app.add_option("--sheet", args.sheet, "write queries and answers to this PNG");
  return examples::run_program(app, argc, argv, [&] {
    return examples::with_model(args, [&](auto& model) { return search(model, args); });
  });
}
