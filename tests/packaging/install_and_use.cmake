# Run by ctest with BUILD, CXX, GENERATOR and CONFIG (of the library).
set(work ${BUILD}/tests/packaging/work)
set(prefix ${work}/prefix)

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGV}: ${result}")
  endif()
endfunction()

file(REMOVE_RECURSE ${work})
run(${CMAKE_COMMAND} --install ${BUILD} --component development --prefix ${prefix} --config ${CONFIG})

# Every installed header must stand on its own, with nothing of the source tree in reach.
file(GLOB_RECURSE headers RELATIVE ${prefix}/include/gi ${prefix}/include/gi/*.h)
list(LENGTH headers count)
if(count LESS 20)
  message(FATAL_ERROR "only ${count} headers were installed: ${headers}")
endif()
foreach(header IN LISTS headers)
  string(MAKE_C_IDENTIFIER ${header} name)
  file(WRITE ${work}/headers/${name}.cpp "#include \"${header}\"\n#include \"${header}\"\n")
endforeach()

run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/consumer -B ${work}/build -G ${GENERATOR} -D CMAKE_CXX_COMPILER=${CXX}
  -D CMAKE_BUILD_TYPE=Debug -D CMAKE_PREFIX_PATH=${prefix} -D HEADERS=${work}/headers -D CMAKE_FIND_USE_PACKAGE_REGISTRY=OFF)
run(${CMAKE_COMMAND} --build ${work}/build)
run(${work}/build/consumer)
