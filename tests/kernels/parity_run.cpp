#include "tests/kernels/parity_run.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <thread>

#include "kernels/api/library_error.h"
#include "tests/tested_device.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) static_cast<void>(0)
#endif

namespace gi::kernels::parity {
namespace {

constexpr std::size_t kZone = 256;
constexpr std::byte kFill{0xff};  // every byte 0xff is a NaN in both dtypes

/// 64-byte aligned bytes, all 0xff at first, between two zones of the same that must stay so. With a device, where a kernel works
/// on them, zones and all.
class Guarded {
 public:
  explicit Guarded(std::size_t size, Device* device = nullptr)
      : size_(size), total_((size + 2 * kZone + 63) / 64 * 64), device_(device) {
    if (device_ != nullptr) on_device_ = DeviceMemory(*device_, total_);
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(64, total_)));
    std::fill_n(memory_.get(), total_, kFill);
    poison();
  }
  std::byte* data() const { return memory_.get() + kZone; }
  std::size_t size() const { return size_; }
  void fill_nan() { std::fill_n(data(), size_, kFill); }
  /// For the kernel.
  std::byte* address() const { return device_ != nullptr ? on_device_.data() + kZone : data(); }
  void upload() {
    if (device_ == nullptr) return;
    ASAN_UNPOISON_MEMORY_REGION(memory_.get(), total_);
    device_->upload(on_device_.data(), memory_.get(), total_);
    poison();
  }
  void download() {
    if (device_ == nullptr) return;
    ASAN_UNPOISON_MEMORY_REGION(memory_.get(), total_);
    device_->download(memory_.get(), on_device_.data(), total_);
    poison();
  }
  bool zones_intact() {
    ASAN_UNPOISON_MEMORY_REGION(memory_.get(), total_);
    const auto intact = [](std::byte b) { return b == kFill; };
    const bool result = std::all_of(memory_.get(), data(), intact) && std::all_of(data() + size_, memory_.get() + total_, intact);
    poison();
    return result;
  }

 private:
  void poison() {
    ASAN_POISON_MEMORY_REGION(memory_.get(), kZone);
    ASAN_POISON_MEMORY_REGION(data() + size_, total_ - kZone - size_);
  }
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::size_t size_, total_;
  Device* device_;
  DeviceMemory on_device_;
  std::unique_ptr<std::byte, Free> memory_;
};

/// Where an operand's numbers lie: a view without data, and its size.
struct Place {
  Layout layout;
  std::int64_t numbers = 1;  ///< of all blocks
  std::size_t bytes() const { return static_cast<std::size_t>(numbers * layout.lanes) * size_of(layout.dtype); }
};

Place place(const Dims& dims, const Dims& strides, DType dtype, bool shared, std::int64_t lanes, std::int64_t blocks) {
  Dims with_trials{blocks};
  with_trials.insert(with_trials.end(), dims.begin(), dims.end());
  Place p;
  p.layout = layout_of(with_trials, {});
  p.layout.dtype = dtype;
  p.layout.lanes = shared ? 1 : lanes;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (!strides.empty()) p.layout.strides[i + 1] = strides[i];
    p.numbers += (dims[i] - 1) * p.layout.strides[i + 1];
  }
  p.layout.strides[0] = shared ? 0 : p.numbers;
  if (!shared) p.numbers *= blocks;
  return p;
}

/// visit(scalar offset, trial place, element) for all scalars of a view; of a shared one as often as it is read.
template <class Visit>
void for_each_scalar(const Layout& v, std::int64_t lanes, Visit visit) {
  const std::int64_t elements = v.count_per_block();
  for (std::int64_t block = 0; block < v.dims[0]; ++block) {
    std::array<std::int64_t, kMaxRank> index{};
    for (std::int64_t e = 0; e < elements; ++e) {
      std::int64_t offset = block * v.strides[0];
      for (int axis = 1; axis < v.rank; ++axis) offset += index[axis] * v.strides[axis];
      for (std::int64_t lane = 0; lane < lanes; ++lane)
        visit(offset * v.lanes + (v.lanes == 1 ? 0 : lane), block * lanes + lane, e);
      for (int axis = static_cast<int>(v.rank) - 1; axis > 0 && ++index[axis] == v.dims[axis]; --axis) index[axis] = 0;
    }
  }
}

