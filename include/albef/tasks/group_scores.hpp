// Mean scores of groups of examples, e.g. of the types of questions.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "albef/data/record.hpp"
#include "albef/train/validation.hpp"

namespace albef {

class GroupScores {
 public:
  void add(const std::string& group, double score) {
    Group& g = groups_[group];
    g.sum += score;
    ++g.count;
  }
  /// Counts an example in the group of each value that its field `by` has.
  void add(const std::vector<Field>& fields, std::string_view by, double score) {
    for (const Field& field : fields)
      if (field.name == by)
        for (const auto& value : field.values) add(value, score);
  }
  bool empty() const { return groups_.empty(); }

  /// {group: {"accuracy", "count"}} in the order of their names.
  nlohmann::ordered_json json() const {
    auto json = nlohmann::ordered_json::object();
    for (const auto& [name, g] : groups_) json[name] = {{"accuracy", g.mean()}, {"count", g.count}};
    return json;
  }
  /// One row per group: its name, percentage and size.
  void print(std::FILE* out) const {
    for (const auto& [name, g] : groups_)
      std::fprintf(out, "  %-20s %8s %7lld\n", name.c_str(), percent(g.mean()).c_str(),
                   static_cast<long long>(g.count));
  }

 private:
  struct Group {
    double sum = 0;
    std::int64_t count = 0;
    double mean() const { return sum / static_cast<double>(count); }
  };
  std::map<std::string, Group> groups_;
};

}  // namespace albef
