# The components of albef and what each needs. Shared by the build and by the installed package.

# In order of dependency.
set(albef_components core native cpu cpu_compiled cpu_compiled_native cuda cuda_compiled text
                     checkpoint xtensor data train data_compiled data_compiled_native tasks viz testing
                     all)
# What a project gets that asks for nothing in particular.
set(albef_components_by_default cpu)

# Other components a component builds on.
set(albef_needs_cpu core)
set(albef_needs_cpu_compiled cpu)
set(albef_needs_cpu_compiled_native cpu native)
set(albef_needs_cuda core)
set(albef_needs_cuda_compiled cuda)
set(albef_needs_text core)
set(albef_needs_checkpoint core)
set(albef_needs_xtensor checkpoint)
set(albef_needs_data text)
set(albef_needs_viz tasks)
set(albef_needs_train text checkpoint)
set(albef_needs_data_compiled data train)
set(albef_needs_data_compiled_native data train native)
set(albef_needs_tasks data train)
set(albef_needs_testing cpu)
set(albef_needs_all cpu text checkpoint xtensor data viz train tasks testing)

# Third-party packages of a component: names for find_package.
set(albef_packages_core Threads)
set(albef_packages_cpu Eigen3)
set(albef_packages_cuda CUDAToolkit)
set(albef_packages_text Utf8proc nlohmann_json ZLIB)
set(albef_packages_checkpoint nlohmann_json)
set(albef_packages_xtensor xtensor)
set(albef_packages_data nlohmann_json JPEG PNG WebP GIF TIFF LibArchive ZLIB)
set(albef_packages_tasks Eigen3)
set(albef_packages_viz Cairo)

# The target each package provides, and the Debian package to install when it is missing.
set(albef_target_Threads Threads::Threads)
set(albef_target_Eigen3 Eigen3::Eigen)
set(albef_target_CUDAToolkit CUDA::cudart CUDA::cublasLt)
set(albef_target_Utf8proc utf8proc::utf8proc)
set(albef_target_nlohmann_json nlohmann_json::nlohmann_json)
set(albef_target_xtensor xtensor)
set(albef_target_JPEG JPEG::JPEG)
set(albef_target_PNG PNG::PNG)
set(albef_target_WebP WebP::webp)
set(albef_target_GIF GIF::GIF)
set(albef_target_TIFF TIFF::TIFF)
set(albef_target_LibArchive LibArchive::LibArchive)
set(albef_target_ZLIB ZLIB::ZLIB)
set(albef_target_Cairo Cairo::Cairo)

set(albef_debian_Threads libc6-dev)
set(albef_debian_Eigen3 libeigen3-dev)
set(albef_debian_CUDAToolkit cuda-toolkit)
set(albef_debian_Utf8proc libutf8proc-dev)
set(albef_debian_nlohmann_json nlohmann-json3-dev)
set(albef_debian_xtensor libxtensor-dev)
set(albef_debian_JPEG libjpeg-dev)
set(albef_debian_PNG libpng-dev)
set(albef_debian_WebP libwebp-dev)
set(albef_debian_GIF libgif-dev)
set(albef_debian_TIFF libtiff-dev)
set(albef_debian_LibArchive libarchive-dev)
set(albef_debian_ZLIB zlib1g-dev)
set(albef_debian_Cairo libcairo2-dev)
set(albef_debian_doctest doctest-dev)
set(albef_debian_CLI11 libcli11-dev)
set(albef_debian_benchmark libbenchmark-dev)

set(albef_module_dir "${CMAKE_CURRENT_LIST_DIR}")

# Sets `out` to the components given and all they build on, in order of dependency, always with core
# and native, which need nothing; sets `unknown` to the names that are no component.
function(albef_close_components out unknown)
  set(wanted ${ARGN} core native)
  set(strangers ${wanted})
  list(REMOVE_ITEM strangers ${albef_components})
  set(closed "")
  set(reversed ${albef_components})
  list(REVERSE reversed)
  foreach(component IN LISTS reversed)
    if(component IN_LIST wanted)
      list(PREPEND closed ${component})
      list(APPEND wanted ${albef_needs_${component}})
    endif()
  endforeach()
  set(${out} ${closed} PARENT_SCOPE)
  set(${unknown} ${strangers} PARENT_SCOPE)
endfunction()

# Looks up `package` quietly; sets `missing` to a sentence naming the Debian package, or to "".
function(albef_find_package package user missing)
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL TRUE) # visible to whoever links our targets
  list(PREPEND CMAKE_MODULE_PATH "${albef_module_dir}")
  set(THREADS_PREFER_PTHREAD_FLAG TRUE)
  find_package(${package} QUIET)
  if(${package}_FOUND)
    set(${missing} "" PARENT_SCOPE)
  else()
    set(${missing}
        "albef: ${user} needs ${package}, which was not found. On Debian: apt-get install ${albef_debian_${package}}"
        PARENT_SCOPE)
  endif()
endfunction()

# Looks up all packages of one component; sets `missing` as above.
function(albef_find_packages component missing)
  set(all_missing "")
  foreach(package IN LISTS albef_packages_${component})
    albef_find_package(${package} "component '${component}'" sentence)
    if(sentence)
      string(APPEND all_missing "${sentence}\n")
    endif()
  endforeach()
  set(${missing} "${all_missing}" PARENT_SCOPE)
endfunction()
