// albef_eval: image-text retrieval of a trained model, by similarity alone (ITC) and re-ranked by
// the matching head (ITM). Prints a table; writes the numbers as JSON and examples as a picture.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/load_model.hpp"
#include "common/open_data.hpp"
#include "common/program.hpp"
#include "common/retrieval_sheet.hpp"

namespace {

using namespace albef;
using Json = nlohmann::ordered_json;

struct Arguments : examples::ModelArguments {
  std::vector<std::string> data;
  std::string image_root, output, summary, sheet;
  int k = 32, sheet_rows = 4;
  double similarity_weight = 0;
};

/// Splits `NAME=PATH`; without a name it is the file's, up to its extension.
std::pair<std::string, std::string> named(const std::string& argument) {
  const auto at = argument.find('=');
  if (at != std::string::npos) return {argument.substr(0, at), argument.substr(at + 1)};
  return {std::filesystem::path(argument).stem().string(), argument};
}

Json to_json(const Recall& r) {
  return {{"tr1", r.tr1}, {"tr5", r.tr5}, {"tr10", r.tr10},
          {"ir1", r.ir1}, {"ir5", r.ir5}, {"ir10", r.ir10}};
}

void print_table_row(const std::string& name, const RetrievalResult& r) {
  for (const bool itm : {false, true}) {
    const Recall& a = itm ? r.itm : r.itc;
    std::printf("%-16s %6d  %-4s %6.1f %6.1f %6.1f   %6.1f %6.1f %6.1f", itm ? "" : name.c_str(),
                r.images, itm ? "ITM" : "ITC", a.tr1, a.tr5, a.tr10, a.ir1, a.ir5, a.ir10);
    if (itm) std::printf("  %6.1f s", r.seconds);
    std::printf("\n");
  }
  std::fflush(stdout);
}

/// Some queries of each direction, spread evenly over the pool, with their five best answers.
void write_sheet(const Arguments& args, const std::string& name, const Source& source,
                 const RetrievalSet& set, const RetrievalResult& r) {
  examples::PoolItems items(source, set);
  SheetSection by_text{"Text to image"}, by_image{"Image to text"};
  const auto best = [](const std::vector<float>& scores, int query, int pool) {
    const auto n = static_cast<std::size_t>(pool);
    return best_answers(std::span(scores).subspan(static_cast<std::size_t>(query) * n, n), 5);
  };
  const int rows = std::min({args.sheet_rows, r.texts, r.images});
  const auto query = [&](int place, int pool) {
    return static_cast<int>(std::int64_t{pool} * place / (2 * rows));
  };
  for (int row = 0; row < rows; ++row) {
    const int text = query(2 * row, r.texts), image = query(2 * row + 1, r.images);
    by_text.queries.push_back(
        items.pictures_for(items.text(text), best(r.itm_t2i, text, r.images), text));
    by_image.queries.push_back(
        items.texts_for(items.image(image), best(r.itm_i2t, image, r.texts), image));
  }
  const SheetSection sections[] = {std::move(by_text), std::move(by_image)};
  write_contact_sheet(args.sheet, sections,
                      {.title = concat("Retrieval among ", r.images, " pictures of ", name)});
}

/// The top-level members of a JSON file, e.g. the summary.json of a training run.
Json read_summary(const std::string& path) {
  try {
    Json summary = Json::parse(read_file(path));
    require(summary.is_object(), path, ": expected a JSON object");
    return summary;
  } catch (const nlohmann::json::exception& error) { fail(path, ": ", error.what()); }
}

template <class Model>
int evaluate(Model& model, const Arguments& args) {
  const Json summary = args.summary.empty() ? Json::object() : read_summary(args.summary);
  Json results;
  std::printf("%-16s %6s  %-4s %6s %6s %6s   %6s %6s %6s\n", "data set", "pool", "by", "TR@1",
              "TR@5", "TR@10", "IR@1", "IR@5", "IR@10");
  for (const std::string& argument : args.data) {
    const auto [name, path] = named(argument);
    const SourcePtr source = examples::open_source(path, args.image_root);
    const RetrievalSet set = retrieval_set(*source);
    const auto r =
        evaluate_retrieval(model, *source, set, args.k, args.similarity_weight, args.encoding);
    print_table_row(name, r);
    if (!args.sheet.empty() && results.empty()) write_sheet(args, name, *source, set, r);
    results[name] = {{"pool", r.images},
                     {"texts", r.texts},
                     {"k", r.k},
                     {"similarity_weight", args.similarity_weight},
                     {"itc", to_json(r.itc)},
                     {"itm", to_json(r.itm)},
                     {"seconds", r.seconds}};
  }
  results.update(summary);
  if (!args.output.empty()) write_file(args.output, results.dump(2) + '\n');
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Evaluates image-text retrieval. For every picture the texts of the data set are ranked (TR) "
      "and for every text its pictures (IR); R@k is the share of queries with a right answer among "
      "the first k, in percent. ITC ranks by the similarity of features; ITM re-ranks the most "
      "similar candidates by looking at picture and text together.",
      "albef_eval"};
  app.footer(
      "Example:\n"
      "  albef_eval --checkpoint run/checkpoint.safetensors --output results.json \\\n"
      "    --data test_comp=examples/data/emoji/emoji-test_comp.tar --sheet retrieval.png");
  Arguments args;
  args.add_to(app);
  app.add_option("-d,--data", args.data,
                 "data sets, each evaluated on its own: PATH or NAME=PATH. " +
                     std::string(examples::data_help))
      ->required();
  app.add_option("--image-root", args.image_root, examples::image_root_help);
  app.add_option("-k,--k", args.k,
                 "candidates of each query that ITM re-ranks (the paper: 128 or 256)")
      ->capture_default_str();
  app.add_option("--similarity-weight", args.similarity_weight,
                 "add this multiple of the similarity to the matching score (ALBEF: 0, BLIP: 1; 1 "
                 "over the temperature weighs both as log-probabilities)")
      ->capture_default_str();
  app.add_option("-o,--output", args.output, "write the results to this JSON file");
  app.add_option("--summary", args.summary,
                 "JSON file whose members are added to the results (a run's summary.json)");
  app.add_option("--sheet", args.sheet,
                 "write a PNG with queries of the first data set and their five best answers");
  app.add_option("--sheet-rows", args.sheet_rows, "queries per direction on the sheet")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  return examples::run_program(app, argc, argv, [&] {
    return examples::with_model(args, [&](auto& model) { return evaluate(model, args); });
  });
}
