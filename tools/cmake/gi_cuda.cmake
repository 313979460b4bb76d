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

# The headers of libraries that kernels can use: all that the build needs of them (kernels/common/cuda_library.h), with nvcc or without.
#   GI_CUDNN_INCLUDE    the folder of cudnn.h, version 9 or later; a folder without it for none
#   GI_CUBLAS_INCLUDE   the folder of cublas_v2.h, 12 or later
# What is found is in gi_libraries, a list of cudnn and cublas.
function(gi_find_library_headers library header version_header macro oldest)
  string(TOUPPER GI_${library}_INCLUDE folder)
  get_filename_component(toolkit "${GI_NVCC}/../.." ABSOLUTE)
  find_path(${folder} ${header} HINTS $ENV{CUDA_HOME} $ENV{CUDA_PATH} ${toolkit} /usr/local/cuda PATH_SUFFIXES include)
  find_path(GI_CUDART_INCLUDE cuda_runtime_api.h HINTS $ENV{CUDA_HOME} $ENV{CUDA_PATH} ${toolkit} /usr/local/cuda PATH_SUFFIXES include)
  mark_as_advanced(${folder} GI_CUDART_INCLUDE)
  if(NOT EXISTS ${${folder}}/${version_header} OR NOT GI_CUDART_INCLUDE)
    return()
  endif()
  file(STRINGS ${${folder}}/${version_header} line REGEX "#define ${macro} ")
  string(REGEX MATCH "[0-9]+$" major "${line}")
  if(major GREATER_EQUAL oldest)
    list(APPEND gi_libraries ${library})
    set(gi_libraries ${gi_libraries} PARENT_SCOPE)
  endif()
endfunction()
set(gi_libraries "")
gi_find_library_headers(cudnn cudnn.h cudnn_version.h CUDNN_MAJOR 9)
gi_find_library_headers(cublas cublas_v2.h cublas_api.h CUBLAS_VER_MAJOR 12)
