#include "common/retrieval_commands.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <numeric>
#include <span>

#include "albef/core/file.hpp"

namespace examples {

using namespace albef;
using Json = nlohmann::ordered_json;

void RecallArguments::add_to(Command& app) {
  ModelArguments::add_to(app);
  add_encoding_options(app);
  app.add_option(
         "-d,--data", data,
         "data sets, each evaluated on its own: PATH or NAME=PATH. " + std::string(data_help))
      .required();
  app.add_option("--image-root", image_root, image_root_help);
  app.add_option("-k,--k", k, candidates_help).positive();
  app.add_option("--similarity-weight", similarity_weight,
                 "add this multiple of the similarity to the matching score (ALBEF: 0, BLIP: 1; 1 "
                 "over the temperature weighs both as log-probabilities)")
      .capture_default_str();
  app.add_option("-o,--output", output, "write the results to this JSON file").output_file();
  app.add_option("--summary", summary,
                 "JSON file whose members are added to the results (a run's summary.json)");
  app.add_option("--sheet", sheet,
                 "write a PNG with queries of the first data set and their five best answers")
      .output_file();
  app.add_option("--sheet-rows", sheet_rows, "queries per direction on the sheet")
      .range(1, 100)
      .capture_default_str();
}

void SearchArguments::add_to(Command& app) {
  ModelArguments::add_to(app);
  add_encoding_options(app);
  app.add_option("-d,--data", data, data_help).required();
  app.add_option("--image-root", image_root, image_root_help);
  app.add_option("-t,--text", texts, "sentences; - reads them from the standard input");
  app.add_option("-i,--image", images, "picture files");
  app.add_option("--top", top, "answers shown per query").range(1, 100).capture_default_str();
  app.add_option("-k,--k", k, "candidates that the matching head orders, at least --top")
      .positive()
      .capture_default_str();
  app.add_option("--sheet", sheet, "write queries and answers to this PNG").output_file();
}

Json to_json(const Recall& r) {
  return {{"tr1", r.tr1}, {"tr5", r.tr5}, {"tr10", r.tr10},
          {"ir1", r.ir1}, {"ir5", r.ir5}, {"ir10", r.ir10}};
}

namespace {

void print_table_head() {
  std::printf("%-16s %6s  %-4s %6s %6s %6s   %6s %6s %6s\n", "data set", "pool", "by", "TR@1",
              "TR@5", "TR@10", "IR@1", "IR@5", "IR@10");
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

void write_sheet(const RecallArguments& args, const std::string& name, const Source& source,
                 const RetrievalSet& set, const RetrievalResult& r) {
  PoolItems items(source, set);
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

Json read_summary(const RecallArguments& args) {
  if (args.summary.empty()) return Json::object();
  try {
    Json summary = Json::parse(read_file(args.summary));
    require(summary.is_object(), args.summary, ": expected a JSON object");
    return summary;
  } catch (const nlohmann::json::exception& error) { fail(args.summary, ": ", error.what()); }
}

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

MemorySource read_pictures(const std::vector<std::string>& paths) {
  MemorySource source;
  for (const std::string& path : paths) {
    const std::string bytes = read_file(path);
    source.add({.key = path}, {bytes.begin(), bytes.end()});
  }
  return source;
}

void print_answers(const std::string& query, const std::vector<Answer>& answers,
                   const std::vector<std::string>& names) {
  std::printf("%s\n", query.c_str());
  for (std::size_t i = 0; i < answers.size(); ++i)
    std::printf("  %zu. match %6.2f  similarity %5.2f  %s\n", i + 1,
                static_cast<double>(answers[i].score), static_cast<double>(answers[i].similarity),
                names[i].c_str());
}

}  // namespace

std::pair<std::string, std::string> named(const std::string& argument) {
  const auto at = argument.find('=');
  if (at != std::string::npos) return {argument.substr(0, at), argument.substr(at + 1)};
  return {std::filesystem::path(argument).stem().string(), argument};
}

RecallReport::RecallReport(const RecallArguments& args)
    : args_(args), summary_(read_summary(args)) {
  print_table_head();
}

void RecallReport::add(const std::string& name, const Source& source, const RetrievalSet& set,
                       const RetrievalResult& result) {
  require(!results_.contains(name), "--data: two data sets are called '", name,
          "'; name them: NAME=PATH");
  print_table_row(name, result);
  if (!args_.sheet.empty() && results_.empty()) write_sheet(args_, name, source, set, result);
  results_[name] = {{"pool", result.images},
                    {"texts", result.texts},
                    {"k", result.k},
                    {"similarity_weight", args_.similarity_weight},
                    {"itc", to_json(result.itc)},
                    {"itm", to_json(result.itm)},
                    {"seconds", result.seconds}};
}

void RecallReport::write() const {
  if (args_.output.empty()) return;
  Json results = results_;
  results.update(summary_);
  write_file(args_.output, results.dump(2) + '\n');
}

SearchQueries::SearchQueries(const SearchArguments& args)
    : texts(read_sentences(args.texts)), pictures(read_pictures(args.images)) {
  wanted.images.resize(pictures.size());
  std::iota(wanted.images.begin(), wanted.images.end(), 0u);
  require(!texts.empty() || !wanted.images.empty(),
          "nothing to search for: give --text or --image");
  source = open_data(args.data, args.image_root);
  set = retrieval_set(*source);
}

SearchReport::SearchReport(const SearchArguments& args, const SearchQueries& queries)
    : args_(args),
      queries_(queries),
      items_(*queries.source, queries.set),
      pictures_(queries.pictures, queries.wanted) {}

void SearchReport::add_text(std::size_t q, std::vector<Answer> answers) {
  const std::string& text = queries_.texts[q];
  answers.resize(std::min(answers.size(), static_cast<std::size_t>(args_.top)));
  std::vector<std::string> names;
  for (const Answer& a : answers) {
    const auto record = queries_.set.images[static_cast<std::size_t>(a.index)];
    names.push_back(concat(queries_.source->record(record).key, "  ", items_.image(a.index).text));
  }
  print_answers(text, answers, names);
  by_text_.queries.push_back(items_.pictures_for({.text = text}, answers));
}

void SearchReport::add_picture(std::size_t q, std::vector<Answer> answers) {
  answers.resize(std::min(answers.size(), static_cast<std::size_t>(args_.top)));
  std::vector<std::string> names;
  for (const Answer& a : answers) names.push_back(items_.text(a.index).text);
  print_answers(args_.images[q], answers, names);
  by_picture_.queries.push_back(items_.texts_for(pictures_.image(static_cast<int>(q)), answers));
}

void SearchReport::write() const {
  if (args_.sheet.empty()) return;
  std::vector<SheetSection> sections;
  if (!by_text_.queries.empty()) sections.push_back(by_text_);
  if (!by_picture_.queries.empty()) sections.push_back(by_picture_);
  write_contact_sheet(args_.sheet, sections);
}

}  // namespace examples
