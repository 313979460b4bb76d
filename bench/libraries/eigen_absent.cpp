#include "bench/libraries/libraries.h"

namespace gi::bench {

Work eigen_work(const Workload&, const kernels::Arguments&) { return {}; }

}  // namespace gi::bench
