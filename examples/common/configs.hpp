// The configurations the programs are compiled for, as the build's ALBEF_EXAMPLE_CONFIGS says:
// names of shipped ones, or JSON files.
#pragma once

#include "albef/tasks/config_list.hpp"
#ifdef ALBEF_EXAMPLE_CONFIGS
#include "json_configs.hpp"
#endif

namespace examples {

#ifdef ALBEF_EXAMPLE_CONFIGS
inline constexpr albef::ConfigList<ALBEF_EXAMPLE_CONFIGS> configs;
#else
inline constexpr albef::ConfigList<albef::Tiny, albef::Tiny96, albef::Small, albef::Base> configs;
#endif

}  // namespace examples
