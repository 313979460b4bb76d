// What other libraries do with the same work, on one thread. Of each library one file is built: <name>.cpp, or
// <name>_absent.cpp where it is not installed.
#pragma once

#include <functional>
#include <vector>

#include "bench/workload.h"
#include "kernels/matmul/matmul.h"

namespace gi::bench {

/// Does a workload's work once, on its operands or on ones of the library's own layout; empty where the library has nothing
/// for it. `args` must outlive it.
using Work = std::function<void()>;

/// multiply(geometry, a, b, add, y) for all products of a matmul workload.
template <class Scalar>
Work products(const kernels::Arguments& args,
              void (*multiply)(const kernels::MatmulGeometry&, const Scalar*, const Scalar*, bool, Scalar*)) {
  return [&args, multiply] {
    const auto& geo = args.attrs_as<kernels::MatmulGeometry>();
    for (std::size_t pair = 0; pair < args.in.size(); pair += 2)
      for (std::int64_t i = 0; i < geo.batch; ++i)
        multiply(geo, args.in[pair].as<Scalar>() + i * geo.m * geo.k, args.in[pair + 1].as<Scalar>() + i * geo.k * geo.n, pair > 0,
                 args.out[0].as<Scalar>() + i * geo.m * geo.n);
  };
}

Work eigen_work(const Workload& workload, const kernels::Arguments& args);     ///< matmul
Work openblas_work(const Workload& workload, const kernels::Arguments& args);  ///< matmul
/// The convolutions in f32, in the layouts that oneDNN likes best, its reorders left out.
Work onednn_work(const Workload& workload, const kernels::Arguments& args);

struct Library {
  const char* name;
  Work (*work)(const Workload&, const kernels::Arguments&);
};
inline constexpr Library kLibraries[] = {{"Eigen", eigen_work}, {"OpenBLAS", openblas_work}, {"oneDNN", onednn_work}};

/// Seconds of processor time once, the best mean of a few short runs.
double seconds_of(const Work& work);

}  // namespace gi::bench
