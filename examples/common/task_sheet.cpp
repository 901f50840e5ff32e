#include "common/task_sheet.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

#include "albef/data/codec.hpp"

namespace examples {

void write_task_sheet(
    const std::string& path, const std::string& title, const std::vector<SheetExample>& examples,
    int entries, int pictures,
    const std::function<void(std::size_t, std::size_t, std::vector<std::uint8_t>&)>& read) {
  std::vector<std::vector<std::size_t>> groups;
  std::unordered_map<std::string, std::size_t> group_of;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const auto [found, added] = group_of.try_emplace(examples[i].key, groups.size());
    if (added) groups.emplace_back();
    groups[found->second].push_back(i);
  }

  constexpr std::size_t lines = 3;
  const std::size_t shown = std::min(groups.size(), static_cast<std::size_t>(entries));
  std::deque<albef::Image> images;  // stay where they are
  std::vector<albef::QuestionEntry> sheet;
  std::vector<std::uint8_t> bytes;
  for (std::size_t place = 0; place < shown; ++place) {
    const auto& group = groups[place * groups.size() / shown];
    albef::QuestionEntry& entry = sheet.emplace_back();
    for (std::size_t p = 0; p < static_cast<std::size_t>(pictures); ++p) {
      read(group.front(), p, bytes);
      entry.pictures.push_back(
          images.emplace_back(albef::decode_image(bytes, examples[group.front()].key)));
    }
    for (std::size_t i = 0; i < std::min(lines, group.size()); ++i)
      entry.lines.push_back(examples[group[i]].line);
  }
  albef::write_question_sheet(path, sheet, {.title = title});
}

void write_answer_sheet(const std::string& path, const std::string& title,
                        const std::vector<std::string>& pictures,
                        const std::vector<albef::QuestionLine>& lines) {
  std::deque<albef::Image> images;
  albef::QuestionEntry entry{.lines = lines};
  for (const std::string& picture : pictures)
    entry.pictures.push_back(images.emplace_back(albef::load_image(picture)));
  albef::write_question_sheet(path, {&entry, 1}, {.title = title, .cell = 240, .columns = 1});
}

}  // namespace examples
