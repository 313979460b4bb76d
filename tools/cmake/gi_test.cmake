# Registering tests with ctest.
#
#   gi_discover_tests(target LABEL ops [FILTER [gpu]] [WITHOUT emulated])
#
# Every Catch2 test case of a program, or those with the tag FILTER, becomes one ctest test, "ops: name"; its tags are its labels
# but for WITHOUT, and LABEL is one more.
# (Catch2 2.13's own catch_discover_tests has no labels.) The program is asked after each build, in the build.
set(GI_DISCOVER_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/gi_discover.cmake)

function(gi_discover_tests target)
  cmake_parse_arguments(arg "" "LABEL;FILTER;WITHOUT" "" ${ARGN})
  set(list ${CMAKE_CURRENT_BINARY_DIR}/${target}_tests.cmake)
  set(timeout 900)
  if(GI_SANITIZE)
    set(timeout 7200) # 900 s are too few for large emulated kernels with ThreadSanitizer
  endif()
  add_custom_command(TARGET ${target} POST_BUILD BYPRODUCTS ${list}
    COMMAND ${CMAKE_COMMAND} -D PROGRAM=$<TARGET_FILE:${target}> -D LABEL=${arg_LABEL} -D LIST=${list}
      -D FILTER=${arg_FILTER} -D WITHOUT=${arg_WITHOUT} -D TIMEOUT=${timeout}
      -P ${GI_DISCOVER_SCRIPT}
    VERBATIM)
  set(include ${CMAKE_CURRENT_BINARY_DIR}/${target}_include.cmake)
  file(WRITE ${include} "if(EXISTS \"${list}\")\n  include(\"${list}\")\nelse()\n  add_test(${target}_not_built ${target}_not_built)\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${include})
endfunction()
