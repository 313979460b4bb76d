// The oracle: a Program run node by node with the reference kernels, in f64, every value kept.
#pragma once

#include <string_view>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/graph/program.h"

namespace gi {

/// Offers what Workspace offers, so that a test can drive either. `program` must outlive it.
class Interpreter {
 public:
  explicit Interpreter(const Program& program);

  /// Binds an input or sets a state. Errors ShapeError: another shape than the leaf's; UsageError: no such leaf.
  void set(std::string_view name, const Tensor& value);
  /// An output of the last run, an input, or a state, [T,...] f64. Errors UsageError: no such name.
  Tensor get(std::string_view name) const;
  /// One iteration. Errors UsageError: an input or state that was never set; gi::Error: an op without a reference kernel.
  void run();

 private:
  const Program& program_;
  std::vector<Tensor> values_;
};

}  // namespace gi
