# Installs headers and the CMake package: one export per component, so that a consumer needs only
# the third-party libraries of the components it asks for.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(albef_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/albef")

foreach(component IN LISTS albef_added_components)
  if(component STREQUAL core)
    set(target albef)
  else()
    set(target albef_${component})
  endif()
  get_target_property(file_sets ${target} INTERFACE_HEADER_SETS)
  if(file_sets)
    install(TARGETS ${target} EXPORT albef-${component} FILE_SET HEADERS
            DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  else()
    install(TARGETS ${target} EXPORT albef-${component}
            ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  endif()
  install(EXPORT albef-${component} NAMESPACE albef:: FILE albef-${component}.cmake
          DESTINATION "${albef_package_dir}")
endforeach()

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/albef-config.cmake.in" "${PROJECT_BINARY_DIR}/albef-config.cmake"
  INSTALL_DESTINATION "${albef_package_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/albef-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(
  FILES "${PROJECT_BINARY_DIR}/albef-config.cmake"
        "${PROJECT_BINARY_DIR}/albef-config-version.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/albef-components.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/FindCairo.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/FindUtf8proc.cmake"
        "${PROJECT_SOURCE_DIR}/cmake/FindWebP.cmake"
  DESTINATION "${albef_package_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/albef")
