# Tests check_arrows.cmake on small trees of headers, written below WORK: each mistake is named in a
# sentence, and a tree without one passes. SCRIPT is check_arrows.cmake.
cmake_minimum_required(VERSION 3.25)

# Writes a tree, given as "header headers it includes" each, checks it against the table below, and
# compares: `expected` is part of the output, or empty where the tree is in order.
function(check name expected)
  set(root "${WORK}/${name}")
  file(REMOVE_RECURSE "${root}")
  foreach(entry IN LISTS ARGN)
    string(REPLACE " " ";" includes "${entry}")
    list(POP_FRONT includes header)
    list(TRANSFORM includes REPLACE "(.+)" "#include \"albef/\\1\"\n")
    list(JOIN includes "" lines)
    file(WRITE "${root}/${header}" "#pragma once\n#include <vector>\n${lines}")
  endforeach()
  execute_process(COMMAND "${CMAKE_COMMAND}" "-DROOT=${root}" "-DTABLE=${WORK}/table.cmake" -P "${SCRIPT}"
                  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(expected STREQUAL "")
    if(NOT result EQUAL 0)
      message(SEND_ERROR "${name}: refused\n${output}")
    endif()
    return()
  endif()
  string(FIND "${output}" "${expected}" position)
  if(result EQUAL 0 OR position EQUAL -1)
    message(SEND_ERROR "${name}: exit ${result}, expected the sentence: ${expected}\n${output}")
  endif()
endfunction()

file(WRITE "${WORK}/table.cmake" [[
set(rooms core ops text cpu)
set(room_core "")
set(room_ops core)
set(room_text core)
set(room_cpu core)
set(also_ops text/batch.hpp)
set(also_cpu.hpp ops/add.hpp)
set(exceptions "core/old.hpp text/batch.hpp")
]])
set(old "core/old.hpp text/batch.hpp" "text/batch.hpp")

check(in_order "" ${old} "core/a.hpp core/b.hpp" "core/b.hpp" "ops/add.hpp core/a.hpp text/batch.hpp"
      "cpu.hpp ops/add.hpp cpu/a.hpp" "cpu/a.hpp core/b.hpp")
check(wrong_arrow "core/a.hpp includes ops/add.hpp: core may include no other room" ${old}
      "core/a.hpp ops/add.hpp" "ops/add.hpp")
check(only_one_header "ops/add.hpp includes text/more.hpp: ops may include core, not text" ${old}
      "ops/add.hpp text/more.hpp" "text/more.hpp")
check(only_the_umbrella "cpu/a.hpp includes ops/add.hpp: cpu may include core, not ops" ${old}
      "cpu/a.hpp ops/add.hpp" "ops/add.hpp")
check(cycle "a cycle of headers: core/a.hpp -> core/b.hpp -> core/c.hpp -> core/a.hpp" ${old}
      "core/a.hpp core/b.hpp" "core/b.hpp core/c.hpp" "core/c.hpp core/a.hpp" "ops/add.hpp core/a.hpp")
check(gone_exception "the exception 'core/old.hpp text/batch.hpp'" "core/old.hpp" "text/batch.hpp")
check(unknown_room "art/a.hpp: its room 'art'" ${old} "art/a.hpp")
check(missing_header "core/a.hpp includes core/none.hpp, which does not exist" ${old}
      "core/a.hpp core/none.hpp")
