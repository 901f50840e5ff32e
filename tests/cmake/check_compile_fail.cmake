# Compiles FILE with COMPILER and the response file FLAGS; passes if that fails and the output
# contains the sentence of the file's first line, "// expect: <sentence>".
file(STRINGS "${FILE}" first LIMIT_COUNT 1)
if(NOT first MATCHES "^// expect: (.+)$")
  message(FATAL_ERROR "${FILE}: the first line must read '// expect: <sentence>'")
endif()
set(expected "${CMAKE_MATCH_1}")

execute_process(COMMAND "${COMPILER}" "@${FLAGS}" "${FILE}"
                RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(result EQUAL 0)
  message(FATAL_ERROR "${FILE} compiled, but should be refused with: ${expected}")
endif()
string(FIND "${output}" "${expected}" position)
if(position EQUAL -1)
  message(FATAL_ERROR "${FILE} is refused without the sentence: ${expected}\n${output}")
endif()
