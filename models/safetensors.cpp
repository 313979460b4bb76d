#include "models/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <new>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/core/error.h"
#include "models/file.h"

namespace gi::models {

namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kMaxFileRank = 8;
constexpr std::string_view kMetadataKey = "__metadata__";

[[noreturn]] void fail(std::string_view file, std::string_view reason) { throw IoError(fmt::format("{}: {}", file, reason)); }
[[noreturn]] void fail(std::string_view file, std::string_view tensor, std::string_view reason) {
  throw IoError(fmt::format("{}: tensor {}: {}", file, in_quotes(tensor), reason));
}

/// The JSON text. The parser keeps the last of two equal keys and nests as deep as its input; here the first is an error, and so is
/// anything deeper than the arrays of a tensor's description, before it is stored.
json parse_header(std::string_view text, std::string_view file) {
  std::array<std::set<std::string>, 4> keys;
  std::size_t elements = 0;
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    const bool opens = event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
    if (opens && depth > 2) fail(file, "the header is nested too deeply");
    if (opens) keys[depth + 1].clear(), elements = 0;
    if (event == json::parse_event_t::key && !keys[depth].insert(parsed.get<std::string>()).second)
      fail(file, fmt::format("the header has {} twice", in_quotes(parsed.get<std::string>())));
    if (event == json::parse_event_t::value && depth == 3 && ++elements > kMaxFileRank)
      fail(file, fmt::format("the header has a list of more than {} numbers", kMaxFileRank));
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::exception& error) {
    const auto* where = dynamic_cast<const json::parse_error*>(&error);
    fail(file, fmt::format("the header is not JSON (byte {} of {})", where ? where->byte : 0, text.size()));
  }
}

/// A description in the header and where its bytes lie in the data.
struct Described {
  TensorEntry entry;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// A list of whole numbers from 0 to 2^63 - 1.
std::vector<std::int64_t> numbers(const json& object, const char* key, std::string_view file, std::string_view name) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) fail(file, name, fmt::format("'{}' is not a list", key));
  std::vector<std::int64_t> out;
  for (const json& number : *found) {
    if (!number.is_number_unsigned() || number.get<std::uint64_t>() > std::uint64_t{INT64_MAX})
      fail(file, name, fmt::format("'{}' holds something other than a whole number from 0 to 2^63 - 1", key));
    out.push_back(number.get<std::int64_t>());
  }
  return out;
}

Described describe(const std::string& name, const json& object, std::uint64_t data_bytes, std::string_view file) {
  if (!object.is_object()) fail(file, name, "is not described by an object");
  const auto type = object.find("dtype");
  if (type == object.end() || !type->is_string()) fail(file, name, "'dtype' is not a text");
  const auto dtype = dtype_named(type->get_ref<const std::string&>());
  if (!dtype) fail(file, name, fmt::format("dtype {} is not known", in_quotes(type->get<std::string>())));

  Described out;
  out.entry.name = name;
  out.entry.dtype = *dtype;
  out.entry.file = file;
  out.entry.shape = numbers(object, "shape", file, name);
  const std::int64_t count = checked_count(out.entry.shape, size_of(*dtype));
  if (count < 0) fail(file, name, fmt::format("shape {} is too large", out.entry.shape_str()));
  const auto offsets = numbers(object, "data_offsets", file, name);
  if (offsets.size() != 2 || offsets[0] > offsets[1]) fail(file, name, "'data_offsets' is not a begin and an end");
  out.begin = offsets[0];
  out.end = offsets[1];
  if (out.end > data_bytes)
    fail(file, name,
         fmt::format("ends at byte {} of the data, which is {} bytes long; is the file cut short?", out.end, data_bytes));
  if (out.end - out.begin != count * size_of(*dtype))
    fail(file, name,
         fmt::format("shape {} of {} takes {} bytes, 'data_offsets' give {}", out.entry.shape_str(), name_of(*dtype),
                     count * size_of(*dtype), out.end - out.begin));
  return out;
}

/// Every byte of the data belongs to exactly one tensor.
void check_tiling(std::span<const Described> sorted, std::uint64_t data_bytes, std::string_view file) {
  std::uint64_t position = 0;
  for (const Described& d : sorted) {
    if (d.begin != position)
      fail(file, d.entry.name,
           fmt::format("begins at byte {} of the data, expected {}: {}", d.begin, position,
                       d.begin < position ? "tensors overlap" : "bytes belong to no tensor"));
    position = d.end;
  }
  if (position != data_bytes) fail(file, fmt::format("{} bytes follow the last tensor", data_bytes - position));
}

}  // namespace

