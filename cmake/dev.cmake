# Settings of our own tests, examples and benchmarks; nothing here reaches a user's target.
set(CMAKE_CXX_EXTENSIONS OFF)

get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(PROJECT_IS_TOP_LEVEL AND NOT multi_config AND NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

set(ALBEF_SANITIZE "" CACHE STRING "Sanitizers of our own programs, e.g. address,undefined")

# Linked by every program of this repository.
add_library(albef_dev_flags INTERFACE)
add_library(albef_dev INTERFACE)
target_link_libraries(albef_dev INTERFACE albef_dev_flags)
set(albef_warnings -Wall -Wextra -Wconversion -Wshadow)
target_compile_options(albef_dev_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${albef_warnings};-Wpedantic>")
# nvcc's own code trips over -Wpedantic.
list(JOIN albef_warnings "," cuda_host_warnings)
target_compile_options(albef_dev_flags INTERFACE
                       "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${cuda_host_warnings}>")
if(TARGET albef_cuda_compiled)
  target_compile_options(albef_cuda_compiled PRIVATE -Xcompiler=${cuda_host_warnings})
endif()
if(ALBEF_NATIVE)
  target_link_libraries(albef_dev INTERFACE albef::native)
endif()
if(ALBEF_SANITIZE)
  set(sanitize -fsanitize=${ALBEF_SANITIZE} -fno-omit-frame-pointer)
  if(ALBEF_SANITIZE MATCHES undefined)
    list(APPEND sanitize -fno-sanitize-recover=undefined)
  endif()
  target_compile_options(albef_dev_flags INTERFACE ${sanitize})
  target_link_options(albef_dev_flags INTERFACE ${sanitize})
endif()

# find_package for what only our own programs need, with the Debian package in the message.
macro(albef_require package user)
  albef_find_package(${package} "${user}" albef_missing)
  if(albef_missing)
    message(FATAL_ERROR "${albef_missing}")
  endif()
endmacro()

# With sanitizers g++ sees uninitialised values inside the standard library where there are none.
if(ALBEF_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  target_compile_options(albef_dev_flags INTERFACE -Wno-maybe-uninitialized)
endif()

# What our own programs take compiled, for their instruction set and with their flags.
foreach(component IN LISTS albef_own_compiled)
  target_compile_options(albef_${component}
                         PRIVATE $<TARGET_PROPERTY:albef_dev_flags,INTERFACE_COMPILE_OPTIONS>)
endforeach()
add_library(albef_compiled INTERFACE)
list(TRANSFORM albef_own_compiled PREPEND albef:: OUTPUT_VARIABLE compiled)
target_link_libraries(albef_compiled INTERFACE ${compiled})
