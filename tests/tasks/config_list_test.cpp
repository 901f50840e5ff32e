// From a checkpoint to the configuration a program was compiled for.
#include "albef/tasks/config_list.hpp"

#include <doctest/doctest.h>

#include <string>

#include "../data/data_files.hpp"

TEST_CASE("a checkpoint brings its configuration, or is taken as one of another image size") {
  using albef::config_name, albef::ConfigList;
  const auto chosen = [](const std::string& name) {
    return albef::with_config(
        "run/checkpoint.safetensors", albef::config_info<albef::Tiny>(), name,
        []<class C>() { return std::string(config_name<C>); },
        ConfigList<albef::Tiny, albef::Tiny96, albef::Small>{});
  };
  CHECK(chosen("") == "tiny");
  CHECK(chosen("tiny96") == "tiny96");
  CHECK_CONTAINS(data_test::error_of([&] { chosen("small"); }),
                 "run/checkpoint.safetensors: checkpoint of another configuration: config.");
}
