// Chains of elementwise ops, block by block through registers of 4 KiB that stay in the first-level cache.
//
// Packs are only scalars here: the lanes become one more innermost axis, along which shared operands have stride 0. Axes
// are merged as far as every operand allows; what is left is seen as planes of rows of scalars, and a block is a piece of
// a row, some whole rows of a plane, or some whole planes, so that small planes do not mean small blocks.
#include "kernels/api/elementwise.h"

#include "kernels/common/variants.h"
#include "kernels/elementwise/instructions.h"

namespace gi::kernels::GI_ISA {
namespace {

using Chain = ElementwiseChain;
template <class S>
constexpr std::int64_t kBlock = 4096 / sizeof(S);
constexpr int kAxes = kMaxRank + 1;
constexpr int kRegisters = Chain::kMaxInputs + Chain::kMaxInstructions;

template <class S>
using OtherThan = std::conditional_t<sizeof(S) == 4, double, float>;

struct Operand {
  const void* data;
  std::int64_t stride[kAxes];                  // in scalars
  bool converted;                              // f64 in an f32 chain
  bool in_place;                               // every block is contiguous and of the chain's dtype: no copy
  bool same_in_planes;                         // all planes read the same
  bool repeats;                                // all vectors of a block are equal, so its register holds but one
  std::int64_t filled = -1, filled_count = 0;  // offset and size of the block its register holds
};

/// The merged axes: planes (all outer ones), rows, columns.
struct Space {
  int axes = 0;
  std::int64_t extent[kAxes];
  std::int64_t planes = 1, rows = 1, columns = 1;
  std::int64_t block_planes, block_rows, block_columns;
};

/// Planes [plane, plane + planes) and so on.
struct Block {
  std::int64_t plane, planes, row, rows, column, columns;
  std::int64_t count() const { return planes * rows * columns; }
};

template <class S>
S* copy_numbers(S* to, const S* from, std::int64_t n) {
  return static_cast<S*>(__builtin_memcpy(to, from, static_cast<std::size_t>(n) * sizeof(S)));
}

template <class S>
class Runner {
 public:
  Runner(const Arguments& args, std::int64_t lanes);
  void run();
  std::int64_t blocks() const {
    return ceil_div(space_.planes, space_.block_planes) * ceil_div(space_.rows, space_.block_rows) *
           ceil_div(space_.columns, space_.block_columns);
  }

 private:
  static constexpr DType kDType = sizeof(S) == 4 ? DType::f32 : DType::f64;

  void merge_axes(const Layout& out, std::int64_t lanes);
  void choose_block();
  void assign_registers();
  std::int64_t plane_offset(const Operand& operand, std::int64_t plane) const;
  BlockOf<S> operand_block(int i, const Block& range, bool whole_vectors);
  void run_blocks(Range wanted);
  void run_block(const Block& range, std::int64_t out_offset);