void put(std::byte* data, DType dtype, std::int64_t i, double value) {
  if (dtype == DType::f32) reinterpret_cast<float*>(data)[i] = static_cast<float>(value);
  else reinterpret_cast<double*>(data)[i] = value;
}
double get(const std::byte* data, DType dtype, std::int64_t i) {
  return dtype == DType::f32 ? static_cast<double>(reinterpret_cast<const float*>(data)[i])
                             : reinterpret_cast<const double*>(data)[i];
}

}  // namespace

std::vector<Isa> isas() {
  std::vector<Isa> list;
  for (int i = 0; i <= static_cast<int>(best_isa()); ++i) list.push_back(static_cast<Isa>(i));
  return list;
}

std::vector<std::int64_t> lanes_of(Isa isa) {
  if (isa == Isa::cuda) return {1};
  return {1, pack_lanes(isa)};
}

static std::span<const Kernel> device_kernels() {
  return test::real_device() != nullptr ? test::real_device()->kernels() : emulated::kernels();
}

const Kernel* emulated_twin(const Kernel& kernel) {
  if (test::real_device() == nullptr || kernel.isa != Isa::cuda) return nullptr;
  for (const Kernel& k : emulated::kernels())
    if (std::string_view(k.op) == kernel.op && std::string_view(k.name) == kernel.name && k.dtype == kernel.dtype) return &k;
  return nullptr;
}

std::vector<Kernel> kernels_of(std::string_view op, Isa isa, DType dtype, std::int64_t lanes) {
  std::vector<Kernel> list;
  for (const Kernel& k : isa == Isa::cuda ? device_kernels() : cpu_kernels(isa))
    if (k.op == op && k.dtype == dtype && k.lanes == lanes) list.push_back(k);
  return list;
}

std::vector<Kernel> all_kernels_of(std::string_view op, DType dtype) {
  std::vector<Kernel> list;
  std::vector<Isa> all = isas();
  all.push_back(Isa::cuda);
  for (Isa isa : all)
    for (std::int64_t lanes : lanes_of(isa))
      for (const Kernel& k : kernels_of(op, isa, dtype, lanes)) list.push_back(k);
  return list;
}

std::string describe(const Kernel& k) {
  return std::string(k.name) + " " + kIsaNames[static_cast<std::size_t>(k.isa)] + (k.dtype == DType::f32 ? " f32" : " f64") + " x" +
         std::to_string(k.lanes);
}

/// Whether the outputs, NaN before, have other bits after `run`.
template <class Run>
static bool differs_after(std::span<Guarded> outputs, const Run& run) {
  std::vector<std::vector<std::byte>> whole;
  for (Guarded& m : outputs) {
    whole.emplace_back(m.data(), m.data() + m.size());
    m.fill_nan();
  }
  run();
  bool differs = false;
  for (std::size_t o = 0; o < outputs.size(); ++o)
    differs |= std::memcmp(whole[o].data(), outputs[o].data(), whole[o].size()) != 0 || !outputs[o].zones_intact();
  return differs;
}

/// Whether the kernel gives other bits in that many calls, the last part first, each with scratch full of NaN.
static bool differs_in_calls(const Kernel& kernel, Arguments args, std::int64_t calls, std::span<Guarded> outputs,
                             Guarded& scratch) {
  const std::int64_t parts = kernel.parts != nullptr ? kernel.parts(args) : 1;
  args.scratch = scratch.address();
  return differs_after(outputs,
                       [&] {
                         for (std::int64_t call = calls; call-- > 0;) {
                           scratch.fill_nan();
                           PartQueue queue(1);
                           queue.start(parts * call / calls, parts * (call + 1) / calls);
                           if (kernel.parts != nullptr) args.queue = &queue;
                           kernel.run(args);
                         }
                       }) ||
         !scratch.zones_intact();
}

