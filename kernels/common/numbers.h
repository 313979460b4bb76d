// Whole numbers: pieces of extents, places in scratch, parts of a kernel's work. Only for *_cpu.cpp files.
#pragma once

#include "kernels/common/pack.h"

namespace gi::kernels::GI_ISA {

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
constexpr std::int64_t at_most(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
inline std::int64_t at_least(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
/// Scratch is handed out in cache lines.
inline std::int64_t aligned(std::int64_t bytes) { return ceil_div(bytes, 64) * 64; }
/// The size of pieces of at most `most` (at least 1), as even as they go.
inline std::int64_t even_piece(std::int64_t extent, std::int64_t most) {
  return ceil_div(extent, ceil_div(extent, at_least(most, 1)));
}

/// `extent` in pieces of at most `most` (at least 1), as even as they go: the first `large` of `size`, the others one less.
struct Split {
  std::int64_t pieces, size, large;
  Split(std::int64_t extent, std::int64_t most)
      : pieces(ceil_div(extent, most)), size(ceil_div(extent, pieces)), large(pieces - (pieces * size - extent)) {}
  std::int64_t operator[](std::int64_t piece) const { return piece < large ? size : size - 1; }
};

struct Range {
  std::int64_t first, last;
};

/// Whether a call takes a share of the parts and no more: what it has to do before a run of parts is worth as much.
enum class Taking { runs, one_share };

/// make(piece) for all pieces of what is to be in common scratch before any part is begun.
template <class Make>
void beforehand(const Arguments& args, std::int64_t pieces, Make make) {
  if (args.queue != nullptr) return args.queue->beforehand(pieces, make);
  for (std::int64_t piece = 0; piece < pieces; ++piece) make(piece);
}

/// The runs of parts, of `count`, that a call is to do: for (PartRuns runs(args, count); runs.next();), from runs.first to
/// runs.last.
struct PartRuns : Range {
  PartRuns(const Arguments& args, std::int64_t count, Taking taking = Taking::runs)
      : Range{0, 0}, args_(&args), count_(count), taking_(taking) {}
  bool next() {
    if (args_->queue != nullptr) return args_->queue->take(args_->thread, taking_ == Taking::runs, first, last);
    first = last;
    last = count_;
    return first < last;
  }

 private:
  const Arguments* args_;
  std::int64_t count_;
  Taking taking_;
};

/// The parts one by one: for (const std::int64_t part : each_part(args, count)).
class EachPart {
 public:
  struct End {};
  EachPart(const Arguments& args, std::int64_t count) : runs_(args, count) {}
  EachPart& begin() {
    there_ = runs_.next();
    part_ = runs_.first;
    return *this;
  }
  End end() const { return {}; }
  std::int64_t operator*() const { return part_; }
  bool operator!=(End) const { return there_; }
  void operator++() {
    if (++part_ == runs_.last) begin();
  }

 private:
  PartRuns runs_;
  std::int64_t part_ = 0;
  bool there_ = false;
};
inline EachPart each_part(const Arguments& args, std::int64_t count) { return {args, count}; }

/// The one run of a call that takes a share, as what it amounts to of `extent` cut into pieces of `piece`.
inline Range share_of(const Arguments& args, std::int64_t extent, std::int64_t piece) {
  PartRuns runs(args, ceil_div(extent, piece), Taking::one_share);
  if (!runs.next()) return {0, 0};
  return {runs.first * piece, at_most(runs.last * piece, extent)};
}

}  // namespace gi::kernels::GI_ISA
