#include "common/retrieval_sheet.hpp"

#include <utility>

namespace examples {

using namespace albef;

PoolItems::PoolItems(const Source& source, const RetrievalSet& set)
    : source_(source), set_(set), captions_(set.images.size()) {
  for (std::size_t t = set.texts.size(); t-- > 0;)
    captions_[static_cast<std::size_t>(set.text_image[t])] = set.texts[t];
}

const SheetItem& PoolItems::image(int i) {
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

SheetQuery PoolItems::pictures_for(SheetItem query, std::span<const Answer> answers, int text) {
  SheetQuery row{std::move(query)};
  for (const auto& a : answers)
    row.answers.push_back({image(a.index), static_cast<double>(a.score), mark(a.index, text)});
  return row;
}

SheetQuery PoolItems::texts_for(SheetItem query, std::span<const Answer> answers, int image) {
  SheetQuery row{std::move(query)};
  for (const auto& a : answers)
    row.answers.push_back({text(a.index), static_cast<double>(a.score), mark(image, a.index)});
  return row;
}

Mark PoolItems::mark(int image, int text) const {
  if (image < 0 || text < 0) return Mark::none;
  return set_.text_image[static_cast<std::size_t>(text)] == image ? Mark::right : Mark::wrong;
}

}  // namespace examples
