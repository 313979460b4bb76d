// Libraries that are opened at run time: where they are looked for, what is refused, and that kernels describe to cuDNN and cuBLAS
// what they mean. No GPU and no such library is needed: fakes stand in for them.
#include "kernels/common/cuda_library.h"

#include <dlfcn.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "kernels/api/library_error.h"
#include "kernels/conv2d/conv2d_cases.h"
#include "kernels/matmul/matmul_cases.h"
#include "tests/kernels/fake_cuda_libraries/fake.h"
#include "tests/kernels/parity_run.h"
#include "tests/shared_data.h"

using namespace gi::kernels;
using namespace gi::kernels::parity;
namespace fs = std::filesystem;

namespace {

const fs::path kLibraries = GI_TEST_LIBRARIES;

/// Environment variables for as long as it lives.
class Environment {
 public:
  ~Environment() {
    for (const auto& [name, value] : before_) put(name, value);
  }
  void set(const std::string& name, const std::optional<std::string>& value) {
    const char* const old = std::getenv(name.c_str());
    before_.emplace(name, old != nullptr ? std::optional<std::string>(old) : std::nullopt);
    put(name, value);
  }

 private:
  static void put(const std::string& name, const std::optional<std::string>& value) {
    if (value) ::setenv(name.c_str(), value->c_str(), 1);
    else ::unsetenv(name.c_str());
  }
  std::map<std::string, std::optional<std::string>> before_;
};

int version_of(void* const* functions) { return reinterpret_cast<int (*)()>(functions[0])(); }

constexpr const char* kTinyFunctions[] = {"gi_tiny_version"};
constexpr CudaLibrary kTiny{"Tiny", "GI_TINY", "libgi_tiny.so.7", kTinyFunctions, 7, version_of};

fs::path put_tiny(const fs::path& folder) {
  fs::create_directories(folder);
  fs::copy_file(kLibraries / "tiny_library.so", folder / kTiny.file, fs::copy_options::overwrite_existing);
  return folder / kTiny.file;
}

/// Nothing around: each place is a folder of its own below `root`.
void isolate(Environment& environment, const fs::path& root) {
  environment.set("GI_TINY", std::nullopt);
  environment.set("CUDA_HOME", (root / "cuda_home").string());
  environment.set("CUDA_PATH", (root / "cuda_path").string());
  environment.set("VIRTUAL_ENV", (root / "venv").string());
  environment.set("PATH", "relative:" + (root / "nothing").string() + ":" + (root / "python/bin").string());
  environment.set("HOME", (root / "home").string());
}

/// "cudnn" or "cublas" as the kernels will find it; null where this build has no headers of it.
FakeLibrary* use_fake(Environment& environment, const std::string& library) {
  const fs::path file = kLibraries / ("fake_" + library + ".so");
  if (!fs::exists(file)) {
    std::printf("[gi: skipped] this build found no headers of %s\n", library.c_str());
    return nullptr;
  }
  environment.set(library == "cudnn" ? "GI_CUDNN" : "GI_CUBLAS", file.string());
  void* const handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  REQUIRE(handle != nullptr);
  return static_cast<FakeLibrary*>(::dlsym(handle, "gi_fake_library"));
}

struct Form {
  unsigned shared;  ///< bit i: operand i is
  bool pair;
};

/// Operands of three trials, and what the reference makes of them.
struct Sample {
  std::vector<Input> in;
  std::vector<double> expected;
};

Sample draw_sample(const Case& c, DType dtype, const Form& form) {
  constexpr int kTrials = 3;
  Sample sample;
  std::vector<Array> arrays;
  for (int i = 0; i < c.operands * (form.pair ? 2 : 1); ++i) {
    const Operand& operand = c.in[static_cast<std::size_t>(i % c.operands)];
    Input input{.dims = dims_of(operand), .dtype = dtype, .shared = (form.shared >> i & 1u) != 0};
    input.values = draw(operand, dtype, kTrials, static_cast<std::uint64_t>(7 * i + 1));
    Array array{input.dims, input.values, {}};
    array.dims.insert(array.dims.begin(), kTrials);
    const auto n = static_cast<std::ptrdiff_t>(input.values.size()) / kTrials;
    for (int t = 1; t < kTrials && input.shared; ++t) std::copy_n(array.values.begin(), n, array.values.begin() + t * n);
    sample.in.push_back(std::move(input));
    arrays.push_back(std::move(array));
  }
  Dims out_dims = dims_of(c.out);
  out_dims.insert(out_dims.begin(), kTrials);
  sample.expected = run_reference(c.op, c.attrs, arrays, out_dims);
  return sample;
}

/// All kernels of a library on all cases that are not large, in every form.
void check_cases(std::span<const Kernel> kernels, const std::vector<Case>& cases) {
  std::set<std::string> served;
  for (const Case& c : cases)
    for (const DType dtype : {DType::f32, DType::f64}) {
      if (c.large) continue;  // describes nothing else
      for (const Form& form : {Form{0, false}, Form{1, false}, Form{2, false}, Form{3, false}, Form{0, true}, Form{5, true},
                               Form{10, true}, Form{8, true}}) {
        if (form.pair && std::string_view(c.op) == "conv2d_grad_weight") continue;
        const Sample sample = draw_sample(c, dtype, form);
        const Output out{.dims = dims_of(c.out), .dtype = dtype};
        for (const Kernel& kernel : kernels) {
          if (std::string_view(kernel.op) != c.op || kernel.dtype != dtype) continue;
          CAPTURE(describe(kernel), c.op, c.label, form.shared, form.pair);
          Bits bits;
          for (const std::int64_t places : {1, 3}) {
            const std::vector<int> trials = trials_at(places, 3);
            const Outcome outcome = run_kernel(kernel, c.attrs.data(), sample.in, {&out, 1}, trials, nullptr);
            REQUIRE(outcome.declined == "");
            CHECK(outcome.fault == "");
            CHECK(relative_error(outcome.out[0], sample.expected, trials) <= (dtype == DType::f32 ? 2e-7 : 1e-14));
            CHECK(bits.differs(outcome, trials) == -1);
          }
          served.insert(std::string(c.op) + kernel.name + (dtype == DType::f32 ? "32" : "64"));
        }
      }
    }
  CHECK(served.size() == kernels.size());
}

/// One case through one kernel.
Outcome run_case(const Kernel& kernel, const Case& c) {
  const Sample sample = draw_sample(c, kernel.dtype, {0, false});
  const Output out{.dims = dims_of(c.out), .dtype = kernel.dtype};
  return run_kernel(kernel, c.attrs.data(), sample.in, {&out, 1}, trials_at(2, 3), nullptr);
}

}  // namespace

