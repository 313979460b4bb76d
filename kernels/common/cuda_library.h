// Libraries for CUDA that kernels can use and the build does not link: opened at run time, where they are there. Their kernels are
// *_cudnn.cpp and *_cublas.cpp, ordinary C++ that is compiled where the library's headers are found, and on_request. Against the
// rules of kernels/api/kernel.h they keep something between calls: the opened library and its sessions.
//
// A library is looked for
//   - where its environment variable says, a file or a folder, and then nowhere else;
//   - by its name, as the dynamic linker looks for it;
//   - in lib64/ and lib/ of $CUDA_HOME, $CUDA_PATH and /usr/local/cuda;
//   - among Python's packages, <prefix>/lib/python3*/site-packages/nvidia/*/lib, of $VIRTUAL_ENV, of the python3 on PATH, and of
//     the user. No Python is run.
// It must have all functions that are asked for, and the major version of the headers; otherwise the search goes on.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "kernels/api/kernel.h"

namespace gi::kernels {

/// None where the build had no headers of the library.
std::span<const Kernel> cudnn_kernels();
std::span<const Kernel> cublas_kernels();

struct CudaLibrary {
  const char* name;      ///< "cuDNN"
  const char* variable;  ///< "GI_CUDNN"
  const char* file;      ///< "libcudnn.so.9"
  std::span<const char* const> functions;
  int major;
  int (*major_of)(void* const* functions);  ///< the version of what was opened
};

struct OpenedLibrary {
  std::vector<void*> functions;  ///< in the order asked for; empty where it is not there
  std::string path;              ///< of the file
  std::string reason;            ///< "cuDNN: libcudnn.so.9: cannot open shared object file ..., 7 places tried"
};

/// It stays open. Tests tests/kernels/cuda_library_test.cpp
OpenedLibrary open_library(const CudaLibrary& library);

/// For take_library_error(): the first of a thread is kept.
void report_library_error(std::string what);

/// A library's functions, and the sessions they are called with: handles, descriptors. A session is lent to one caller at a time,
/// and made where none is free. Destroying a table destroys no handles: keep it until the process ends, when the driver may already
/// be gone.
template <class Functions, class Session>
class LibraryTable : public Functions {
 public:
  struct GiveBack {
    LibraryTable* to;
    void operator()(Session* session) const {
      const std::lock_guard lock(to->mutex_);
      to->free_.emplace_back(session);
    }
  };
  using Lent = std::unique_ptr<Session, GiveBack>;

  /// `make` fills a new session, or gives the reason why it cannot. Functions: pointers alone, in the order of library.functions.
  LibraryTable(const CudaLibrary& library, std::string (*make)(const Functions&, Session&))
      : opened_(open_library(library)), make_(make) {
    std::memcpy(static_cast<Functions*>(this), opened_.functions.data(), opened_.functions.size() * sizeof(void*));
  }

  /// Null, and `reason` says why, where the library or a device is not there.
  Lent lend(std::string& reason) {
    if (opened_.functions.empty()) {
      reason = opened_.reason;
      return Lent(nullptr, {this});
    }
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        Lent lent(free_.back().release(), {this});
        free_.pop_back();
        return lent;
      }
    }
    auto made = std::make_unique<Session>();
    reason = make_(*this, *made);
    return Lent(reason.empty() ? made.release() : nullptr, {this});
  }

 private:
  OpenedLibrary opened_;
  std::string (*make_)(const Functions&, Session&);
  std::mutex mutex_;
  std::vector<std::unique_ptr<Session>> free_;
};

/// Work space is aligned to this, which is more than scratch is.
inline constexpr std::size_t kWorkspaceAlignment = 256;
inline std::byte* workspace_in(const Arguments& args) {
  const auto address = reinterpret_cast<std::uintptr_t>(args.scratch);
  return args.scratch + (kWorkspaceAlignment - address % kWorkspaceAlignment) % kWorkspaceAlignment;
}
constexpr std::size_t scratch_for(std::size_t workspace) { return workspace > 0 ? workspace + kWorkspaceAlignment : 0; }

inline const char* not_dense(const Problem& problem) {
  for (const ConstView& v : problem.in)
    if (!v.dense_from(1)) return "an input is not dense from axis 1 on";
  return nullptr;
}

/// One trial of an operand.
template <class Scalar>
const Scalar* of_trial(const ConstView& v, std::int64_t t) {
  return v.as<Scalar>() + (v.shared() ? 0 : t * v.strides[0]);
}
template <class Scalar>
Scalar* of_trial(const View& v, std::int64_t t) {
  return v.as<Scalar>() + t * v.count_per_block();
}

}  // namespace gi::kernels
