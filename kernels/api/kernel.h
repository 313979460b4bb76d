// The contract between a kernel and whoever calls it, and the ordered lists kernels are chosen from.
//
// Rules every kernel keeps:
//  - Outputs are dense. Inputs may have zero or other strides only where the family's header says so; a kernel that
//    cannot take a layout declines it with a reason.
//  - Every operand has the Plan's dtype, except values of rank 1, [T]: the scalars of a trial, f64 in every Plan.
//  - A trial's result depends on nothing but that trial's operands: not on T, its block, its lane, nor on threads.
//  - No allocation, no exception, no global state; scratch comes from the caller, uninitialised.
//  - Packed operands and scratch are aligned to 128 bytes, the size of the largest pack.
//  - Reductions to rank 1 accumulate in f64.
#pragma once

#include <span>
#include <string_view>

#include "kernels/api/attrs.h"
#include "kernels/api/part_queue.h"
#include "kernels/api/view.h"

namespace gi::kernels {

/// Instruction sets of the CPU builds, worst to best, and the device. Each is compiled in a namespace of its own.
enum class Isa : std::int64_t { portable, avx2, avx512, cuda };
inline constexpr std::array<const char*, 4> kIsaNames{"portable", "avx2", "avx512", "cuda"};

/// The best instruction set this processor has, never the device. Never above the environment variable GI_ISA
/// (portable|avx2|avx512).
Isa best_isa();

/// Trials side by side in one pack: the same for both dtypes of one instruction set.
constexpr std::int64_t pack_lanes(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return 16;
    case Isa::avx2:
      return 8;
    case Isa::portable:
      return 4;
    case Isa::cuda:
      return 1;  // trials are blocks of a grid
  }
  return 1;
}

/// Shapes only, for choosing a kernel before there is memory (data pointers are null).
struct Problem {
  const void* attrs = nullptr;
  std::span<const ConstView> in;
  std::span<const View> out;
  template <class T>
  const T& attrs_as() const {
    return *static_cast<const T*>(attrs);
  }
};

struct Arguments : Problem {
  std::byte* scratch = nullptr;
  /// The scratch of one of the threads, for what all read; null: there is one only.
  std::byte* shared = nullptr;
  /// Where a kernel with `parts` takes those from that it computes, until there are none left; null: it computes everything, as
  /// kernels without do.
  PartQueue* queue = nullptr;
  int thread = 0;          ///< whose share of the queue is its own
  void* stream = nullptr;  ///< of CUDA kernels: a cudaStream_t that their work is enqueued on

  std::byte* common() const { return shared != nullptr ? shared : scratch; }  ///< scratch that all threads of a call see
};

struct Kernel;

/// An operand in another order, in which a kernel reads it faster.
struct Prepared {
  const Kernel* by = nullptr;  ///< out[0] from in[0], with the attributes of the kernel that reads it; null: the operand as it is
  std::int64_t numbers = 0;    ///< of a trial: it comes as [T,numbers]
};

/// One entry of an op's ordered list.
struct Kernel {
  const char* op;    ///< the op's name in the engine's table
  const char* name;  ///< e.g. "im2col_gemm", "trial_lanes_direct"
  Isa isa;
  DType dtype;
  std::int64_t lanes;                            ///< of the outputs, of sums over trials the inputs: 1, or pack_lanes(isa)
  const char* (*declines)(const Problem&);       ///< a reason, or nullptr when it serves; may itself be null
  std::size_t (*scratch_bytes)(const Problem&);  ///< may be null: none
  void (*run)(const Arguments&);
  /// Into how many parts the work may be cut that threads do side by side, each with scratch of its own: a number that depends
  /// on the problem alone, and so do the bits of every part. May be null: one.
  std::int64_t (*parts)(const Problem&) = nullptr;
  /// Only where it is asked for by name: it is less exact than its dtype, or not everywhere there.
  bool on_request = false;
  /// How it would rather have an operand that stays as it is in all iterations. It takes it as it is, too. May be null: so it
  /// would.
  Prepared (*prepared)(const Problem&, std::size_t operand) = nullptr;
};

/// Whether it is a kernel by request whose products of f32 are of this kind, "tf32" or "bf16x3": its name ends with that.
bool has_products(const Kernel& kernel, std::string_view kind);

/// All CPU kernels of one instruction set, best first within an op.
std::span<const Kernel> cpu_kernels(Isa isa);

/// All CUDA kernels, best first within an op; none in a build without CUDA.
std::span<const Kernel> cuda_kernels();

/// The definition of an op in code: f64, lanes 1, any strides on the inputs, dense outputs, no scratch.
using ReferenceKernel = void (*)(const Arguments&);

/// nullptr for ops that have none (leaves, views and fused ops of the Plan).
ReferenceKernel reference_kernel(const char* op);

/// One member of an op's case list: the shapes that feed tests, emulator and gi_bench alike.
enum class Domain : std::int64_t {
  normal,    ///< N(0,1)
  positive,  ///< uniform in [0.5, 2]
  off_kink,  ///< |value| in [0.15, 2.5] and at least 0.15 from -1, 1 and 6: nothing flips under a small step
  distinct,  ///< a permutation of an even grid of step 0.1, shifted by operand: no two values closer than 0.02
  simplex,   ///< non-negative rows (last axis) that sum to 1
  onehot,    ///< rows (last axis) with a single 1
};

/// Extents without the trial axis: rank 0 is the scalar of a trial, [T]. Unused dims are 0.
struct Operand {
  std::int64_t rank = 0;
  std::array<std::int64_t, kMaxRank - 1> dims{};
  Domain domain = Domain::normal;
};

struct Case {
  const char* op;
  const char* label;
  Attrs attrs;
  std::int64_t operands;
  std::array<Operand, 4> in;
  Operand out;         ///< always given: sum_to, broadcast_to and reshape have no other record of it; its domain means nothing
  bool large = false;  ///< more than 3000 elements or 2e5 multiply-adds a trial: for parity and bench, not finite differences
};

}  // namespace gi::kernels
