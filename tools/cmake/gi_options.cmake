# Compiler options every target shares. Floating-point contraction is fixed, so that a build computes the same bits
# whatever flags a distribution adds.
set(GI_SANITIZE "" CACHE STRING "Sanitizers, separated by commas: address,undefined or thread")
option(GI_COMPILER_CACHE "Compile through ccache where it is installed" ON)

add_library(gi_options INTERFACE)
target_compile_features(gi_options INTERFACE cxx_std_20)
target_compile_options(gi_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers -Wno-psabi -Wno-ignored-attributes -ffp-contract=fast)
target_include_directories(gi_options INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)

set(GI_KERNEL_OPTIONS -O3)
set(GI_EMULATED_OPTIONS -O2)
if(GI_SANITIZE)
  # Unrolled tiles under sanitizers take minutes to compile, so kernels are optimised no further, and where a pointer of theirs that
  # leads astray is used AddressSanitizer finds it, without a look at every sum of addresses.
  set(GI_KERNEL_OPTIONS -fno-sanitize=pointer-overflow,null,object-size)
  set(GI_EMULATED_OPTIONS ${GI_KERNEL_OPTIONS})
  # A report ends the program: a sanitizer that only prints lets tests pass.
  add_compile_options(-O1 -g1 -fno-omit-frame-pointer -fsanitize=${GI_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${GI_SANITIZE})
endif()

if(GI_COMPILER_CACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(GI_CCACHE ccache)
  if(GI_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${GI_CCACHE})
  endif()
endif()