/// Whether two threads that share the parts give other bits, each with scratch of its own that is full of NaN. They begin together,
/// so that in some of a list of cases, if not in each, either makes some of what both read.
static bool differs_in_threads(const Kernel& kernel, const Arguments& args, std::span<Guarded> outputs, Guarded& scratch) {
  Guarded other(scratch.size());
  scratch.fill_nan();
  other.fill_nan();
  PartQueue queue(2);
  queue.start(0, kernel.parts(args));
  std::atomic<int> there{0};
  const auto call = [&](int thread) {
    for (++there; there < 2;) std::this_thread::yield();
    Arguments own = args;
    own.scratch = (thread == 0 ? scratch : other).address();
    own.shared = scratch.address();
    own.queue = &queue;
    own.thread = thread;
    kernel.run(own);
  };
  return differs_after(outputs,
                       [&] {
                         const std::jthread second(call, 1);
                         call(0);
                       }) ||
         !scratch.zones_intact() || !other.zones_intact();
}

static std::int64_t calls_of(const Kernel& kernel, const Problem& problem) {
  return kernel.parts != nullptr ? std::min<std::int64_t>(kernel.parts(problem), 5) : 1;
}

/// Whether it gives other bits where operands are prepared, or preparing them writes elsewhere.
static bool differs_prepared(const Kernel& kernel, Arguments args, std::span<Guarded> outputs) {
  std::vector<ConstView> in(args.in.begin(), args.in.end());
  std::vector<Guarded> memory;
  bool harmless = true;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const Prepared wanted = kernel.prepared(args, i);
    if (wanted.by == nullptr) continue;
    const Place to = place({wanted.numbers}, {}, in[i].dtype, in[i].shared(), 1, in[i].dims[0]);
    ConstView from = in[i];
    View made{to.layout};
    if (from.shared()) from.dims[0] = made.dims[0] = 1;
    memory.emplace_back(to.bytes());
    made.data = memory.back().data();
    Arguments preparing;
    preparing.attrs = args.attrs;
    preparing.in = {&from, 1};
    preparing.out = {&made, 1};
    Guarded scratch(wanted.by->scratch_bytes != nullptr ? wanted.by->scratch_bytes(preparing) : 0);
    preparing.scratch = scratch.data();
    wanted.by->run(preparing);
    harmless = harmless && scratch.zones_intact() && memory.back().zones_intact();
    in[i] = {to.layout, made.data};
  }
  if (memory.empty()) return false;
  args.in = in;
  Guarded scratch(kernel.scratch_bytes != nullptr ? kernel.scratch_bytes(args) : 0);
  return !harmless || differs_in_calls(kernel, args, 1, outputs, scratch) ||
         differs_in_calls(kernel, args, calls_of(kernel, args), outputs, scratch);
}

Outcome run_kernel(const Kernel& kernel, const void* attrs, std::span<const Input> in, std::span<const Output> out,
                   std::span<const int> trials) {
  return run_kernel(kernel, attrs, in, out, trials, kernel.isa == Isa::cuda ? test::real_device() : nullptr);
}

