// Retrieval and search as pictures: queries with their best answers, marked right or wrong.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/data/loader.hpp"
#include "albef/tasks/retrieval.hpp"
#include "albef/tasks/search.hpp"
#include "albef/viz/contact_sheet.hpp"

namespace albef {

/// A retrieval pool as it is shown: pictures with their first caption, and texts. Pictures are read
/// when first needed and live as long as this; so must source and set.
class PoolItems {
 public:
  PoolItems(const Source& source, const RetrievalSet& set)
      : source_(source), set_(set), captions_(first_texts(set)) {}

  const SheetItem& image(int i) {
    const std::uint32_t record = set_.images.at(static_cast<std::size_t>(i));
    const auto [found, added] = images_.try_emplace(record);
    Shown& shown = found->second;
    if (added) {
      std::vector<std::uint8_t> bytes;
      shown.pixels = detail::load_picture(source_, record, bytes, default_decoding());
      shown.item = {captions_[static_cast<std::size_t>(i)], shown.pixels};
    }
    return shown.item;
  }
  SheetItem text(int t) const { return {.text = set_.texts.at(static_cast<std::size_t>(t))}; }

  /// A query whose answers are pictures; `text` is its place in the pool, -1 if it is not of it.
  SheetQuery pictures_for(SheetItem query, std::span<const Answer> answers, int text = -1) {
    SheetQuery row{std::move(query)};
    for (const auto& a : answers)
      row.answers.push_back({image(a.index), static_cast<double>(a.score), mark(a.index, text)});
    return row;
  }
  /// A query whose answers are texts; `image` is its place in the pool, -1 if it is not of it.
  SheetQuery texts_for(SheetItem query, std::span<const Answer> answers, int image = -1) {
    SheetQuery row{std::move(query)};
    for (const auto& a : answers)
      row.answers.push_back({text(a.index), static_cast<double>(a.score), mark(image, a.index)});
    return row;
  }

 private:
  struct Shown {
    Image pixels;
    SheetItem item;
  };

  Mark mark(int image, int text) const {
    if (image < 0 || text < 0) return Mark::none;
    return set_.text_image[static_cast<std::size_t>(text)] == image ? Mark::right : Mark::wrong;
  }

  const Source& source_;
  const RetrievalSet& set_;
  std::vector<std::string> captions_;
  std::map<std::uint32_t, Shown> images_;  // a map: its elements stay where they are
};

/// Writes a PNG with `rows` queries of each direction and their five best answers by matching, as
/// far as the data set called `name` has as many.
inline void write_retrieval_sheet(const std::string& path, const std::string& name,
                                  const Source& source, const RetrievalSet& set,
                                  const RetrievalResult& r, int rows = 4) {
  PoolItems items(source, set);
  SheetSection by_text{"Text to image"}, by_image{"Image to text"};
  const auto best = [](const std::vector<float>& scores, int query, int pool) {
    const auto n = static_cast<std::size_t>(pool);
    return best_answers(std::span(scores).subspan(static_cast<std::size_t>(query) * n, n), 5);
  };
  rows = std::min({rows, r.texts, r.images});
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
  write_contact_sheet(path, sections,
                      {.title = concat("Retrieval among ", r.images, " pictures of ", name)});
}

/// Writes a PNG with what a search found.
inline void write_search_sheet(const std::string& path, const Source& source,
                               const RetrievalSet& set, const SearchQueries& queries,
                               const SearchResults& found) {
  RetrievalSet wanted;
  wanted.images.resize(queries.pictures.size());
  std::iota(wanted.images.begin(), wanted.images.end(), 0u);
  PoolItems items(source, set), pictures(queries.pictures, wanted);
  std::vector<SheetSection> sections;
  const auto section = [&](const char* heading, const auto& answers, auto&& row) {
    if (answers.empty()) return;
    sections.push_back({heading, {}});
    for (std::size_t q = 0; q < answers.size(); ++q)
      sections.back().queries.push_back(row(q, answers[q]));
  };
  section("Text to image", found.by_text, [&](std::size_t q, const std::vector<Answer>& answers) {
    return items.pictures_for({.text = queries.texts.at(q)}, answers);
  });
  section("Image to text", found.by_picture,
          [&](std::size_t q, const std::vector<Answer>& answers) {
            return items.texts_for(pictures.image(static_cast<int>(q)), answers);
          });
  write_contact_sheet(path, sections);
}

}  // namespace albef
