#include "tools/common/program.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <new>

#include "engine/core/error.h"
#include "engine/device/cuda_device.h"
#include "tools/common/options.h"
#include "tools/common/version.h"

namespace gi::tools {
namespace {

const char* program_name = "gi";  // for messages only; set once, before anything runs

int complain(std::string_view message, int code) {
  fmt::print(stderr, "{}: error: {}\n", program_name, message);
  return code;
}

}  // namespace

int run_program(const char* program, int argc, char** argv, int (*body)(int argc, char** argv)) {
  program_name = program;
#ifdef SIGXFSZ
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is then an error of write() with a name, not a death
#endif
  try {
    const int code = body(argc, argv);
    if (std::fflush(stdout) != 0) return complain("the results could not be written to standard output", kFailure);
    return code;
  } catch (const TextAsked& e) {
    fmt::print("{}", e.text);
    return kDone;
  } catch (const CLI::ParseError& e) {
    return complain(fmt::format("{}\n  hint: {} --help lists the options", e.what(), program), kUsage);
  } catch (const UsageError& e) {
    return complain(e.what(), kUsage);
  } catch (const DeviceError& e) {
    return complain(e.what(), kNoDevice);
  } catch (const std::bad_alloc&) {
    return complain("out of memory", kFailure);
  } catch (const std::exception& e) {
    return complain(e.what(), kFailure);
  }
}

std::string version_line(std::string_view program) { return fmt::format("{} {} ({})", program, kVersion, kRevision); }
std::string_view revision() { return kRevision; }

std::string processor_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name"))
      if (const auto colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "unknown";
}

void warn(std::string_view message) { fmt::print(stderr, "{}: warning: {}\n", program_name, message); }

std::unique_ptr<Device> chosen_device(std::string_view name, bool debug) {
  if (name == "cpu") return nullptr;
  try {
    return open_cuda_device(debug);
  } catch (const DeviceError& e) {
    if (name == "auto") return nullptr;
    throw DeviceError(fmt::format("--device cuda: {}\n  hint: --device cpu serves everywhere", e.what()));
  }
}

}  // namespace gi::tools
