# Tests ALBEF_EXAMPLE_CONFIGS with JSON files: mistakes are named with file and field when the build is
# configured, and a good file gives a configuration that the programs find by its name. Wants SOURCE
# (repository), WORK (scratch folder), GENERATOR, COMPILER and FLAGS (response file).
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE "${WORK}")

# Configures with a file of that name and content; sets `result` and `output`.
function(configure name json)
  file(WRITE "${WORK}/${name}" "${json}")
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -S "${SOURCE}" -B "${WORK}/build" -G "${GENERATOR}"
            "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DALBEF_EXAMPLE_CONFIGS=${WORK}/${name}"
            -DALBEF_BUILD_TESTS=OFF -DALBEF_BUILD_BENCHMARKS=OFF
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX REPLACE "[ \n]+" " " output "${output}") # CMake wraps its errors
  set(result ${result} PARENT_SCOPE)
  set(output "${output}" PARENT_SCOPE)
endfunction()

function(refuse name json sentence)
  configure("${name}" "${json}")
  string(FIND "${output}" "${sentence}" position)
  if(result EQUAL 0 OR position EQUAL -1)
    message(SEND_ERROR "${json}: expected the sentence: ${sentence}\n${output}")
  endif()
endfunction()

refuse(a.json [[{"image_ress": 48}]] "a.json: unknown field 'image_ress'; known are base, image_res,")
refuse(a.json [[{"image_res": "48"}]] "a.json: field 'image_res' is 48, expected a whole number above 0")
refuse(a.json [[{"image_res": 48.5}]] "a.json: field 'image_res' is 48.5, expected a whole number")
refuse(a.json [[{"dropout": 2}]] "a.json: field 'dropout' is 2, expected a number from 0 to below 1")
refuse(a.json [[{"vision_norm": "mid"}]] "a.json: field 'vision_norm' is mid, expected \"pre\" or \"post\"")
refuse(a.json [[{"image_mean": [1, 2]}]] "a.json: field 'image_mean' is")
refuse(a.json [[{"base": "bas"}]] "a.json: field 'base' is 'bas', expected one of tiny, ")
refuse(a.json "[1]" "a.json: expected a JSON object")
refuse(a.json "{" "a.json: expected a JSON object")
refuse(tiny.json "{}" "tiny.json: there is already a configuration 'tiny'")
refuse(A-1.json "{}" "A-1.json: a configuration is called like its file")

configure(mine.json [[{"base": "tiny", "image_res": 48, "vision_depth": 2, "dropout": 0.25,
                       "vision_norm": "pre", "image_mean": [0.5, 0.25, 0.5], "image_std": [1, 1, 1]}]])
if(NOT result EQUAL 0)
  message(FATAL_ERROR "mine.json is refused:\n${output}")
endif()
file(WRITE "${WORK}/mine.cpp" [[
#include <string_view>

#include "albef/tasks/config_list.hpp"
#include "json_configs.hpp"

using Mine = examples::json_config::mine;
static_assert(Mine::image_res == 48 && Mine::vision_depth == 2 && Mine::dropout == 0.25f);
static_assert(Mine::vision_width == albef::Tiny::vision_width);
static_assert(albef::image_statistics<Mine>().mean[1] == 0.25);
static_assert(std::string_view(albef::config_name<Mine>) == "mine");

int found() {
  return albef::with_config("mine", []<class C>() { return C::image_res; },
                            albef::ConfigList<Mine>{});
}
]])
execute_process(
  COMMAND "${COMPILER}" "@${FLAGS}" "-I${WORK}/build/examples/generated" "${WORK}/mine.cpp"
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "the configuration of mine.json does not compile:\n${output}")
endif()
