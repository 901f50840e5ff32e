# Defines the INTERFACE targets: albef::albef (the device-free core), albef::cpu, albef::text, ...

# The headers of each component, relative to include/albef.
set(albef_headers_core albef.hpp core/* core/primitives/* ops/* nn/* loss/* optim/* models/* text/batch.hpp
                       data/pair_batch.hpp data/task_batch.hpp train/objective.hpp train/plateau.hpp
                       tasks/pretrain.hpp)
set(albef_headers_cpu cpu.hpp cpu/*)
set(albef_headers_cuda cuda.hpp cuda.cuh cuda/* cuda/kernels/*)
set(albef_headers_text text/* core/json.hpp)
set(albef_headers_checkpoint checkpoint/* core/json.hpp)
set(albef_headers_xtensor checkpoint/xtensor.hpp)
set(albef_headers_data data/*)
set(albef_headers_viz viz/*)
set(albef_headers_train train/*)
set(albef_headers_tasks tasks/*)
set(albef_headers_testing testing/*)
# Those that stand in a component's folder and belong to another one, by what they depend on.
set(albef_elsewhere_core "/json\\.hpp$")
set(albef_elsewhere_checkpoint "/xtensor\\.hpp$")
set(albef_elsewhere_text "/batch\\.hpp$")
set(albef_elsewhere_data "/(pair|task)_batch\\.hpp$")
set(albef_elsewhere_train "/(objective|plateau)\\.hpp$")
set(albef_elsewhere_tasks "/pretrain\\.hpp$")

# The kernels as a library, so that programs in plain C++ can use the CUDA backend. Its GPUs are those
# of CMAKE_CUDA_ARCHITECTURES, which a project sets before it enables CUDA.
function(albef_add_compiled_cuda target)
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if(NOT CUDA IN_LIST languages)
    message(FATAL_ERROR "albef: component 'cuda_compiled' is compiled by nvcc: enable_language(CUDA)")
  endif()
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/cuda/*.cu")
  add_library(${target} STATIC ${sources})
  add_library(albef::cuda_compiled ALIAS ${target})
  set_property(GLOBAL APPEND PROPERTY albef_component_targets ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME cuda_compiled POSITION_INDEPENDENT_CODE ON
                                             CUDA_RUNTIME_LIBRARY Shared)
  target_link_libraries(${target} PUBLIC albef::cuda)
endfunction()

# The definitions of a component compiled once: the kernels for float and double (cpu_compiled), or text/,
# data/, the files of checkpoint/ and the loop of train/ (data_compiled). A program links the one built for its own
# instruction set, `..._native` together with albef::native, or CMake and then the linker refuse it.
function(albef_add_compiled component target)
  string(REGEX MATCH "^(cpu|data)_compiled(_native)?$" matched "${component}")
  set(part ${CMAKE_MATCH_1})
  set(instruction_set baseline)
  if(CMAKE_MATCH_2)
    set(instruction_set native)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/${part}/*.cpp")
  add_library(${target} STATIC ${sources})
  add_library(albef::${component} ALIAS ${target})
  set_property(GLOBAL APPEND PROPERTY albef_component_targets ${target})
  set_target_properties(
    ${target} PROPERTIES EXPORT_NAME ${component} POSITION_INDEPENDENT_CODE ON
                         INTERFACE_ALBEF_INSTRUCTION_SET "${instruction_set}"
                         COMPATIBLE_INTERFACE_STRING ALBEF_INSTRUCTION_SET)
  foreach(needed IN LISTS albef_needs_${component})
    target_link_libraries(${target} PUBLIC albef::${needed})
  endforeach()
  string(TOUPPER ${part} part)
  target_compile_definitions(${target} PUBLIC "$<$<COMPILE_LANGUAGE:CXX>:ALBEF_${part}_COMPILED>")
endfunction()

# Adds the target of one component.
function(albef_add_component component)
  if(component STREQUAL core)
    set(target albef)
    set(name albef)
  else()
    set(target albef_${component})
    set(name ${component})
  endif()

  albef_find_packages(${component} missing)
  if(missing)
    message(FATAL_ERROR "${missing}\nOr leave it out: set ALBEF_COMPONENTS to what you need.")
  endif()

  if(component STREQUAL cuda_compiled)
    albef_add_compiled_cuda(${target})
    return()
  endif()
  if(component MATCHES "^(cpu|data)_compiled")
    albef_add_compiled(${component} ${target})
    return()
  endif()
  add_library(${target} INTERFACE)
  add_library(albef::${name} ALIAS ${target})
  set_property(GLOBAL APPEND PROPERTY albef_component_targets ${target})
  # A project that includes this one compiles with warnings of its own, which are for its own code.
  if(PROJECT_IS_TOP_LEVEL)
    set(system FALSE)
  else()
    set(system TRUE)
  endif()
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} SYSTEM ${system})
  if(component STREQUAL native)
    # For programs that run where they are built. Never linked by another component.
    target_compile_options(
      ${target} INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>:-march=native>)
    set_target_properties(
      ${target} PROPERTIES INTERFACE_ALBEF_INSTRUCTION_SET native
                           COMPATIBLE_INTERFACE_STRING ALBEF_INSTRUCTION_SET)
    return()
  endif()

  target_compile_features(${target} INTERFACE cxx_std_20)
  foreach(needed IN LISTS albef_needs_${component})
    if(needed STREQUAL core)
      target_link_libraries(${target} INTERFACE albef::albef)
    else()
      target_link_libraries(${target} INTERFACE albef::${needed})
    endif()
  endforeach()
  foreach(package IN LISTS albef_packages_${component})
    target_link_libraries(${target} INTERFACE ${albef_target_${package}})
  endforeach()

  if(component STREQUAL cuda)
    # What CUDA sources need to be compiled with; plain C++ is not touched.
    target_compile_options(
      ${target} INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;--expt-relaxed-constexpr>")
  endif()

  if(NOT albef_headers_${component})
    return()
  endif()
  set(base "${PROJECT_SOURCE_DIR}/include")
  list(TRANSFORM albef_headers_${component} PREPEND "${base}/albef/" OUTPUT_VARIABLE patterns)
  file(GLOB headers CONFIGURE_DEPENDS LIST_DIRECTORIES false ${patterns})
  if(albef_elsewhere_${component})
    list(FILTER headers EXCLUDE REGEX "${albef_elsewhere_${component}}")
  endif()
  target_sources(${target} INTERFACE FILE_SET HEADERS BASE_DIRS "${base}" FILES ${headers})
endfunction()

# Adds the components named and all they build on.
function(albef_add_components)
  albef_close_components(components unknown ${ARGN})
  if(unknown)
    message(FATAL_ERROR "albef: ALBEF_COMPONENTS names '${unknown}'; known are ${albef_components}")
  endif()
  foreach(component IN LISTS components)
    albef_add_component(${component})
  endforeach()
  set(albef_added_components ${components} PARENT_SCOPE)
endfunction()
