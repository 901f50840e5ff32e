// What a checkpoint says beside its tensors: texts by name, and how a configuration becomes such.
#pragma once

#include <cmath>
#include <map>
#include <string>
#include <type_traits>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/number.hpp"

namespace albef {

/// Where a run stands, and whatever else its program wants to keep: text by name, stored in the
/// file's metadata.
using CheckpointInfo = std::map<std::string, std::string>;

/// The entry `name`; Error naming the file if there is none.
const std::string& info_entry(const std::string& path, const CheckpointInfo& info,
                              const std::string& name);

/// The number that entry `name` says, from 0 to `limit`; a whole one unless `fractions`. Error
/// naming file and entry if it says anything else.
double stated_number(const std::string& path, const CheckpointInfo& info, const std::string& name,
                     double limit, bool fractions = false);

/// The entries of CheckpointInfo that describe configuration C, after config_fields(C), which is
/// found beside C; none for a configuration that has none, as for `void`.
template <class C>
CheckpointInfo config_info() {
  CheckpointInfo info;
  if constexpr (!std::is_void_v<C>)
    if constexpr (requires { config_fields(C{}); })
      for (const auto& [name, value] : config_fields(C{}))
        info[concat("config.", name)] = concat(value);
  return info;
}

/// Error if a checkpoint's info states another configuration than C, naming the first field; info
/// without a configuration (an official checkpoint) passes. The image size may differ if asked for.
template <class C>
void check_config(const std::string& path, const CheckpointInfo& info,
                  bool any_image_size = false) {
  for (const auto& [name, value] : config_info<C>()) {
    if (any_image_size && name == "config.image_res") continue;
    const auto it = info.find(name);
    require(it == info.end() || it->second == value, path,
            ": checkpoint of another configuration: ", name, " is ",
            it == info.end() ? "" : it->second, ", the model has ", value);
  }
}

namespace detail {

template <class M>
struct ConfigOf {
  using type = void;
};
template <class M>
requires requires { typename M::Config; }
struct ConfigOf<M> {
  using type = typename M::Config;
};

}  // namespace detail

/// The configuration of model M, void where it names none.
template <class M>
using config_of = typename detail::ConfigOf<M>::type;

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE const std::string& info_entry(const std::string& path, const CheckpointInfo& info,
                                                const std::string& name) {
  const auto found = info.find(name);
  require(found != info.end(), path, ": no entry '", name, "'");
  return found->second;
}

ALBEF_DATA_INLINE double stated_number(const std::string& path, const CheckpointInfo& info,
                                       const std::string& name, double limit, bool fractions) {
  const std::string& text = info_entry(path, info, name);
  const auto value = to_number(text);
  require(value && *value >= 0 && *value <= limit && (fractions || *value == std::floor(*value)),
          path, ": entry '", name, "' is '", text, "', expected a ", fractions ? "" : "whole ",
          "number from 0 to ", limit);
  return *value;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
