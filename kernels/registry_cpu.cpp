// The ordered kernel lists of the CPU builds, and which build this processor can run.
#include <cstdlib>
#include <string_view>

#include "kernels/api/kernel.h"
#include "kernels/common/ceiling_loops.h"

namespace gi::kernels {

namespace portable {
std::span<const Kernel> kernels();
CeilingLoops ceiling_loops();
}  // namespace portable
#ifdef GI_HAVE_ISA_avx2
namespace avx2 {
std::span<const Kernel> kernels();
CeilingLoops ceiling_loops();
}  // namespace avx2
#endif
#ifdef GI_HAVE_ISA_avx512
namespace avx512 {
std::span<const Kernel> kernels();
CeilingLoops ceiling_loops();
}  // namespace avx512
#endif

bool has_products(const Kernel& kernel, std::string_view kind) {
  const std::string_view name = kernel.name;
  return kernel.on_request && name.size() > kind.size() && name.ends_with(kind) && name[name.size() - kind.size() - 1] == '_';
}

std::span<const Kernel> cpu_kernels(Isa isa) {
  switch (isa) {
#ifdef GI_HAVE_ISA_avx512
    case Isa::avx512:
      return avx512::kernels();
#endif
#ifdef GI_HAVE_ISA_avx2
    case Isa::avx2:
      return avx2::kernels();
#endif
    default:
      return portable::kernels();
  }
}

CeilingLoops ceiling_loops(Isa isa) {
  switch (isa) {
#ifdef GI_HAVE_ISA_avx512
    case Isa::avx512:
      return avx512::ceiling_loops();
#endif
#ifdef GI_HAVE_ISA_avx2
    case Isa::avx2:
      return avx2::ceiling_loops();
#endif
    default:
      return portable::ceiling_loops();
  }
}

Isa best_isa() {
  Isa best = Isa::portable;
#ifdef GI_HAVE_ISA_avx2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) best = Isa::avx2;
#endif
#ifdef GI_HAVE_ISA_avx512
  const bool runs = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512vl");
  if (runs || (GI_AVX512_FROM_AVX2 && best == Isa::avx2)) best = Isa::avx512;
#endif
  if (const char* limit = std::getenv("GI_ISA"); limit != nullptr)
    for (std::size_t i = 0; i < kIsaNames.size(); ++i)
      if (std::string_view(limit) == kIsaNames[i] && static_cast<Isa>(i) < best) best = static_cast<Isa>(i);
  return best;
}

}  // namespace gi::kernels
