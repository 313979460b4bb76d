#include "models/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "engine/core/error.h"

namespace gi::models {

namespace fs = std::filesystem;

namespace {

/// What the system says about its last refusal.
[[noreturn]] void fail(const fs::path& path, std::string_view what) {
  const int code = errno;
  throw IoError(fmt::format("{}: {}: {}", path.string(), what, std::generic_category().message(code)));
}

/// A file that disappears again unless it is renamed into place.
class TemporaryFile {
 public:
  /// Beside `target`, so that the rename stays within one file system. The name is short: target's may be of the longest kind.
  explicit TemporaryFile(const fs::path& target) {
    static std::atomic<unsigned> serial{0};
    do {
      path_ = target.parent_path() / fmt::format(".gi-{}-{}.part", ::getpid(), serial++);
      fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (fd_ < 0 && errno == EEXIST);
    if (fd_ < 0) fail(target, "cannot be written");
  }
  ~TemporaryFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(const fs::path& target, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail(target, "cannot be written");
      bytes = bytes.subspan(n);
    }
  }
  void rename_to(const fs::path& target) {
    if (::fsync(fd_) != 0) fail(target, "cannot be written");
    if (::close(std::exchange(fd_, -1)) != 0) fail(target, "cannot be written");
    if (::rename(path_.c_str(), target.c_str()) != 0) fail(target, "cannot be replaced");
    path_.clear();
  }
  int descriptor() const { return fd_; }

 private:
  fs::path path_;
  int fd_ = -1;
};

}  // namespace

InputFile::InputFile(const fs::path& path) : path_(path) {
  // Without O_NONBLOCK, opening a named pipe would wait for a writer.
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) fail(path, "cannot be opened");
  struct stat status {};
  const bool known = ::fstat(fd_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    ::close(fd_);
    throw IoError(
        fmt::format("{}: is {}, expected a file", path.string(), S_ISDIR(status.st_mode) ? "a folder" : "no regular file"));
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() { ::close(fd_); }

void InputFile::read(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t n = ::read(fd_, out.data(), out.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path_, "cannot be read");
    if (n == 0) throw IoError(fmt::format("{}: ends {} bytes too early", path_.string(), out.size()));
    out = out.subspan(n);
  }
}

std::vector<std::byte> read_file(const fs::path& path, std::uint64_t max_bytes) {
  InputFile file(path);
  if (file.size() > max_bytes)
    throw IoError(fmt::format("{}: is {} bytes long, at most {} are read", path.string(), file.size(), max_bytes));
  std::vector<std::byte> bytes(file.size());
  file.read(bytes);
  return bytes;
}

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  std::error_code ignored;
  const fs::file_status old = fs::status(path, ignored);
  if (fs::exists(old) && !fs::is_regular_file(old))
    throw IoError(fmt::format("{}: is {}, not a file that could be replaced", path.string(),
                              fs::is_directory(old) ? "a folder" : "a device or pipe"));
  // rename() would replace a link by the file; what is meant is the file it leads to.
  fs::path target = fs::exists(old) ? fs::canonical(path, ignored) : path;
  if (target.empty()) target = path;

  TemporaryFile file(target);
  if (fs::exists(old)) ::fchmod(file.descriptor(), static_cast<mode_t>(old.permissions()));  // best effort: not ours to own
  file.write(path, bytes);
  file.rename_to(target);

  // The content is in place; syncing the folder only makes the new name outlive a power cut, so failure is no error.
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  if (const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); fd >= 0) {
    ::fsync(fd);
    ::close(fd);
  }
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace gi::models
