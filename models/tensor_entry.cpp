#include "models/tensor_entry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/core/error.h"

namespace gi::models {

namespace {

static_assert(std::endian::native == std::endian::little, "the bytes of a file are little-endian and read as they are");

struct DTypeFacts {
  std::string_view name;
  std::size_t size;
};
// In the order of FileDType.
constexpr std::array<DTypeFacts, 13> kFileDTypes{{{"BOOL", 1},
                                                  {"U8", 1},
                                                  {"I8", 1},
                                                  {"U16", 2},
                                                  {"I16", 2},
                                                  {"F16", 2},
                                                  {"BF16", 2},
                                                  {"U32", 4},
                                                  {"I32", 4},
                                                  {"F32", 4},
                                                  {"U64", 8},
                                                  {"I64", 8},
                                                  {"F64", 8}}};

template <class T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/// IEEE half to single precision, exactly.
float half_to_float(std::uint16_t h) {
  const std::uint32_t sign = (h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 0x3ffu;
  if (exponent == 0) return std::copysign(static_cast<float>(fraction) * 0x1p-24f, sign ? -1.f : 1.f);
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

constexpr std::int64_t kMaxExactInteger = std::int64_t{1} << 53;

template <class Integer>
double exact(const TensorEntry& entry, Integer value) {
  const bool fits = std::cmp_less_equal(value, kMaxExactInteger) && std::cmp_greater_equal(value, -kMaxExactInteger);
  if (!fits)
    throw IoError(
        fmt::format("{}: tensor {}: {} is beyond 2^53 and has no exact double", entry.file, in_quotes(entry.name), value));
  return static_cast<double>(value);
}

double element(const TensorEntry& entry, const std::byte* p) {
  switch (entry.dtype) {
    case FileDType::Bool:
      return load<std::uint8_t>(p) != 0;
    case FileDType::U8:
      return load<std::uint8_t>(p);
    case FileDType::I8:
      return load<std::int8_t>(p);
    case FileDType::U16:
      return load<std::uint16_t>(p);
    case FileDType::I16:
      return load<std::int16_t>(p);
    case FileDType::F16:
      return half_to_float(load<std::uint16_t>(p));
    case FileDType::BF16:
      return std::bit_cast<float>(std::uint32_t{load<std::uint16_t>(p)} << 16);
    case FileDType::U32:
      return load<std::uint32_t>(p);
    case FileDType::I32:
      return load<std::int32_t>(p);
    case FileDType::F32:
      return load<float>(p);
    case FileDType::U64:
      return exact(entry, load<std::uint64_t>(p));
    case FileDType::I64:
      return exact(entry, load<std::int64_t>(p));
    case FileDType::F64:
      return load<double>(p);
  }
  throw Error("safetensors: element type out of range");
}

template <class Visit>
void for_each_element(const TensorEntry& entry, Visit visit) {
  const std::size_t size = size_of(entry.dtype);
  for (std::size_t i = 0; i < entry.bytes.size() / size; ++i) visit(i, element(entry, entry.bytes.data() + i * size));
}

template <class T>
TensorEntry make_entry(std::string name, FileDType dtype, std::vector<std::int64_t> shape, std::span<const T> values) {
  TensorEntry entry{.name = std::move(name), .dtype = dtype, .shape = std::move(shape), .bytes = {}, .file = {}};
  if (checked_count(entry.shape, sizeof(T)) != static_cast<std::int64_t>(values.size()))
    throw ShapeError(
        fmt::format("tensor {}: {} values given for shape {}", in_quotes(entry.name), values.size(), entry.shape_str()));
  const auto bytes = std::as_bytes(values);
  entry.bytes.assign(bytes.begin(), bytes.end());
  return entry;
}

}  // namespace

std::string_view name_of(FileDType dtype) { return kFileDTypes.at(static_cast<std::size_t>(dtype)).name; }
std::size_t size_of(FileDType dtype) { return kFileDTypes.at(static_cast<std::size_t>(dtype)).size; }

TensorEntry TensorEntry::from(std::string name, std::vector<std::int64_t> shape, std::span<const float> values) {
  return make_entry(std::move(name), FileDType::F32, std::move(shape), values);
}
TensorEntry TensorEntry::from(std::string name, std::vector<std::int64_t> shape, std::span<const double> values) {
  return make_entry(std::move(name), FileDType::F64, std::move(shape), values);
}
TensorEntry TensorEntry::from(std::string name, std::vector<std::int64_t> shape, std::span<const std::int64_t> values) {
  return make_entry(std::move(name), FileDType::I64, std::move(shape), values);
}
TensorEntry TensorEntry::from(std::string name, std::vector<std::int64_t> shape, const Tensor& tensor) {
  if (tensor.dtype() == DType::f32) return from(std::move(name), std::move(shape), tensor.as<float>());
  return from(std::move(name), std::move(shape), tensor.as<double>());
}

std::int64_t TensorEntry::count() const { return static_cast<std::int64_t>(bytes.size() / size_of(dtype)); }
std::string TensorEntry::shape_str() const { return fmt::format("[{}]", fmt::join(shape, ",")); }

std::vector<double> TensorEntry::to_doubles() const {
  std::vector<double> out(count());
  for_each_element(*this, [&](std::size_t i, double value) { out[i] = value; });
  return out;
}

Tensor TensorEntry::to_tensor(const Shape& as) const {
  if (as.count() != count())
    throw ShapeError(fmt::format("{}: tensor {} is {}, expected {}", file, in_quotes(name), shape_str(), as.str()));
  const bool single = dtype == FileDType::F16 || dtype == FileDType::BF16 || dtype == FileDType::F32;
  Tensor out(as, single ? DType::f32 : DType::f64);
  if (single) for_each_element(*this, [v = out.as<float>()](std::size_t i, double value) { v[i] = static_cast<float>(value); });
  else for_each_element(*this, [v = out.as<double>()](std::size_t i, double value) { v[i] = value; });
  return out;
}

bool TensorEntry::all_finite() const {
  if (dtype == FileDType::U64 || dtype == FileDType::I64) return true;  // may have no double, which is not asked here
  bool finite = true;
  for_each_element(*this, [&](std::size_t, double value) { finite &= std::isfinite(value); });
  return finite;
}

std::optional<FileDType> dtype_named(std::string_view name) {
  const auto facts = std::ranges::find(kFileDTypes, name, &DTypeFacts::name);
  if (facts == kFileDTypes.end()) return std::nullopt;
  return static_cast<FileDType>(facts - kFileDTypes.begin());
}

std::int64_t checked_count(std::span<const std::int64_t> shape, std::size_t element_size) {
  std::int64_t bytes = static_cast<std::int64_t>(element_size);
  for (std::int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes)) return -1;
  return bytes / static_cast<std::int64_t>(element_size);
}

std::string in_quotes(std::string_view name) {
  std::string text = nlohmann::json(std::string(name.substr(0, 200))).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  return name.size() > 200 ? text + "..." : text;
}

}  // namespace gi::models
