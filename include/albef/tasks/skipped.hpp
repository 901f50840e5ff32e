// How many records an evaluation left out because they cannot be used.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "albef/core/error.hpp"
#include "albef/train/validation.hpp"

namespace albef {

struct Skipped {
  std::size_t records = 0;  ///< of the set
  std::size_t skipped = 0;  ///< of them
  std::size_t texts = 0;    ///< where pictures have several: those left out

  /// Adds "records" and "skipped", and "skipped_texts" if there are some.
  void add_to(nlohmann::ordered_json& json) const {
    json["records"] = records;
    json["skipped"] = skipped;
    if (texts > 0) json["skipped_texts"] = texts;
  }
  /// "  skipped 3 of 200 records (1.5 %)" as a line, empty if none was.
  std::string text() const {
    if (skipped == 0 && texts == 0) return {};
    const double share = static_cast<double>(skipped) / static_cast<double>(records);
    return concat("  skipped ", skipped, " of ", records, " records (", percent(share), ")",
                  texts > 0 ? concat(", ", texts, " texts") : "", "\n");
  }
};

}  // namespace albef
