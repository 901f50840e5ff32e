// A list of records as JSON with one of them per line.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

namespace examples {

inline std::string json_list(const nlohmann::ordered_json& list) {
  std::string text = "[";
  for (std::size_t i = 0; i < list.size(); ++i) text += (i == 0 ? "" : ",\n") + list[i].dump();
  return text + "]";
}

}  // namespace examples
