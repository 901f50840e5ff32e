// Composes pictures of three boxes with shapes or towers of blocks, as in the first NLVR corpus,
// with captions, questions and statements: to learn from before the few statements that people
// wrote. Every second picture shows the shapes of the one before in other places, as in the corpus.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/file.hpp"
#include "common/program.hpp"
#include "datasets/json_list.hpp"
#include "datasets/nlvr_corpus.hpp"
#include "datasets/shape_texts.hpp"

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string output = "boxes", name = "train";
  int pictures = 10000, statements = 6, questions = 6;
  std::uint64_t seed = 1;
  bool pairs = false, independent = false;
};

/// Statements about a picture and the same shapes in other places: up to `count` for each, two in
/// three of them true of one and false of the other.
std::array<std::vector<examples::Statement>, 2> contrasting_statements(
    const std::array<examples::ShapePicture, 2>& shown, albef::RandomStream random, int count,
    examples::Balance& balance) {
  std::array<std::vector<examples::Statement>, 2> out, alike;
  albef::RandomStream first = random, second = random;
  const auto about_first = examples::ShapeTexts(first, shown[0]).statements(12 * count);
  const auto about_second = examples::ShapeTexts(second, shown[1]).statements(12 * count);
  for (std::size_t i = 0; i < about_first.size(); ++i) {
    const bool differs = about_first[i].label != about_second[i].label;
    if (differs && 3 * static_cast<int>(out[0].size()) >= 2 * count) continue;
    auto& to = differs ? out : alike;
    to[0].push_back(about_first[i]);
    to[1].push_back(about_second[i]);
  }
  for (std::size_t p = 0; p < 2; ++p)
    for (auto& s : balance.choose(first, alike[p], count - static_cast<int>(out[p].size())))
      out[p].push_back(std::move(s));
  return out;
}

/// Writes pictures with their texts, one after the other.
class BoxFiles {
 public:
  explicit BoxFiles(const Options& options)
      : options_(options), pictures_(path(options.name + ".tar"), options.pairs) {}

  void add(albef::RandomStream& random, const examples::ShapePicture& picture,
           const std::vector<examples::Statement>& statements) {
    using namespace examples;
    char key[16];
    std::snprintf(key, sizeof key, "/%06d", count_++);
    const albef::Image boxes[]{render(picture.boxes[0]), render(picture.boxes[1]),
                               render(picture.boxes[2])};
    const albef::Image* const shown[3]{&boxes[0], &boxes[1], &boxes[2]};
    const Json about = pictures_.add(options_.name + key, shown);
    for (const Statement& s : statements) {
      Json record = about;
      record["sentence"] = s.text;
      record["label"] = nlvr_label(s.label == "True", options_.pairs);
      statements_.push_back(std::move(record));
    }
    if (options_.pairs) return;
    ShapeTexts texts(random, picture);
    const Json description{{"caption", {texts.caption(), texts.caption()}}};
    pictures_.shard().add(options_.name + key + ".json", description.dump());
    for (const Question& q : texts.questions(options_.questions)) ask(about, q);
    for (const Statement& s : statements)
      ask(about, {s.text, s.label == "True" ? "yes" : "no", "statement"});
  }

  void commit() {
    pictures_.shard().commit();
    write(options_.pairs ? "nlvr" : "ve", statements_);
    if (!options_.pairs) write("vqa", questions_);
    std::printf("%d pictures, %zu statements, %zu questions in %s\n", count_, statements_.size(),
                questions_.size(), options_.output.c_str());
  }

 private:
  std::string path(const std::string& name) const {
    std::filesystem::create_directories(options_.output);
    return options_.output + "/" + name;
  }
  void ask(Json record, const examples::Question& q) {
    record["question"] = q.text;
    record["question_id"] = questions_.size();
    record["answer"] = Json::array({q.answer});
    record["dataset"] = "vqa";
    record["type"] = q.type;
    questions_.push_back(std::move(record));
  }
  void write(const std::string& task, const Json& records) const {
    albef::write_file(path(task + "_" + options_.name + ".json"),
                      examples::json_list(records) + "\n");
  }

  Options options_;
  examples::NlvrPictures pictures_;
  Json statements_ = Json::array(), questions_ = Json::array();
  int count_ = 0;
};

int make(const Options& options) {
  using namespace examples;
  BoxFiles files(options);
  Balance balance;
  for (int n = 0; n < options.pictures; n += options.independent ? 1 : 2) {
    albef::RandomStream random(options.seed, static_cast<std::uint64_t>(n));
    const ShapePicture picture = draw_shapes(random);
    if (options.independent) {
      auto all = ShapeTexts(random, picture).statements(10 * options.statements);
      files.add(random, picture, balance.choose(random, std::move(all), options.statements));
      continue;
    }
    const std::array shown{picture, shuffle_shapes(random, picture)};
    const auto statements = contrasting_statements(shown, random, options.statements, balance);
    for (std::size_t p = 0; p < 2 && n + static_cast<int>(p) < options.pictures; ++p)
      files.add(random, shown[p], statements[p]);
  }
  files.commit();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app(
      "Composes pictures of three boxes with shapes, as in the first NLVR corpus, and texts about "
      "them",
      "make_boxes");
  Options options;
  app.add("-o,--output", options.output, "folder for NAME.tar, ve_NAME.json, vqa_NAME.json");
  app.add("--name", options.name, "of the files");
  app.add("--pictures", options.pictures, "how many", examples::positive);
  // Different ones are drawn: some pictures have few more than 24 questions.
  app.add("--statements", options.statements, "at most, per picture", examples::range(1, 24));
  app.add("--questions", options.questions, "per picture", examples::range(1, 24));
  app.add("--seed", options.seed, "other pictures for every number");
  app.add("--independent", options.independent,
          "no picture shows the shapes of another one: numbers of colors alone then tell more, "
          "which is easier to learn first");
  app.add("--pairs", options.pairs,
          "two pictures, of boxes 1 and 2 and of box 3, with statements alone "
          "(nlvr_NAME.json)");
  return app.run(argc, argv, [&] { return make(options); });
}
