// Rows of contact sheets from retrieval answers: pictures read once, answers marked right or wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "albef/tasks/retrieval.hpp"
#include "albef/viz/contact_sheet.hpp"

namespace examples {

/// A retrieval pool as it is shown: pictures with their first caption, and texts. Pictures are read
/// when first needed and live as long as this.
class PoolItems {
 public:
  PoolItems(const albef::Source& source, const albef::RetrievalSet& set);

  const albef::SheetItem& image(int i);
  albef::SheetItem text(int t) const { return {.text = set_.texts[static_cast<std::size_t>(t)]}; }

  /// A query whose answers are pictures; `text` is its place in the pool, -1 if it is not of it.
  albef::SheetQuery pictures_for(albef::SheetItem query, std::span<const albef::Answer> answers,
                                 int text = -1);
  /// A query whose answers are texts; `image` is its place in the pool, -1 if it is not of it.
  albef::SheetQuery texts_for(albef::SheetItem query, std::span<const albef::Answer> answers,
                              int image = -1);

 private:
  struct Shown {
    albef::Image pixels;
    albef::SheetItem item;
  };

  albef::Mark mark(int image, int text) const;

  const albef::Source& source_;
  const albef::RetrievalSet& set_;
  std::vector<std::string> captions_;
  std::map<std::uint32_t, Shown> images_;  // a map: its elements stay where they are
};

}  // namespace examples
