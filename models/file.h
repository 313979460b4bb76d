// Files as bytes: read with a bound, written whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace gi::models {

/// A regular file opened for reading. Errors IoError: it is missing, a directory, a device or not permitted.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const { return size_; }
  /// The next out.size() bytes. Errors IoError: the file ends before, or cannot be read.
  void read(std::span<std::byte> out);

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

/// A whole file. Errors IoError: as InputFile, or the file is larger than max_bytes (nothing is read then).
/// Tests tests/files/file_test.cpp
std::vector<std::byte> read_file(const std::filesystem::path& path, std::uint64_t max_bytes);

/// Replaces `path` by these bytes: after a return they are there, after an exception the old content still is (or the
/// file is still absent) and nothing is left beside it. A symbolic link is followed; an existing file keeps its mode.
/// Errors IoError with the system's reason: no such folder, no permission, disk full, not a regular file.
/// Tests tests/files/file_test.cpp
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace gi::models