TEST_CASE("a CUDA library is looked for where its variable says, by name, in toolkits, among Python's packages", "[unit]") {
  const gi::test::TemporaryFolder root;
  Environment environment;
  isolate(environment, root.path());
  fs::create_directories(root / "python/bin");
  std::ofstream(root / "python/bin/python3") << "";

  // The last place first: what comes to lie in one before it is found instead.
  for (const char* folder :
       {"home/.local/lib/python3.12/site-packages/nvidia/tiny/lib", "python/lib/python3/dist-packages/nvidia/tiny/lib",
        "venv/lib/python3.11/site-packages/nvidia/cu13/lib", "cuda_path/lib64", "cuda_home/lib", "cuda_home/lib64"}) {
    const fs::path file = put_tiny(root / folder);
    const OpenedLibrary opened = open_library(kTiny);
    CHECK(opened.path == file);
    CHECK(opened.functions.size() == 1);
    CHECK(opened.reason == "");
  }
  const fs::path asked = put_tiny(root / "asked");
  for (const fs::path& said : {asked, asked.parent_path()}) {
    environment.set("GI_TINY", said.string());
    CHECK(open_library(kTiny).path == asked);
  }
  environment.set("GI_TINY", (root / "nowhere").string());
  const OpenedLibrary nowhere = open_library(kTiny);
  CHECK(nowhere.functions.empty());
  CHECK_THAT(nowhere.reason,
             Catch::StartsWith("Tiny: " + (root / "nowhere").string() + ": cannot open") && Catch::EndsWith(", 1 place tried"));
}

TEST_CASE("what is no such library, lacks a function or has another version is passed over, and named", "[unit]") {
  const gi::test::TemporaryFolder root;
  Environment environment;
  isolate(environment, root.path());
  CHECK_THAT(open_library(kTiny).reason,
             Catch::StartsWith("Tiny: libgi_tiny.so.7: cannot open") && Catch::EndsWith(", 7 places tried"));

  fs::create_directories(root / "cuda_home/lib64");
  std::ofstream(root / "cuda_home/lib64/libgi_tiny.so.7") << "no library";
  CHECK_THAT(open_library(kTiny).reason, Catch::Contains("; " + (root / "cuda_home/lib64/libgi_tiny.so.7").string() + ": "));

  const fs::path file = put_tiny(root / "cuda_path/lib");
  CHECK(open_library(kTiny).path == file);  // past the first
  constexpr const char* kMore[] = {"gi_tiny_version", "gi_tiny_product"};
  CudaLibrary other = kTiny;
  other.functions = kMore;
  CHECK_THAT(open_library(other).reason, Catch::Contains("; " + file.string() + ": has no gi_tiny_product, "));
  other = kTiny;
  other.major = 8;
  CHECK_THAT(open_library(other).reason, Catch::Contains("; " + file.string() + ": version 7, not 8, "));
  CHECK(open_library(other).functions.empty());
}

