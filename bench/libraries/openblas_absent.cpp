#include "bench/libraries/libraries.h"

namespace gi::bench {

Work openblas_work(const Workload&, const kernels::Arguments&) { return {}; }

}  // namespace gi::bench