Outcome run_kernel(const Kernel& kernel, const void* attrs, std::span<const Input> in, std::span<const Output> out,
                   std::span<const int> trials, Device* device) {
  const std::int64_t blocks = static_cast<std::int64_t>(trials.size()) / kernel.lanes;
  std::vector<Place> in_places, out_places;
  std::vector<ConstView> inputs;
  std::vector<View> outputs;
  for (const Input& i : in) {
    in_places.push_back(place(i.dims, i.strides, i.dtype, i.shared, kernel.lanes, blocks));
    inputs.push_back({in_places.back().layout});
  }
  for (const Output& o : out) {
    out_places.push_back(place(o.dims, {}, o.dtype, o.shared, kernel.lanes, o.shared ? 1 : blocks));
    outputs.push_back({out_places.back().layout});
  }

  Outcome outcome;
  Arguments args;
  args.attrs = attrs;
  args.in = inputs;
  args.out = outputs;
  if (kernel.declines != nullptr)
    if (const char* reason = kernel.declines(args); reason != nullptr) {
      outcome.declined = reason;
      return outcome;
    }

  std::vector<Guarded> memory;  // inputs, outputs, scratch
  for (std::size_t i = 0; i < in.size(); ++i) {
    memory.emplace_back(in_places[i].bytes(), device);
    const std::int64_t count = in_places[i].layout.count_per_block();
    for_each_scalar(inputs[i], kernel.lanes, [&](std::int64_t offset, std::int64_t p, std::int64_t e) {
      put(memory[i].data(), in[i].dtype, offset, in[i].values[(in[i].shared ? 0 : trials[p]) * count + e]);
    });
    inputs[i].data = memory[i].address();
  }
  const auto memory_of = [&](std::size_t o) -> Guarded& { return memory[out[o].in_place < 0 ? in.size() + o : out[o].in_place]; };
  for (std::size_t o = 0; o < out.size(); ++o) {
    memory.emplace_back(out[o].in_place < 0 ? out_places[o].bytes() : 0, device);
    outputs[o].data = memory_of(o).address();
  }
  memory.emplace_back(kernel.scratch_bytes != nullptr ? kernel.scratch_bytes(args) : 0, device);
  args.scratch = memory.back().address();

  std::vector<std::vector<std::byte>> before;
  for (std::size_t i = 0; i < in.size(); ++i) before.emplace_back(memory[i].data(), memory[i].data() + memory[i].size());
  for (Guarded& m : memory) m.upload();
  if (device != nullptr) args.stream = device->stream();
  kernel.run(args);
  outcome.fault = take_library_error();
  if (device != nullptr) device->check();
  for (Guarded& m : memory) m.download();

  for (std::size_t i = 0; i < memory.size(); ++i)
    if (!memory[i].zones_intact())
      outcome.fault = i < in.size() ? "beside an input" : i + 1 < memory.size() ? "beside an output" : "beside the scratch space";
  for (std::size_t i = 0; i < in.size(); ++i) {
    const bool replaced = std::any_of(out.begin(), out.end(), [&](const Output& o) { return o.in_place == static_cast<int>(i); });
    if (!replaced && std::memcmp(before[i].data(), memory[i].data(), before[i].size()) != 0) outcome.fault = "an input";
  }
  for (std::size_t o = 0; o < out.size(); ++o) {
    const std::int64_t count = out_places[o].layout.count_per_block();
    outcome.out.emplace_back(trials.size() * count);
    const std::byte* data = memory_of(o).data();
    for_each_scalar(outputs[o], kernel.lanes, [&](std::int64_t offset, std::int64_t p, std::int64_t e) {
      outcome.out[o][p * count + e] = get(data, out[o].dtype, offset);
    });
  }
  const std::span<Guarded> results = std::span(memory).subspan(in.size(), out.size());
  const bool in_place = std::any_of(out.begin(), out.end(), [](const Output& o) { return o.in_place >= 0; });
  const std::int64_t calls = in_place ? 1 : calls_of(kernel, args);
  if (outcome.fault.empty() && calls > 1 && differs_in_calls(kernel, args, calls, results, memory.back()))
    outcome.fault = "what another part wrote, or its own bits";
  if (outcome.fault.empty() && calls > 1 && differs_in_threads(kernel, args, results, memory.back()))
    outcome.fault = "what another thread wrote, or its own bits";
  if (outcome.fault.empty() && kernel.prepared != nullptr && differs_prepared(kernel, args, results))
    outcome.fault = "the bits it has where operands are prepared";
  return outcome;
}

