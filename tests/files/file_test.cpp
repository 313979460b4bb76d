#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>

#include "engine/core/error.h"
#include "models/file.h"
#include "tests/shared_data.h"

using namespace gi;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

std::string content(const fs::path& path) {
  const auto bytes = models::read_file(path, 1 << 20);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::size_t entries(const fs::path& folder) { return std::distance(fs::directory_iterator(folder), fs::directory_iterator()); }

/// No file of this process grows beyond `bytes` while this lives: write() fails as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_{};
  void (*handler_)(int) = nullptr;
};

}  // namespace

TEST_CASE("a file is written, replaced and read back", "[unit]") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "a.bin";
  models::write_file_atomically(path, "first");
  CHECK(content(path) == "first");
  models::write_file_atomically(path, "");
  CHECK(content(path).empty());
  const std::string large(3'000'000, 'x');
  models::write_file_atomically(path, large);
  CHECK(fs::file_size(path) == large.size());
  CHECK_THROWS_AS(models::read_file(path, large.size() - 1), IoError);
  CHECK(models::read_file(path, large.size()).size() == large.size());
  CHECK(entries(folder.path()) == 1);

  models::write_file_atomically(folder / std::string(255, 'n'), "the longest name");
  CHECK(entries(folder.path()) == 2);
}

TEST_CASE("a bare file name is written to the working folder", "[unit]") {
  const test::TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  models::write_file_atomically("bare", "here");
  fs::current_path(before);
  CHECK(content(folder / "bare") == "here");
}

TEST_CASE("permissions stay and links are followed", "[unit]") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "private";
  models::write_file_atomically(path, "old");
  ::chmod(path.c_str(), 0600);
  fs::create_symlink("private", folder / "link");
  models::write_file_atomically(folder / "link", "new");
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(content(path) == "new");
  CHECK(fs::status(path).permissions() == fs::perms(0600));
}

TEST_CASE("a disk that fills up leaves the old content and nothing else", "[unit]") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "report.json";
  models::write_file_atomically(path, "old");
  {
    const FileSizeLimit limit(100'000);
    CHECK_THROWS_WITH(models::write_file_atomically(path, std::string(200'000, 'x')),
                      Contains("report.json") && Contains("File too large"));
    CHECK_THROWS_AS(models::write_file_atomically(folder / "other", std::string(200'000, 'x')), IoError);
  }
  CHECK(content(path) == "old");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("files that cannot be written say why", "[unit]") {
  const test::TemporaryFolder folder;
  const auto write = [](const fs::path& path) { models::write_file_atomically(path, "x"); };
  CHECK_THROWS_WITH(write(folder / "missing" / "a"), Contains("missing/a") && Contains("No such file or directory"));
  CHECK_THROWS_WITH(write(folder.path()), Contains("a folder"));
  CHECK_THROWS_WITH(write("/dev/full"), Contains("a device"));
  CHECK(fs::is_character_file("/dev/full"));
  CHECK_THROWS_AS(write(""), IoError);
  if (::geteuid() != 0) {
    ::chmod(folder.path().c_str(), 0500);
    CHECK_THROWS_WITH(write(folder / "a"), Contains("Permission denied"));
    ::chmod(folder.path().c_str(), 0700);
  }
  CHECK(entries(folder.path()) == 0);
}

TEST_CASE("what cannot be read says why", "[unit]") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(models::read_file(folder / "none", 10), Contains("none") && Contains("No such file or directory"));
  CHECK_THROWS_WITH(models::read_file(folder.path(), 10), Contains("is a folder"));
  CHECK_THROWS_WITH(models::read_file("/dev/zero", 10), Contains("no regular file"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(models::read_file(folder / "pipe", 10), Contains("no regular file"));

  models::write_file_atomically(folder / "short", "12345");
  models::InputFile file(folder / "short");
  CHECK(file.size() == 5);
  std::vector<std::byte> six(6);
  CHECK_THROWS_WITH(file.read(six), Contains("ends 1 bytes too early"));
}
