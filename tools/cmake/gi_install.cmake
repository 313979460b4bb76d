# `cmake --install` gives the programs and a library that find_package(gi) finds. Headers keep their paths, so that
# `#include "engine/graph/graph.h"` reads the same inside and outside of the repository.
include(CMakePackageConfigHelpers)

set(gi_layers kernels engine models inversion)
set(gi_include_dir ${CMAKE_INSTALL_INCLUDEDIR}/gi)
set(gi_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gi)

foreach(layer IN LISTS gi_layers)
  add_library(gi::${layer} ALIAS gi_${layer})
  set_target_properties(gi_${layer} PROPERTIES EXPORT_NAME ${layer})
  target_compile_features(gi_${layer} INTERFACE cxx_std_20)
  target_include_directories(gi_${layer} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${gi_include_dir}>)
  if(NOT layer STREQUAL kernels)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/${layer} DESTINATION ${gi_include_dir} COMPONENT development FILES_MATCHING PATTERN "*.h")
  endif()
endforeach()

# Of the kernels only api/ and each family's <family>/<family>.h: the rest is compiled once per instruction set, or for tests.
file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/kernels/*/*.h)
foreach(header IN LISTS headers)
  string(REGEX MATCH "^kernels/(.*)/(.*)[.]h$" path ${header})
  if(CMAKE_MATCH_1 STREQUAL api OR CMAKE_MATCH_1 STREQUAL CMAKE_MATCH_2)
    install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${gi_include_dir}/kernels/${CMAKE_MATCH_1} COMPONENT development)
  endif()
endforeach()

set_target_properties(gi_options PROPERTIES EXPORT_NAME options) # only named by the static libraries' link interface
install(TARGETS gi_options gi_kernels gi_engine gi_models gi_inversion EXPORT gi_targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT gi_targets NAMESPACE gi:: DESTINATION ${gi_config_dir} COMPONENT development)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/gi-config.cmake.in ${PROJECT_BINARY_DIR}/gi-config.cmake
  INSTALL_DESTINATION ${gi_config_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/gi-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/gi-config.cmake ${PROJECT_BINARY_DIR}/gi-config-version.cmake
  DESTINATION ${gi_config_dir} COMPONENT development)
