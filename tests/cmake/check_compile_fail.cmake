# Compiles FILE with COMPILER and the response file FLAGS; passes if that fails and the output
# contains the sentence of the file's first line, "// expect: <sentence>". A second line
# "// flags: <flags>" is for the compiler.
file(STRINGS "${FILE}" lines LIMIT_COUNT 2)
list(GET lines 0 first)
list(GET lines 1 second)
set(more "")
if(second MATCHES "^// flags: (.+)$")
  separate_arguments(more UNIX_COMMAND "${CMAKE_MATCH_1}")
endif()
if(NOT first MATCHES "^// expect: (.+)$")
  message(FATAL_ERROR "${FILE}: the first line must read '// expect: <sentence>'")
endif()
set(expected "${CMAKE_MATCH_1}")

execute_process(COMMAND "${COMPILER}" "@${FLAGS}" ${more} "${FILE}"
                RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(result EQUAL 0)
  message(FATAL_ERROR "${FILE} compiled, but should be refused with: ${expected}")
endif()
string(FIND "${output}" "${expected}" position)
if(position EQUAL -1)
  message(FATAL_ERROR "${FILE} is refused without the sentence: ${expected}\n${output}")
endif()