  const Chain& chain_;
  const Arguments& args_;
  int inputs_, instructions_, outputs_;
  Space space_;
  Operand operands_[Chain::kMaxInputs];
  S* buffer_[kRegisters];       // where a register's block may be kept
  int written_to_[kRegisters];  // output that instruction i may write at once, or -1
};

template <class S>
Runner<S>::Runner(const Arguments& args, std::int64_t lanes)
    : chain_(*static_cast<const Chain*>(args.attrs)),
      args_(args),
      inputs_(static_cast<int>(chain_.inputs)),
      instructions_(static_cast<int>(chain_.instructions)),
      outputs_(static_cast<int>(chain_.outputs)) {
  merge_axes(args.out.data()[0], lanes);
  choose_block();
  assign_registers();
}

template <class S>
void Runner<S>::merge_axes(const Layout& out, std::int64_t lanes) {
  for (int axis = 0; axis <= out.rank; ++axis) {
    const bool lane_axis = axis == out.rank;
    const std::int64_t extent = lane_axis ? lanes : out.dims[axis];
    if (extent == 1) continue;
    std::int64_t stride[Chain::kMaxInputs];
    bool merges = space_.axes > 0;
    for (int i = 0; i < inputs_; ++i) {
      const ConstView& v = args_.in.data()[i];
      if (lane_axis) stride[i] = v.lanes == 1 ? 0 : 1;
      else stride[i] = (axis == 0 ? block_stride(v) : v.strides[axis]) * v.lanes;
      merges = merges && operands_[i].stride[space_.axes - 1] == stride[i] * extent;
    }
    if (merges) --space_.axes;
    space_.extent[space_.axes] = merges ? space_.extent[space_.axes] * extent : extent;
    for (int i = 0; i < inputs_; ++i) operands_[i].stride[space_.axes] = stride[i];
    ++space_.axes;
  }
  for (; space_.axes < 2; ++space_.axes) {  // at least a row and a column axis
    for (int axis = space_.axes; axis > 0; --axis) {
      space_.extent[axis] = space_.extent[axis - 1];
      for (int i = 0; i < inputs_; ++i) operands_[i].stride[axis] = operands_[i].stride[axis - 1];
    }
    space_.extent[0] = 1;
    for (int i = 0; i < inputs_; ++i) operands_[i].stride[0] = 0;
  }
}

template <class S>
void Runner<S>::choose_block() {
  Space& s = space_;
  s.columns = s.extent[s.axes - 1];
  s.rows = s.extent[s.axes - 2];
  for (int axis = 0; axis < s.axes - 2; ++axis) s.planes *= s.extent[axis];
  s.block_columns = at_most(s.columns, kBlock<S>);
  s.block_rows = at_most(s.rows, at_least(1, kBlock<S> / s.columns));
  s.block_planes = at_most(s.planes, at_least(1, kBlock<S> / (s.rows * s.columns)));

  for (int i = 0; i < inputs_; ++i) {
    Operand& operand = operands_[i];
    const ConstView& v = args_.in.data()[i];
    operand.data = v.data;
    operand.converted = v.dtype != kDType;
    const std::int64_t* stride = operand.stride;
    bool dense_planes = true;
    operand.same_in_planes = true;
    std::int64_t expected = s.rows * s.columns;
    for (int axis = s.axes - 3; axis >= 0; --axis) {
      dense_planes = dense_planes && stride[axis] == expected;
      operand.same_in_planes = operand.same_in_planes && stride[axis] == 0;
      expected *= s.extent[axis];
    }
    operand.in_place = !operand.converted && (s.columns == 1 || stride[s.axes - 1] == 1) &&
                       (s.block_rows == 1 || stride[s.axes - 2] == s.columns) && (s.block_planes == 1 || dense_planes);
    const bool one_row = s.block_rows == 1 || stride[s.axes - 2] == 0, one_plane = s.block_planes == 1 || operand.same_in_planes;
    operand.repeats = one_row && one_plane && (stride[s.axes - 1] == 0 || s.columns == kElements<S>);
    for (int o = 0; o < outputs_; ++o) operand.repeats = operand.repeats && chain_.result.data()[o] != i;
  }
}

template <class S>
void Runner<S>::assign_registers() {
  int last_use[kRegisters];
  for (int r = 0; r < inputs_ + instructions_; ++r) last_use[r] = r - inputs_;  // its own instruction
  for (int i = 0; i < instructions_; ++i) {
    const Chain::Instruction& code = chain_.code.data()[i];
    last_use[code.x] = i;
    if (arity(code.op) == 2) last_use[code.y] = i;
  }
  for (int o = 0; o < outputs_; ++o) last_use[chain_.result.data()[o]] = instructions_;

  S* free[kRegisters];
  int free_count = 0;
  S* next = reinterpret_cast<S*>(args_.scratch);
  for (int r = 0; r < inputs_; ++r, next += kBlock<S>) buffer_[r] = next;
  for (int i = 0; i < instructions_; ++i) {
    const Chain::Instruction& code = chain_.code.data()[i];
    const int x = static_cast<int>(code.x), y = static_cast<int>(code.y);
    // An instruction may overwrite an operand that it is the last to read; inputs keep theirs from block to block.
    if (x >= inputs_ && last_use[x] == i) free[free_count++] = buffer_[x];
    if (arity(code.op) == 2 && y != x && y >= inputs_ && last_use[y] == i) free[free_count++] = buffer_[y];
    const int r = inputs_ + i;
    if (free_count > 0) buffer_[r] = free[--free_count];
    else buffer_[r] = next, next += kBlock<S>;
    if (last_use[r] == i) free[free_count++] = buffer_[r];  // nobody reads it
    written_to_[r] = -1;
  }

  // A result goes to its output at once, unless that output takes the place of an operand somebody reads later.
  for (int o = 0; o < outputs_; ++o) {
    const int r = static_cast<int>(chain_.result.data()[o]);
    bool direct = r >= inputs_ && written_to_[r] < 0;
    for (int i = 0; direct && i < inputs_; ++i)
      if (args_.in.data()[i].data == args_.out.data()[o].data && last_use[i] > r - inputs_) direct = false;
    if (direct) written_to_[r] = o;
  }
}

template <class S>
std::int64_t Runner<S>::plane_offset(const Operand& operand, std::int64_t plane) const {
  std::int64_t offset = 0;
  for (int axis = space_.axes - 3; axis >= 0; --axis) {
    if (plane == 0) break;
    offset += plane % space_.extent[axis] * operand.stride[axis];
    plane /= space_.extent[axis];
  }
  return offset;
}

template <class S>
BlockOf<S> Runner<S>::operand_block(int i, const Block& range, bool whole_vectors) {
  Operand& operand = operands_[i];
  const std::int64_t row_stride = operand.stride[space_.axes - 2], stride = operand.stride[space_.axes - 1];
  std::int64_t offset = operand.same_in_planes ? 0 : plane_offset(operand, range.plane);
  offset += range.row * row_stride + range.column * stride;
  if (operand.in_place && whole_vectors) return {static_cast<const S*>(operand.data) + offset, false};

  S* to = buffer_[i];
  const bool fixed = range.planes == 1 || operand.same_in_planes;  // the offset says it all
  if (offset == operand.filled && range.count() <= operand.filled_count) return {to, operand.repeats};
  if (operand.repeats) {
    const auto fill = [&](const auto* from) { gather_plane(to, from, 1, kElements<S>, 0, stride); };
    if (operand.converted) fill(static_cast<const OtherThan<S>*>(operand.data) + offset);
    else fill(static_cast<const S*>(operand.data) + offset);
    operand.filled = operand.in_place ? -1 : offset;
    operand.filled_count = kBlock<S>;
    return {to, true};
  }
  for (std::int64_t p = 0; p < range.planes; ++p, to += range.rows * range.columns) {
    if (p > 0 && !operand.same_in_planes) offset = plane_offset(operand, range.plane + p);
    if (operand.converted) {
      gather_plane(to, static_cast<const OtherThan<S>*>(operand.data) + offset, range.rows, range.columns, row_stride, stride);
    } else {
      gather_plane(to, static_cast<const S*>(operand.data) + offset, range.rows, range.columns, row_stride, stride);
    }
  }
  // What a register holds may be reused unless an output overwrites it in memory, which happens to dense operands only.
  operand.filled = fixed && !operand.in_place ? offset : -1;
  operand.filled_count = range.count();
  return {buffer_[i], false};
}

template <class S>
void Runner<S>::run_block(const Block& range, std::int64_t out_offset) {
  const std::int64_t n = range.count();
  const std::int64_t padded = (n + kLanes - 1) / kLanes * kLanes;
  const bool whole = n == padded;
  BlockOf<S> value[kRegisters];
  for (int i = 0; i < inputs_; ++i) value[i] = operand_block(i, range, whole);
  for (int i = 0; i < instructions_; ++i) {
    const Chain::Instruction& code = chain_.code.data()[i];
    const int r = inputs_ + i;
    S* to = buffer_[r];
    if (whole && written_to_[r] >= 0) to = static_cast<S*>(args_.out.data()[written_to_[r]].data) + out_offset;
    value[r] = {to, false};
    execute(code, to, value[code.x], arity(code.op) == 2 ? value[code.y] : value[code.x], padded);
  }
  // Nothing but a result that is an operand itself can still be overwritten by another output: it steps aside first.
  const S* result[Chain::kMaxOutputs];
  S* aside = reinterpret_cast<S*>(args_.scratch) + (inputs_ + instructions_) * kBlock<S>;
  for (int o = 0; o < outputs_; ++o, aside += kBlock<S>) {
    const int r = static_cast<int>(chain_.result.data()[o]);
    result[o] = r < inputs_ ? copy_numbers(aside, value[r].data, n) : value[r].data;
  }
  for (int o = 0; o < outputs_; ++o) {
    S* to = static_cast<S*>(args_.out.data()[o].data) + out_offset;
    if (to != result[o]) copy_numbers(to, result[o], n);
  }
}

template <class S>
void Runner<S>::run() {
  for (PartRuns runs(args_, blocks()); runs.next();) run_blocks(runs);
}

template <class S>
void Runner<S>::run_blocks(Range wanted) {
  const Space& s = space_;
  std::int64_t offset = 0, number = 0;
  Block range;
  for (range.plane = 0; range.plane < s.planes; range.plane += s.block_planes) {
    range.planes = at_most(s.block_planes, s.planes - range.plane);
    for (range.row = 0; range.row < s.rows; range.row += s.block_rows) {
      range.rows = at_most(s.block_rows, s.rows - range.row);
      for (range.column = 0; range.column < s.columns; range.column += s.block_columns) {
        range.columns = at_most(s.block_columns, s.columns - range.column);
        if (number >= wanted.first && number < wanted.last) run_block(range, offset);
        offset += range.count();
        ++number;
      }
    }
  }
}

template <class Real>
const char* declines(const Problem& problem) {
  for (std::size_t o = 0; o < problem.out.size(); ++o)
    if (problem.out.data()[o].dtype != kDTypeOf<Real>) return "an output has another dtype";
  for (std::size_t i = 0; i < problem.in.size(); ++i) {
    const ConstView& v = problem.in.data()[i];
    if (v.lanes != kLanesOf<Real> && (v.lanes != 1 || block_stride(v) != 0)) return "an operand differs by trial, but not by lane";
  }
  return nullptr;
}

template <class Real>
std::size_t scratch_bytes(const Problem& problem) {
  const auto& chain = *static_cast<const Chain*>(problem.attrs);
  return static_cast<std::size_t>((chain.inputs + chain.instructions + chain.outputs) * kBlock<ScalarOf<Real>>) *
         sizeof(ScalarOf<Real>);
}

template <class Real>
std::int64_t block_parts(const Problem& problem) {
  const Arguments args{problem};
  return Runner<ScalarOf<Real>>(args, kLanesOf<Real>).blocks();
}

template <class Real>
void run(const Arguments& args) {
  Runner<ScalarOf<Real>>(args, kLanesOf<Real>).run();
}

}  // namespace

std::span<const Kernel> elementwise_kernels() {
  static constexpr Kernel kTable[] = {GI_KERNEL_VARIANTS("elementwise_chain", "blocks", declines, scratch_bytes, run, block_parts)};
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
