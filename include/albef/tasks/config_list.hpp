// Configurations a program is compiled for: from a name, or a checkpoint's metadata, to the type.
#pragma once

#include <string>

#include "albef/checkpoint/info.hpp"
#include "albef/core/error.hpp"
#include "albef/models/config.hpp"

namespace albef {

/// Configurations to choose from at run time: each is a further instance of a program's models.
template <class... C>
struct ConfigList {};

/// What a configuration is called. One of your own has a member `static constexpr const char*
/// name`.
template <class C>
inline constexpr const char* config_name = C::name;
template <>
inline constexpr const char* config_name<Tiny> = "tiny";
template <>
inline constexpr const char* config_name<Tiny96> = "tiny96";
template <>
inline constexpr const char* config_name<TinyPatch8> = "tiny_p8";
template <>
inline constexpr const char* config_name<Tiny96Patch8> = "tiny96_p8";
template <>
inline constexpr const char* config_name<Small> = "small";
template <>
inline constexpr const char* config_name<Base> = "base";
template <>
inline constexpr const char* config_name<Base384> = "base384";
template <>
inline constexpr const char* config_name<FlavaBase> = "flava_base";

/// "tiny, tiny96, small, base"
template <class... C>
std::string config_names(ConfigList<C...>) {
  std::string names;
  ((names += (names.empty() ? "" : ", ") + std::string(config_name<C>)), ...);
  return names;
}

namespace detail {

/// Calls f.operator()<C>() for the first C of the list that `matches.operator()<C>()` accepts;
/// Error with the given message if there is none.
template <class First, class... Rest, class Matches, class F>
auto first_match(ConfigList<First, Rest...>, const std::string& error, const Matches& matches,
                 F& f) {
  if (matches.template operator()<First>()) return f.template operator()<First>();
  if constexpr (sizeof...(Rest) > 0)
    return first_match(ConfigList<Rest...>{}, error, matches, f);
  else
    fail(error);
}

}  // namespace detail

/// Calls f.template operator()<C>() with the configuration called `name`. Error listing the known
/// ones if there is none.
template <class F, class List>
auto with_config(const std::string& name, F&& f, List list) {
  const std::string error =
      concat("unknown configuration '", name, "', expected one of ", config_names(list));
  return detail::first_match(
      list, error, [&]<class C>() { return name == config_name<C>; }, f);
}

/// The same with the first configuration that agrees with all that the metadata of the checkpoint
/// `path` says of it, or `name`,
/// which may be one of another image size; a checkpoint without metadata (an official one) needs
/// it.
template <class F, class List>
auto with_config(const std::string& path, const CheckpointInfo& info, const std::string& name,
                 F&& f, List list) {
  const auto checked = [&]<class C>() {
    check_config<C>(path, info, true);
    return f.template operator()<C>();
  };
  if (!name.empty()) return with_config(name, checked, list);

  std::string described;
  for (const auto& [field, value] : info)
    if (field.starts_with("config.")) described += " " + field.substr(7) + "=" + value;
  require(!described.empty(), path,
          ": its metadata names no configuration; choose one with --config: ", config_names(list));
  const auto matches = [&]<class C>() {
    bool any = false;  // models of images alone say nothing of texts
    for (const auto& [field, value] : config_info<C>()) {
      const auto found = info.find(field);
      if (found != info.end() && found->second != value) return false;
      any = any || found != info.end();
    }
    return any;
  };
  const std::string error =
      concat(path,
             ": this program is not compiled for the "
             "checkpoint's configuration, only for ",
             config_names(list), " (see ALBEF_EXAMPLE_CONFIGS of the build); it has", described);
  return detail::first_match(list, error, matches, f);
}

}  // namespace albef
