// Where tests find real data: $GI_DATA, else ../shared/data beside the repository.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace gi::test {

/// A file of the shared data. When it is not there, says so in the form that ctest reports as skipped; the test returns then.
inline std::optional<std::filesystem::path> data_file(const std::string& name) {
  const char* set = std::getenv("GI_DATA");
  const auto path = (set ? std::filesystem::path(set) : std::filesystem::path(GI_SOURCE_DIR) / "../shared/data") / name;
  if (std::filesystem::exists(path)) return path;
  std::printf("[gi: skipped] shared data: %s is not there\n", name.c_str());
  return std::nullopt;
}

/// A folder of its own for files a test writes, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "gi_test_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::filesystem::filesystem_error("mkdtemp", name, std::error_code());
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace gi::test
