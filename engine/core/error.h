// What goes wrong by a caller's doing. Only main() catches; messages name the op or option and both offending values.
#pragma once

#include <stdexcept>
#include <string>

namespace gi {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Shapes that do not fit an op, a network or a file.
struct ShapeError : Error {
  using Error::Error;
};
/// An option or argument out of its range; exit code 2.
struct UsageError : Error {
  using Error::Error;
};
/// A device that is not there or cannot serve; exit code 3.
struct DeviceError : Error {
  using Error::Error;
};
/// A file that cannot be read, is not what it claims to be, or cannot be written.
struct IoError : Error {
  using Error::Error;
};

}  // namespace gi
