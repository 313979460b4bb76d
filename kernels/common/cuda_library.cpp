#include "kernels/common/cuda_library.h"

#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "kernels/api/library_error.h"

namespace gi::kernels {
namespace {

namespace fs = std::filesystem;

thread_local std::string library_error;

fs::path variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// Where packages of Python may be installed.
std::vector<fs::path> python_prefixes() {
  std::vector<fs::path> prefixes{variable("VIRTUAL_ENV")};
  const std::string path = variable("PATH").string();
  for (std::size_t begin = 0, end; begin < path.size(); begin = end + 1) {
    end = std::min(path.find(':', begin), path.size());
    const fs::path python = fs::path(path.substr(begin, end - begin)) / "python3";
    if (!is_there(python)) continue;
    std::error_code ignored;
    prefixes.push_back(python.parent_path().parent_path());
    prefixes.push_back(fs::canonical(python, ignored).parent_path().parent_path());
  }
  prefixes.push_back(variable("HOME") / ".local");
  std::erase_if(prefixes, [](const fs::path& p) { return !p.is_absolute(); });
  return prefixes;
}

std::vector<fs::path> places(const CudaLibrary& library) {
  std::error_code ignored;
  if (const fs::path asked = variable(library.variable); !asked.empty())
    return {fs::is_directory(asked, ignored) ? asked / library.file : asked};
  std::vector<fs::path> list{library.file};
  for (const fs::path& toolkit : {variable("CUDA_HOME"), variable("CUDA_PATH"), fs::path("/usr/local/cuda")})
    for (const char* folder : {"lib64", "lib"})
      if (!toolkit.empty()) list.push_back(toolkit / folder / library.file);
  for (const fs::path& prefix : python_prefixes())
    for (const char* packages : {"lib/python3*/*-packages", "local/lib/python3*/*-packages"}) {
      const fs::path pattern = prefix / packages / "nvidia/*/lib" / library.file;
      glob_t found{};
      if (::glob(pattern.c_str(), 0, nullptr, &found) == 0)
        for (std::size_t i = 0; i < found.gl_pathc; ++i) list.emplace_back(found.gl_pathv[i]);
      ::globfree(&found);
    }
  return list;
}

/// Fills `opened`, or gives the reason why not.
std::string open_at(const std::string& place, const CudaLibrary& library, OpenedLibrary& opened) {
  void* const handle = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return ::dlerror();
  std::vector<void*> functions;
  std::string reason;
  for (const char* function : library.functions) {
    functions.push_back(::dlsym(handle, function));
    if (functions.back() == nullptr && reason.empty()) reason = place + ": has no " + function;
  }
  if (reason.empty())
    if (const int major = library.major_of(functions.data()); major != library.major)
      reason = place + ": version " + std::to_string(major) + ", not " + std::to_string(library.major);
  if (!reason.empty()) {
    ::dlclose(handle);
    return reason;
  }
  Dl_info info{};
  ::dladdr(functions[0], &info);
  opened.path = info.dli_fname;
  opened.functions = std::move(functions);
  return "";
}

}  // namespace

OpenedLibrary open_library(const CudaLibrary& library) {
  OpenedLibrary opened;
  std::string reasons;
  const std::vector<fs::path> list = places(library);
  for (const fs::path& place : list) {
    const std::string reason = open_at(place, library, opened);
    if (reason.empty()) return opened;
    // Of the places that were only guessed, those that have a file.
    if (reasons.empty() || is_there(place)) reasons += (reasons.empty() ? "" : "; ") + reason;
  }
  opened.reason = std::string(library.name) + ": " + reasons + ", " + std::to_string(list.size()) +
                  (list.size() == 1 ? " place tried" : " places tried");
  return opened;
}

void report_library_error(std::string what) {
  if (library_error.empty()) library_error = std::move(what);
}

std::string take_library_error() { return std::exchange(library_error, {}); }

}  // namespace gi::kernels
