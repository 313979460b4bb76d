// One tensor of a file: named bytes of some element type, and their exact conversion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/tensor.h"

namespace gi::models {

/// Element types of a file, narrow ones first.
enum class FileDType { Bool, U8, I8, U16, I16, F16, BF16, U32, I32, F32, U64, I64, F64 };

std::string_view name_of(FileDType dtype);  ///< as in the file: "F32"
std::size_t size_of(FileDType dtype);       ///< bytes of one element

/// One tensor as it lies in a file: little-endian, row-major. Rank 0 to 8 (rank 0 is one element), extents from 0.
struct TensorEntry {
  std::string name;
  FileDType dtype = FileDType::F32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;
  std::string file;  ///< where it was read from, for messages; empty when made here

  /// Entries made from numbers. Errors ShapeError: the number of values is not the shape's.
  static TensorEntry from(std::string name, std::vector<std::int64_t> shape, std::span<const float> values);
  static TensorEntry from(std::string name, std::vector<std::int64_t> shape, std::span<const double> values);
  static TensorEntry from(std::string name, std::vector<std::int64_t> shape, std::span<const std::int64_t> values);
  /// F32 or F64 as the tensor is; `shape` says how it appears in the file (without the trial axis, for instance).
  static TensorEntry from(std::string name, std::vector<std::int64_t> shape, const Tensor& tensor);

  std::int64_t count() const;
  std::string shape_str() const;  ///< "[64,3,3,3]"
  /// Every element exactly. Errors IoError: an integer beyond +-2^53.
  std::vector<double> to_doubles() const;
  /// The elements under a shape of equal count: F16, BF16 and F32 become f32, all others f64; every value exactly.
  /// NaN and infinities pass. Errors ShapeError: the counts differ; IoError: an integer beyond +-2^53.
  Tensor to_tensor(const Shape& as) const;
  /// No NaN and no infinity.
  bool all_finite() const;
};

/// The element type of this name.
std::optional<FileDType> dtype_named(std::string_view name);

/// Elements of a shape; -1 when an extent is negative or the bytes would not fit in 63 bits.
std::int64_t checked_count(std::span<const std::int64_t> shape, std::size_t element_size);

/// A name from a file as a message shows it: control characters escaped, long ones shortened.
std::string in_quotes(std::string_view name);

}  // namespace gi::models