std::vector<double> draw(const Operand& operand, DType dtype, int trials, std::uint64_t seed) {
  const auto n = static_cast<std::size_t>(count(dims_of(operand)));
  const std::size_t row = operand.rank == 0 ? 1 : operand.dims[operand.rank - 1];
  std::vector<double> all;
  for (int trial = 0; trial < trials; ++trial) {
    std::mt19937_64 rng(seed * 1000003 + trial);
    std::vector<double> v(n);
    const auto uniform = [&](double a, double b) { return std::uniform_real_distribution(a, b)(rng); };
    switch (operand.domain) {
      case Domain::normal:
        for (double& x : v) x = std::normal_distribution()(rng);
        break;
      case Domain::positive:
        for (double& x : v) x = uniform(0.5, 2.0);
        break;
      case Domain::off_kink:
        for (double& x : v) x = uniform(0.15, 0.85) + static_cast<double>(rng() % 4) - 2.0;
        break;
      case Domain::distinct:
        std::iota(v.begin(), v.end(), -static_cast<double>(n / 2));
        std::shuffle(v.begin(), v.end(), rng);
        for (double& x : v) x = 0.1 * x + 0.03 * static_cast<double>(seed % 3);
        break;
      case Domain::simplex:
      case Domain::onehot:
        for (std::size_t r = 0; r < n; r += row) {
          double sum = 0;
          for (std::size_t i = r; i < r + row; ++i) sum += v[i] = operand.domain == Domain::onehot ? 0.0 : uniform(0.0, 1.0);
          if (operand.domain == Domain::onehot) v[r + rng() % row] = sum = 1.0;
          for (std::size_t i = r; i < r + row; ++i) v[i] /= sum;
        }
        break;
    }
    all.insert(all.end(), v.begin(), v.end());
  }
  if (dtype == DType::f32)
    for (double& x : all) x = static_cast<float>(x);
  return all;
}

Dims dims_of(const Operand& operand) { return {operand.dims.begin(), operand.dims.begin() + operand.rank}; }

std::vector<int> trials_at(std::int64_t places, int different) {
  std::vector<int> trials(places);
  for (std::int64_t p = 0; p < places; ++p) trials[p] = static_cast<int>((p + p / 4) % different);
  return trials;
}

int Bits::differs(const Outcome& outcome, std::span<const int> trials) {
  int first = -1;
  for (std::size_t p = 0; p < trials.size(); ++p) {
    std::vector<std::vector<double>> here;
    for (const std::vector<double>& o : outcome.out) {
      const auto count = static_cast<std::ptrdiff_t>(o.size() / trials.size());
      here.emplace_back(o.begin() + static_cast<std::ptrdiff_t>(p) * count, o.begin() + static_cast<std::ptrdiff_t>(p + 1) * count);
    }
    const auto& known = seen_.emplace(trials[p], here).first->second;
    for (std::size_t o = 0; o < here.size(); ++o)
      if (first < 0 && std::memcmp(known[o].data(), here[o].data(), here[o].size() * sizeof(double)) != 0) first = trials[p];
  }
  return first;
}

double relative_error(std::span<const double> got, std::span<const double> expected, std::span<const int> trials) {
  const std::size_t count = got.size() / trials.size();
  double square = 0, worst = 0;
  for (double x : expected) square += x * x;
  const double typical = square * static_cast<double>(count) / static_cast<double>(expected.size());
  for (std::size_t p = 0; p < trials.size(); ++p) {
    double difference = 0, own = 0;
    for (std::size_t e = 0; e < count; ++e) {
      const double want = expected[trials[p] * count + e], d = got[p * count + e] - want;
      difference += d * d;
      own += want * want;
    }
    const double error = difference == 0 ? 0 : std::sqrt(difference / std::max(own, typical));
    worst = error <= worst ? worst : std::isnan(error) ? INFINITY : error;
  }
  return worst;
}

}  // namespace gi::kernels::parity
