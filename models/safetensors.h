// Tensors in files: the safetensors format, read as untrusted input and written deterministically.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "models/tensor_entry.h"

namespace gi::models {

struct TensorFile {
  std::vector<TensorEntry> tensors;  ///< in the order of their bytes in the file
  std::map<std::string, std::string> metadata;

  const TensorEntry* find(std::string_view name) const;  ///< null when there is none
};

/// Reads a safetensors file: 8 bytes of header length, a JSON header, then the tensors' bytes without gaps.
///
/// Everything the header says is checked against the size of the file before memory for tensors is taken; no more than
/// the file's size is ever allocated for them.
/// Errors IoError naming file and tensor: anything that is not a well-formed file; header above 100 MB; rank above 8;
/// an element type that is not in FileDType.
/// Tests tests/files/safetensors_test.cpp
TensorFile read_safetensors(const std::filesystem::path& path);

/// Writes atomically; equal arguments give equal bytes. Tensors lie in the given order, wide element types first, so that each is
/// aligned to its element.
/// Errors IoError naming file and tensor: the file cannot be written, a name twice or not UTF-8, bytes that do not fit the shape.
void write_safetensors(const std::filesystem::path& path, const TensorFile& file);

}  // namespace gi::models
