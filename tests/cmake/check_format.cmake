# Passes if CLANG_FORMAT would change none of our sources. SOURCE is the repository.
file(GLOB_RECURSE files "${SOURCE}/include/*.hpp" "${SOURCE}/include/*.cuh" "${SOURCE}/tests/*.[ch]pp"
     "${SOURCE}/tests/*.cu" "${SOURCE}/cmake/cpu/*.cpp" "${SOURCE}/cmake/cuda/*.cu"
     "${SOURCE}/examples/*.[ch]pp" "${SOURCE}/benchmarks/*.[ch]pp")
execute_process(COMMAND "${CLANG_FORMAT}" --dry-run --Werror ${files}
                RESULT_VARIABLE result ERROR_VARIABLE output)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "Run clang-format -i on these:\n${output}")
endif()