const TensorEntry* TensorFile::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &TensorEntry::name);
  return found == tensors.end() ? nullptr : &*found;
}

TensorFile read_safetensors(const std::filesystem::path& path) try {
  const std::string file = path.string();
  InputFile in(path);
  if (in.size() < 8) fail(file, fmt::format("is {} bytes long, too short for a safetensors file", in.size()));
  std::uint64_t header_bytes = 0;
  in.read(std::as_writable_bytes(std::span(&header_bytes, 1)));
  if (header_bytes > in.size() - 8)
    fail(file, fmt::format("not a safetensors file, or cut short: a header of {} bytes in a file of {}", header_bytes, in.size()));
  if (header_bytes > kMaxHeaderBytes)
    fail(file, fmt::format("the header is {} bytes long, at most {} are read", header_bytes, kMaxHeaderBytes));
  std::string text(header_bytes, '\0');
  in.read(std::as_writable_bytes(std::span(text)));
  const json header = parse_header(text, file);
  if (!header.is_object()) fail(file, "the header is not a JSON object");

  TensorFile out;
  std::vector<Described> described;
  const std::uint64_t data_bytes = in.size() - 8 - header_bytes;
  for (const auto& [name, value] : header.items()) {
    if (name != kMetadataKey) {
      described.push_back(describe(name, value, data_bytes, file));
      continue;
    }
    if (!value.is_object()) fail(file, "'__metadata__' is not an object");
    for (const auto& [key, entry] : value.items()) {
      if (!entry.is_string()) fail(file, fmt::format("metadata {} is not a text", in_quotes(key)));
      out.metadata[key] = entry.get<std::string>();
    }
  }
  std::ranges::stable_sort(described, {}, [](const Described& d) { return std::pair(d.begin, d.end); });
  check_tiling(described, data_bytes, file);

  for (Described& d : described) {
    d.entry.bytes.resize(d.end - d.begin);
    in.read(d.entry.bytes);
    out.tensors.push_back(std::move(d.entry));
  }
  return out;
} catch (const std::bad_alloc&) {
  throw IoError(fmt::format("{}: is larger than the memory there is", path.string()));
}

void write_safetensors(const std::filesystem::path& path, const TensorFile& file) {
  const std::string target = path.string();
  std::vector<const TensorEntry*> order;
  for (const TensorEntry& entry : file.tensors) order.push_back(&entry);
  std::ranges::stable_sort(order, std::greater(), [](const TensorEntry* e) { return size_of(e->dtype); });

  std::set<std::string_view> names{kMetadataKey};
  std::string header = "{";
  std::uint64_t offset = 0;
  const auto text = [&](const std::string& s) {
    try {
      return json(s).dump();
    } catch (const json::exception&) {
      fail(target, fmt::format("{} is not UTF-8", in_quotes(s)));
    }
  };
  if (!file.metadata.empty()) {
    header += fmt::format("{}:{{", text(std::string(kMetadataKey)));
    for (const auto& [key, value] : file.metadata) header += fmt::format("{}:{},", text(key), text(value));
    header.back() = '}';
    header += ',';
  }
  for (const TensorEntry* e : order) {
    if (!names.insert(e->name).second) fail(target, e->name, "is there twice, or has a reserved name");
    const std::int64_t count = checked_count(e->shape, size_of(e->dtype));
    if (e->shape.size() > kMaxFileRank || count < 0 || count * size_of(e->dtype) != e->bytes.size())
      fail(target, e->name,
           fmt::format("{} bytes do not make a {} of shape {}", e->bytes.size(), name_of(e->dtype), e->shape_str()));
    header += fmt::format(R"({}:{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}},)", text(e->name), name_of(e->dtype),
                          e->shape_str(), offset, offset + e->bytes.size());
    offset += e->bytes.size();
  }
  if (header.back() == ',') header.pop_back();
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');

  std::vector<std::byte> bytes;
  bytes.reserve(8 + header.size() + offset);
  const auto append = [&](std::span<const std::byte> part) { bytes.insert(bytes.end(), part.begin(), part.end()); };
  const std::uint64_t header_bytes = header.size();
  append(std::as_bytes(std::span(&header_bytes, 1)));
  append(std::as_bytes(std::span(header)));
  for (const TensorEntry* e : order) append(e->bytes);
  write_file_atomically(path, bytes);
}

}  // namespace gi::models
