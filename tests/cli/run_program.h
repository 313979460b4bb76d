// Running the programs as a user does, and small inputs for them.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/shared_data.h"
#include "tools/common/image.h"

extern char** environ;

namespace gi::test {

inline std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Outcome {
  int code = -1;  ///< exit code, or minus the number of the signal that ended it
  std::string out, err;
};

/// A program that runs beside the test, its output in files of `folder`.
class Running {
 public:
  /// `argv[0]` is one of our programs, or a path.
  Running(const TemporaryFolder& folder, std::vector<std::string> argv) : out_(folder / "stdout"), err_(folder / "stderr") {
    if (argv[0].find('/') == std::string::npos) argv[0] = std::string(GI_BIN_DIR) + "/" + argv[0];
    std::vector<char*> pointers;
    pointers.reserve(argv.size() + 1);
    for (std::string& a : argv) pointers.push_back(a.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_addopen(&files, 2, err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (posix_spawn(&pid_, pointers[0], &files, nullptr, pointers.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&files);
  }
  void signal(int number) const { ::kill(pid_, number); }
  bool ended() {
    int status = 0;
    if (code_ == kRuns && ::waitpid(pid_, &status, WNOHANG) == pid_) note(status);
    return code_ != kRuns;
  }
  Outcome wait() {
    int status = 0;
    if (pid_ > 0 && code_ == kRuns && ::waitpid(pid_, &status, 0) == pid_) note(status);
    return {code_, text_of(out_), text_of(err_)};
  }

 private:
  static constexpr int kRuns = -1000;
  void note(int status) { code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status); }

  std::filesystem::path out_, err_;
  pid_t pid_ = -1;
  int code_ = kRuns;
};

inline Outcome run(const TemporaryFolder& folder, std::vector<std::string> argv) { return Running(folder, std::move(argv)).wait(); }

/// A smooth picture as PNG.
inline std::string write_picture(const TemporaryFolder& folder, const std::string& name, int which = 0, int side = 16) {
  std::vector<double> planes;
  for (int c = 0; c < 3; ++c)
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x) planes.push_back(0.5 + 0.4 * std::sin(0.25 * x + 0.15 * y + c + which));
  tools::save_png(folder / name, tools::from_planes(planes, 3, side, side));
  return folder / name;
}

inline void write_text(const std::filesystem::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

}  // namespace gi::test
