// Rows of contact sheets from retrieval answers: pictures read once, answers marked right or wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/train/retrieval.hpp"
#include "albef/viz/contact_sheet.hpp"

namespace examples {

/// A retrieval pool as it is shown: pictures with their first caption, and texts. Pictures are read
/// when first needed and live as long as this.
class PoolItems {
 public:
  PoolItems(const albef::Source& source, const albef::RetrievalSet& set)
      : source_(source), set_(set), captions_(set.images.size()) {
    for (std::size_t t = set.texts.size(); t-- > 0;)
      captions_[static_cast<std::size_t>(set.text_image[t])] = set.texts[t];
  }

  const albef::SheetItem& image(int i) {
    const std::uint32_t record = set_.images[static_cast<std::size_t>(i)];
    const auto [found, added] = images_.try_emplace(record);
    Shown& shown = found->second;
    if (added) {
      std::vector<std::uint8_t> bytes;
      shown.pixels = albef::detail::load_picture(source_, record, bytes, {});
      shown.item = {captions_[static_cast<std::size_t>(i)], shown.pixels};
    }
    return shown.item;
  }
  albef::SheetItem text(int t) const { return {.text = set_.texts[static_cast<std::size_t>(t)]}; }

  /// A query whose answers are pictures; `text` is its place in the pool, -1 if it is not of it.
  albef::SheetQuery pictures_for(albef::SheetItem query, std::span<const albef::Answer> answers,
                                 int text = -1) {
    albef::SheetQuery row{std::move(query)};
    for (const auto& a : answers)
      row.answers.push_back({image(a.index), static_cast<double>(a.score), mark(a.index, text)});
    return row;
  }
  /// A query whose answers are texts; `image` is its place in the pool, -1 if it is not of it.
  albef::SheetQuery texts_for(albef::SheetItem query, std::span<const albef::Answer> answers,
                              int image = -1) {
    albef::SheetQuery row{std::move(query)};
    for (const auto& a : answers)
      row.answers.push_back({text(a.index), static_cast<double>(a.score), mark(image, a.index)});
    return row;
  }

 private:
  struct Shown {
    albef::Image pixels;
    albef::SheetItem item;
  };

  albef::Mark mark(int image, int text) const {
    if (image < 0 || text < 0) return albef::Mark::none;
    return set_.text_image[static_cast<std::size_t>(text)] == image ? albef::Mark::right
                                                                    : albef::Mark::wrong;
  }

  const albef::Source& source_;
  const albef::RetrievalSet& set_;
  std::vector<std::string> captions_;
  std::map<std::uint32_t, Shown> images_;  // a map: its elements stay where they are
};

}  // namespace examples
