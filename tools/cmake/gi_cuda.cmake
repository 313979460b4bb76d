# The CUDA language, where the toolkit is installed. Architectures are always explicit: nvcc's default is too old to be of use.
#   GI_CUDA                 ON where nvcc is found, but for sanitizers' builds, whose kernels are emulated
#   GI_CUDA_ARCHITECTURES   "90-real" for development; "80;86;89;90;100;120" is what is released
find_program(GI_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
mark_as_advanced(GI_NVCC)
set(found OFF)
if(GI_NVCC AND NOT GI_SANITIZE)
  set(found ON)
endif()
option(GI_CUDA "Build the CUDA kernels" ${found})
set(GI_CUDA_ARCHITECTURES 90-real CACHE STRING "What CUDA kernels are compiled for")

if(GI_CUDA)
  if(NOT CMAKE_CUDA_COMPILER AND GI_NVCC)
    set(CMAKE_CUDA_COMPILER ${GI_NVCC})
  endif()
  set(CMAKE_CUDA_ARCHITECTURES ${GI_CUDA_ARCHITECTURES})
  enable_language(CUDA)
  find_package(CUDAToolkit 12 REQUIRED)
  # CMake 3.25 does not know that nvcc 13 takes it.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  if(CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  endif()
endif()
