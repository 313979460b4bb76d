// The ordered kernel lists of the CPU builds, and which build this processor can run.
#include <cstdlib>
#include <string_view>

#include "kernels/api/kernel.h"

namespace gi::kernels {

namespace portable {
std::span<const Kernel> kernels();
}
#ifdef GI_HAVE_ISA_avx2
namespace avx2 {
std::span<const Kernel> kernels();
}
#endif
#ifdef GI_HAVE_ISA_avx512
namespace avx512 {
std::span<const Kernel> kernels();
}
#endif

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

Isa best_isa() {
  Isa best = Isa::portable;
#ifdef GI_HAVE_ISA_avx2
  if (__builtin_cpu_supports("x86-64-v3")) best = Isa::avx2;
#endif
#ifdef GI_HAVE_ISA_avx512
  if (__builtin_cpu_supports("x86-64-v4")) best = Isa::avx512;
#endif
  if (const char* limit = std::getenv("GI_ISA"); limit != nullptr)
    for (std::size_t i = 0; i < kIsaNames.size(); ++i)
      if (std::string_view(limit) == kIsaNames[i] && static_cast<Isa>(i) < best) best = static_cast<Isa>(i);
  return best;
}

}  // namespace gi::kernels
