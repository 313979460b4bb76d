#include "engine/exec/step_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <string_view>

#include "engine/graph/op_def.h"
#include "kernels/all_cases.h"

namespace gi {

using kernels::ConstView;
using kernels::Domain;
using kernels::ElementwiseChain;
using kernels::Kernel;
using kernels::Layout;
using kernels::View;

namespace {

/// Numbers, or packs, from a trial's first to its last.
std::int64_t reach(const Layout& l) {
  std::int64_t last = 0;
  for (int axis = 1; axis < l.rank; ++axis) last += (l.dims[axis] - 1) * l.strides[axis];
  return last + 1;
}

std::int64_t blocks_of(const Layout& l) { return l.strides[0] == 0 ? 1 : l.dims[0]; }

std::size_t bytes_of(const Layout& l) {
  const std::int64_t packs = (blocks_of(l) - 1) * l.strides[0] + reach(l);
  return static_cast<std::size_t>(packs * l.lanes) * kernels::size_of(l.dtype);
}

/// The domain of an op's operand, as its first case has it.
Domain domain_of(std::string_view op, std::size_t operand) {
  static const auto table = [] {
    std::map<std::string_view, kernels::Case> first;
    for (const kernels::Case& c : kernels::all_cases()) first.emplace(c.op, c);
    return first;
  }();
  const auto found = table.find(op);
  return found == table.end() ? Domain::normal
                              : found->second.in[operand % static_cast<std::size_t>(found->second.operands)].domain;
}

/// The op whose result a chain's register 0 is.
std::string head_of(const Plan::Step& step) {
  const std::string_view op = step.kernel->op;
  return std::string(op.substr(0, op.size() - std::string_view("_chain").size()));
}

/// Of a register that several instructions read, the narrowest domain.
Domain domain_of(const Plan::Step& step, std::size_t i) {
  const ElementwiseChain& chain = *step.chain;
  if (i < static_cast<std::size_t>(chain.head_inputs)) return domain_of(head_of(step), i);
  const std::int64_t operand = static_cast<std::int64_t>(i) - chain.head_inputs + (chain.head_inputs > 0 ? 1 : 0);
  Domain narrowest = Domain::normal;
  for (std::int64_t i = 0; i < chain.instructions; ++i) {
    const ElementwiseChain::Instruction& c = chain.code[i];
    const char* const name = kernels::kElementwiseNames[static_cast<std::size_t>(c.op)];
    for (const auto& [reg, place] : {std::pair{c.x, 0}, std::pair{c.y, 1}})
      if (reg == operand && place < kernels::arity(c.op))
        if (const Domain d = domain_of(name, static_cast<std::size_t>(place)); narrowest != Domain::positive && d != Domain::normal)
          narrowest = d;
  }
  return narrowest;
}

std::vector<double> draw_numbers(Domain domain, const Layout& l, std::uint64_t seed) {
  std::mt19937_64 rng(seed);
  std::vector<double> v(static_cast<std::size_t>(reach(l)));
  const auto uniform = [&rng](double a, double b) { return std::uniform_real_distribution(a, b)(rng); };
  const auto row = static_cast<std::size_t>(l.rank > 1 ? l.dims[l.rank - 1] : 1);
  switch (domain) {
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
      std::iota(v.begin(), v.end(), -static_cast<double>(v.size() / 2));
      std::shuffle(v.begin(), v.end(), rng);
      for (double& x : v) x *= 0.1;
      break;
    case Domain::simplex:
    case Domain::onehot:
      for (std::size_t begin = 0; begin < v.size(); begin += row) {
        const std::size_t end = std::min(begin + row, v.size());
        if (domain == Domain::onehot) {
          v[begin + rng() % (end - begin)] = 1;
          continue;
        }
        double sum = 0;
        for (std::size_t i = begin; i < end; ++i) sum += v[i] = uniform(0.0, 1.0);
        for (std::size_t i = begin; i < end; ++i) v[i] /= sum;
      }
      break;
  }
  if (l.dtype == DType::f32)
    for (double& x : v) x = static_cast<float>(x);
  return v;
}

/// One trial's numbers written for every trial.
template <class Scalar>
void spread(const std::vector<double>& numbers, const Layout& l, std::byte* memory) {
  auto* const to = reinterpret_cast<Scalar*>(memory);
  for (std::int64_t b = 0; b < blocks_of(l); ++b)
    for (std::size_t i = 0; i < numbers.size(); ++i)
      for (std::int64_t lane = 0; lane < l.lanes; ++lane)
        to[(b * l.strides[0] + static_cast<std::int64_t>(i)) * l.lanes + lane] = static_cast<Scalar>(numbers[i]);
}

/// Element i of trial t of an output.
std::size_t place_of(const Layout& l, std::int64_t t, std::int64_t i) {
  return static_cast<std::size_t>((t / l.lanes * l.count_per_block() + i) * l.lanes + t % l.lanes);
}

double number_at(const Buffer& bytes, const Layout& l, std::int64_t i) {
  const std::size_t at = place_of(l, 0, i);
  return l.dtype == DType::f32 ? static_cast<double>(reinterpret_cast<const float*>(bytes.data())[at])
                               : reinterpret_cast<const double*>(bytes.data())[at];
}

/// As reference kernels take it: one trial in f64; of a sum over trials, all of them.
Layout plain(Layout l, const Layout& out) {
  if (out.dims[0] != 1) l.dims[0] = 1;
  l.strides[0] = 0;
  l.lanes = 1;
  l.dtype = DType::f64;
  return l;
}

std::vector<double> evaluate(const char* op, const void* attrs, std::span<const ConstView> in, Layout out) {
  out.dims[0] = 1;
  out.lanes = 1;
  out.dtype = DType::f64;
  std::vector<double> y(static_cast<std::size_t>(out.count()));
  const View view{out, y.data()};
  kernels::reference_kernel(op)({{attrs, in, {&view, 1}}});
  return y;
}

}  // namespace

StepBench::StepBench(const Plan::Step& step, Device* device) : step_(step), device_(device) {
  for (const auto& o : step.in) in_.push_back({o.layout, nullptr});
  for (const auto& o : step.out) out_.push_back({o.layout, nullptr});
  draw();
  define();
}

void StepBench::draw() {
  for (std::size_t i = 0; i < in_.size(); ++i) {
    const Domain domain = step_.chain ? domain_of(step_, i) : domain_of(step_.kernel->op, i);
    drawn_.push_back(draw_numbers(domain, in_[i], 1 + i));
    Buffer laid_out(bytes_of(in_[i]));
    std::memset(laid_out.data(), 0, laid_out.size());
    if (in_[i].dtype == DType::f32) spread<float>(drawn_[i], in_[i], laid_out.data());
    else spread<double>(drawn_[i], in_[i], laid_out.data());
    const Block& b = memory_.emplace_back(device_, laid_out.size());
    if (device_ == nullptr) std::memcpy(b.data(), laid_out.data(), laid_out.size());
    else device_->upload(b.data(), laid_out.data(), laid_out.size());
    in_[i].data = b.data();
  }
  for (View& o : out_) o.data = memory_.emplace_back(device_, bytes_of(o)).data();
}

void StepBench::define() {
  std::vector<ConstView> in;
  for (std::size_t i = 0; i < in_.size(); ++i) in.push_back({plain(in_[i], out_[0]), drawn_[i].data()});
  if (step_.chain) {
    const ElementwiseChain& chain = *step_.chain;
    std::vector<std::vector<double>> registers(static_cast<std::size_t>(chain.instructions));
    Layout dense = plain(out_[0], out_[0]);
    std::vector<double> head;
    if (const auto inputs = static_cast<std::size_t>(chain.head_inputs); inputs > 0) {
      head = evaluate(head_of(step_).c_str(), chain.head.data(), std::span(in).first(inputs), dense);
      in.erase(in.begin(), in.begin() + chain.head_inputs - 1);
      in[0] = {dense, head.data()};
    }
    for (std::size_t i = 0; i < registers.size(); ++i) {
      const ElementwiseChain::Instruction& c = chain.code[i];
      const kernels::ElementwiseAttrs attrs{.a = c.a, .b = c.b};
      const ConstView operands[] = {in[static_cast<std::size_t>(c.x)], in[static_cast<std::size_t>(c.y)]};
      registers[i] = evaluate(kernels::kElementwiseNames[static_cast<std::size_t>(c.op)], &attrs,
                              std::span(operands).first(static_cast<std::size_t>(kernels::arity(c.op))), dense);
      in.push_back({dense, registers[i].data()});
    }
    for (std::int64_t o = 0; o < chain.outputs; ++o) {
      const ConstView& result = in[static_cast<std::size_t>(chain.result[o])];
      const kernels::ElementwiseAttrs none;
      expected_.push_back(evaluate("copy", &none, {&result, 1}, dense));
    }
    return;
  }
  const char* const name = step_.kernel->op;
  if (kernels::reference_kernel(name) == nullptr) return;
  const auto operands = static_cast<std::size_t>(op(name).operands);
  for (std::size_t first = 0; first < in.size(); first += operands) {  // of a pair, the sum, unless it has two results
    const std::vector<double> y = evaluate(name, step_.attrs_data(), std::span(in).subspan(first, operands), out_[0]);
    if (first == 0 || out_.size() > 1) expected_.push_back(y);
    else std::ranges::transform(y, expected_[0], expected_[0].begin(), std::plus());
  }
}

kernels::Arguments StepBench::arguments(const Kernel& kernel) {
  kernels::Arguments args{{step_.attrs_data(), in_, out_}};
  const std::size_t bytes = kernel.scratch_bytes != nullptr ? kernel.scratch_bytes(args) : 0;
  if (bytes > scratch_bytes_) scratch_ = Block(device_, scratch_bytes_ = bytes);
  args.scratch = scratch_.data();
  if (device_ != nullptr) args.stream = device_->stream();
  return args;
}

StepBench::Outputs StepBench::run(const Kernel& kernel) {
  Outputs outputs;
  for (const View& o : out_) {
    Buffer& bytes = outputs.emplace_back(bytes_of(o));
    std::memset(bytes.data(), 0xff, bytes.size());  // NaN in both dtypes
    auto* const to = static_cast<std::byte*>(o.data);
    if (device_ != nullptr) device_->upload(to, bytes.data(), bytes.size());
    else std::memcpy(to, bytes.data(), bytes.size());
  }
  kernel.run(arguments(kernel));
  if (device_ != nullptr) device_->check();
  for (std::size_t i = 0; i < out_.size(); ++i) {
    const auto* const from = static_cast<const std::byte*>(out_[i].data);
    if (device_ != nullptr) device_->download(outputs[i].data(), from, outputs[i].size());
    else std::memcpy(outputs[i].data(), from, outputs[i].size());
  }
  return outputs;
}

bool StepBench::equal(const Outputs& a, const Outputs& b) {
  return std::ranges::equal(a, b, [](const Buffer& x, const Buffer& y) { return std::memcmp(x.data(), y.data(), x.size()) == 0; });
}

bool StepBench::trials_agree(const Outputs& outputs) const {
  for (std::size_t o = 0; o < out_.size(); ++o) {
    const Layout& l = out_[o];
    const std::size_t size = kernels::size_of(l.dtype);
    for (std::int64_t t = 1; t < l.dims[0] * l.lanes; ++t)
      for (std::int64_t i = 0; i < l.count_per_block(); ++i)
        if (std::memcmp(outputs[o].data() + place_of(l, 0, i) * size, outputs[o].data() + place_of(l, t, i) * size, size) != 0)
          return false;
  }
  return true;
}

double StepBench::error(const Outputs& outputs, const Outputs& own) const {
  double difference = 0, norm = 0;
  for (std::size_t o = 0; o < out_.size(); ++o)
    for (std::int64_t i = 0; i < out_[o].count_per_block(); ++i) {
      const double got = number_at(outputs[o], out_[o], i);
      const double want = expected_.empty() ? number_at(own[o], out_[o], i) : expected_[o][static_cast<std::size_t>(i)];
      if (got == want || (std::isnan(got) && std::isnan(want))) {
        if (std::isfinite(want)) norm += want * want;
        continue;
      }
      if (!std::isfinite(got) || !std::isfinite(want)) return std::numeric_limits<double>::infinity();
      difference += (got - want) * (got - want);
      norm += want * want;
    }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

double StepBench::tolerance() const {
  constexpr double kFewestTerms = 16;  // exp, log and their kind are right within 3 units in the last place
  double terms = kFewestTerms, results = 0;
  for (const View& o : out_) results += static_cast<double>(o.count() * o.lanes);
  for (const ConstView& i : in_) terms = std::max(terms, static_cast<double>(i.count() * i.lanes) / results);
  terms = std::max(terms, step_.flops / 2 / results);  // multiply-adds
  return (out_[0].dtype == DType::f32 ? 6e-8 : 4e-15) * std::sqrt(terms);
}

double StepBench::seconds(const Kernel& kernel, int calls) {
  const kernels::Arguments args = arguments(kernel);
  const auto work = [&] {
    for (int i = 0; i < calls; ++i) kernel.run(args);
  };
  if (device_ != nullptr) {
    const auto replay = device_->recorded(work);  // as a Workspace runs it: without the host's time for every launch
    replay();
    const double seconds = device_->seconds_of(replay);
    device_->check();
    return seconds / calls;
  }
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / calls;
}

}  // namespace gi