TEST_CASE("sessions of a library are made where none is free, and lent to one caller at a time", "[unit]") {
  const gi::test::TemporaryFolder root;
  Environment environment;
  isolate(environment, root.path());
  environment.set("GI_TINY", put_tiny(root / "asked").string());
  struct Functions {
    int (*version)();
  };
  struct Session {
    int number = 0;
    bool busy = false;
  };
  static std::atomic<int> made;
  made = 0;
  LibraryTable<Functions, Session> table(kTiny, [](const Functions& lib, Session& s) -> std::string {
    if (made == 4) return "no more";
    s.number = ++made * lib.version();
    return "";
  });
  std::string reason;
  {
    const auto first = table.lend(reason), second = table.lend(reason);
    CHECK(first->number == 7);
    CHECK(second->number == 14);
  }
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        std::string ignored;
        const auto lent = table.lend(ignored);
        wrong += lent == nullptr || std::exchange(lent->busy, true);
        if (lent != nullptr) lent->busy = false;
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(wrong == 0);
  CHECK(made <= 4);

  made = 4;
  std::vector<decltype(table.lend(reason))> all;
  while (all.empty() || all.back() != nullptr) all.push_back(table.lend(reason));
  CHECK(all.size() <= 5);
  CHECK(reason == "no more");
}

TEST_CASE("without a device cuDNN's and cuBLAS's kernels decline", "[unit]") {
  for (const std::string library : {"cudnn", "cublas"}) {
    Environment environment;
    FakeLibrary* const fake = use_fake(environment, library);
    if (fake == nullptr) continue;
    const Case c = library == "cudnn" ? conv2d_cases()[0] : matmul_cases()[0];
    const Kernel& kernel = (library == "cudnn" ? cudnn_kernels() : cublas_kernels())[0];
    REQUIRE(fake->handles == 0);  // this case comes before those that make one
    fake->device = false;
    CHECK_THAT(run_case(kernel, c).declined, Catch::Contains(": no handle: "));
    fake->device = true;
    CHECK(run_case(kernel, c).declined == "");
    CHECK(fake->handles == 1);
  }
}

TEST_CASE("cuDNN's kernels against the references, in a fake cuDNN", "[parity]") {
  Environment environment;
  FakeLibrary* const fake = use_fake(environment, "cudnn");
  if (fake == nullptr) return;
  const int before = fake->products;
  check_cases(cudnn_kernels(), conv2d_cases());
  CHECK(fake->products > before);
}

TEST_CASE("cuBLAS's kernels against the references, in a fake cuBLAS", "[parity]") {
  Environment environment;
  FakeLibrary* const fake = use_fake(environment, "cublas");
  if (fake == nullptr) return;
  const int before = fake->products;
  check_cases(cublas_kernels(), matmul_cases());
  CHECK(fake->products > before);
}

TEST_CASE("library kernels are the device's last and only on request; the rounding is in the name", "[unit]") {
  std::map<std::string, std::set<int>> math;
  std::vector<Kernel> libraries;
  for (const std::string library : {"cudnn", "cublas"}) {
    Environment environment;
    FakeLibrary* const fake = use_fake(environment, library);
    if (fake == nullptr) continue;
    const std::vector<Case> cases = library == "cudnn" ? conv2d_cases() : matmul_cases();
    for (const Kernel& kernel : library == "cudnn" ? cudnn_kernels() : cublas_kernels()) {
      libraries.push_back(kernel);
      CHECK(kernel.on_request);
      CHECK(kernel.isa == Isa::cuda);
      const auto c =
          std::find_if(cases.begin(), cases.end(), [&](const Case& any) { return std::string_view(any.op) == kernel.op; });
      CHECK(run_case(kernel, *c).declined == "");
      if (kernel.dtype == DType::f32) math[kernel.name].insert(fake->math);
    }
  }
  for (const char* library : {"cudnn", "cublas"})
    for (const int value : math[std::string(library) + "_tf32"]) CHECK(math[library].count(value) == 0);
  const std::span<const Kernel> all = cuda_kernels();
  if (all.empty()) return;  // a build without CUDA
  REQUIRE(all.size() > libraries.size());
  for (std::size_t i = 0; i < libraries.size(); ++i)
    CHECK(std::string_view(all[all.size() - libraries.size() + i].name) == libraries[i].name);
}

TEST_CASE("what a library's product ends with is kept for the device's check", "[unit]") {
  for (const std::string library : {"cudnn", "cublas"}) {
    Environment environment;
    FakeLibrary* const fake = use_fake(environment, library);
    if (fake == nullptr) continue;
    const Case c = library == "cudnn" ? conv2d_cases()[0] : matmul_cases()[0];
    const Kernel& kernel = (library == "cudnn" ? cudnn_kernels() : cublas_kernels())[0];
    fake->fails = true;
    const int before = fake->products;
    CHECK(run_case(kernel, c).fault == (library == "cudnn" ? "cuDNN: convolution: CUDNN_STATUS_EXECUTION_FAILED"
                                                           : "cuBLAS: matmul: the function failed to launch on the GPU"));
    CHECK(fake->products == before + 1);  // and nothing after it
  }
  report_library_error("first");
  report_library_error("second");
  CHECK(take_library_error() == "first");
  CHECK(take_library_error() == "");
}
