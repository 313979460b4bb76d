// A Plan computes what the Interpreter computes, in any layout, lane and chunk.
#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"
#include "engine/exec/interpreter.h"
#include "engine/exec/tune.h"
#include "engine/exec/winograd_choice.h"
#include "engine/exec/workspace.h"
#include "engine/graph/op_def.h"
#include "tests/engine/compare_tensors.h"
#include "tests/engine/sample_programs.h"

using namespace gi;
using test::bind_all, test::relative_error;

namespace {

Tensor trial(const Tensor& t, std::int64_t i) {
  const std::int64_t n = t.shape().count_per_trial();
  std::vector<double> all = t.to_doubles();
  return Tensor::from(t.shape().with(0, 1), std::span(all).subspan(i * n, n));
}

std::int64_t pack() { return kernels::pack_lanes(kernels::best_isa()); }

}  // namespace

TEST_CASE("a Plan in f64 is the Interpreter within 1e-12, whatever the layout", "[plan]") {
  for (const bool training : {true, false})
    for (const bool shared_weights : {true, false})
      for (const bool shared_targets : {true, false})
        for (const std::int64_t trials : {std::int64_t{1}, std::int64_t{3}, pack()})
          for (const bool fuse : {true, false}) {
            const auto sample = test::small_attack({trials, shared_weights, shared_targets, training, false});
            const Program program = sample->program();
            Interpreter oracle(program);
            bind_all(oracle, *sample);
            oracle.run();
            for (const std::int64_t lanes : {std::int64_t{1}, pack()}) {
              if (trials % lanes != 0) continue;
              const Plan plan = Plan::compile(program, {.dtype = DType::f64, .lanes = lanes, .fuse = fuse});
              Workspace work(plan);
              bind_all(work, *sample);
              work.run();
              INFO(fmt::format("T {} lanes {} training {} shared weights {} targets {} fuse {}", trials, lanes, training,
                               shared_weights, shared_targets, fuse));
              for (const char* name : {"loss", "logits", "match", "tv", "dx", "x", "m", "it"})
                CHECK(relative_error(work.get(name), oracle.get(name)) <= 1e-12);
            }
          }
}

TEST_CASE("what trials sum up to is the Interpreter's, in packs and one by one", "[plan]") {
  for (const bool training : {true, false})
    for (const std::int64_t trials : {pack(), 3 * pack()}) {
      const auto sample = test::small_attack({.trials = trials, .training_mode = training, .images = 1, .summed = true});
      const Program program = sample->program();
      Interpreter oracle(program);
      bind_all(oracle, *sample);
      oracle.run();
      for (const std::int64_t lanes : {std::int64_t{1}, pack()})
        for (const bool fuse : {true, false}) {
          const Plan plan = Plan::compile(program, {.dtype = DType::f64, .lanes = lanes, .fuse = fuse});
          const auto summed = std::ranges::count_if(
              plan.iteration(), [](const Plan::Step& s) { return std::string_view(s.kernel->op).ends_with("_sum"); });
          INFO(fmt::format("T {} lanes {} training {} fuse {}", trials, lanes, training, fuse));
          CHECK(summed == (fuse && lanes > 1 ? 4 : 0));  // three convolutions and a linear layer
          std::vector<double> of_one_thread;
          for (const int threads : {1, 3}) {
            Workspace work(plan, threads);
            bind_all(work, *sample);
            work.run();
            for (const char* name : {"loss", "logits", "match", "tv", "dx", "x", "m", "it"})
              CHECK(relative_error(work.get(name), oracle.get(name)) <= 1e-12);
            if (threads == 1) of_one_thread = work.get("dx").to_doubles();
            else CHECK(work.get("dx").to_doubles() == of_one_thread);
          }
        }
    }
}

TEST_CASE("a Plan in f32 stays in the precision class on a smooth network", "[plan]") {
  for (const std::int64_t trials : {std::int64_t{1}, pack()}) {
    const auto sample = test::small_attack({.trials = trials, .training_mode = true, .smooth = true});
    const Program program = sample->program();
    Interpreter oracle(program);
    bind_all(oracle, *sample);
    oracle.run();
    const Plan plan = Plan::compile(program, {.dtype = DType::f32});
    CHECK(plan.lanes() == trials);
    Workspace work(plan);
    bind_all(work, *sample);
    work.run();
    CHECK(work.get("match").dtype() == DType::f64);
    CHECK(relative_error(work.get("loss"), oracle.get("loss")) <= 1e-6);
    CHECK(relative_error(work.get("dx"), oracle.get("dx")) <= 2e-5);
  }
}

TEST_CASE("convolutions through Winograd's transforms are the Interpreter's", "[plan]") {
  for (const std::string tile : {"2", "4", "within2", "within4"})
    for (const std::int64_t trials : {std::int64_t{1}, pack()})
      for (const bool shared_weights : {true, false})
        for (const DType dtype : {DType::f64, DType::f32}) {
          const auto sample = test::small_attack({.trials = trials, .shared_weights = shared_weights, .smooth = true});
          const Program program = sample->program();
          Interpreter oracle(program);
          bind_all(oracle, *sample);
          oracle.run();
          const Plan plan = Plan::compile(program, {.dtype = dtype, .force = {{"winograd", tile}}});
          for (const Plan::Step& step : plan.iteration()) {
            if (!step.what.starts_with("conv2d") || step.what.find("3,3]") == std::string::npos) continue;
            CAPTURE(step.what);
            CHECK((trials > 1 || tile.starts_with("within")));
            if (trials == 1) CHECK(step.kernel->name == std::string("channel_lanes_winograd"));
            // In packs the kernels transform for f32, and for weight gradients if there are tiles enough.
            else if (dtype == DType::f32 && !step.what.starts_with("conv2d_grad_weight"))
              CHECK(step.kernel->name == std::string("trial_lanes_winograd"));
          }
          Workspace work(plan);
          bind_all(work, *sample);
          work.run();
          CAPTURE(tile, trials, shared_weights, dtype == DType::f32);
          for (const char* name : {"loss", "match", "dx", "x"})
            CHECK(relative_error(work.get(name), oracle.get(name)) <= (dtype == DType::f32 ? 2e-5 : 1e-12));
        }
}

TEST_CASE("a value is transformed once, a constant filter before the first iteration", "[plan]") {
  const auto sample = test::small_attack({.trials = 1, .training_mode = false});
  const Plan plan = Plan::compile(sample->program(), {.dtype = DType::f32, .force = {{"winograd", "4"}}});
  const auto count = [](std::span<const Plan::Step> steps, std::string_view op) {
    return std::ranges::count_if(steps, [op](const Plan::Step& s) { return s.what.starts_with(std::string(op) + " "); });
  };
  // Two layers: w1, w2 for good. An iteration transforms both v, two inputs and, behind the second layer, its tangent; two
  // cotangents and two of second order.
  CHECK(count(plan.setup(), "winograd_filter") == 2);
  CHECK(count(plan.iteration(), "winograd_filter") == 2);
  CHECK(count(plan.iteration(), "winograd_input") == 3);
  CHECK(count(plan.iteration(), "winograd_output_grad") == 4);
  CHECK(count(plan.iteration(), "winograd_filter_grad") == 2);
}

TEST_CASE("filters that stay as they are are put in their kernels' order once, to the same bits", "[plan]") {
  for (const std::int64_t trials : {1, 3})
    for (const bool shared : {false, true})
      for (const DType dtype : {DType::f32, DType::f64}) {
        CAPTURE(trials, shared, dtype == DType::f32);
        test::Sample sample;
        Graph& g = sample.graph;
        const auto bound = [&](Value v) {
          sample.bindings.emplace_back(g.node(v.id).name, test::random_tensor(v.shape(), sample.bindings.size() + 1, 0.3));
          return v;
        };
        const Value x = bound(g.state("x", {trials, 1, 64, 8, 8}));
        const Value bank = bound(g.input("w", {shared ? 1 : trials, 64, 64, 3, 3}));
        const Value w = broadcast_to(bank, {trials, 64, 64, 3, 3});
        const Value y = conv2d(conv2d(x, w, {.pad = 1}), w, {.pad = 1});
        sample.spec = {{{"y", y}, {"dx", grad(dot(y, y), std::array{x})[0]}}, {{x, scale(x, 0.5)}}};
        const Program program = sample.program();
        std::vector<std::vector<double>> results;
        for (const bool prepare : {true, false}) {
          const Plan plan = Plan::compile(program, {.dtype = dtype, .lanes = 1, .force = {{"winograd", "no"}}, .prepare = prepare});
          std::vector<std::string> first;  // each for two readers
          for (const Plan::Step& s : plan.setup())
            if (s.what.find("_filters ") != std::string::npos) first.emplace_back(s.kernel->op);
          CHECK(first ==
                (prepare ? std::vector<std::string>{"conv2d_filters", "conv2d_grad_input_filters"} : std::vector<std::string>{}));
          if (prepare) CHECK_THROWS_WITH(tune(plan, nullptr), Catch::Contains("operands are prepared for one kernel"));
          Workspace work(plan);
          bind_all(work, sample);
          for (int run = 0; run < 2; ++run) {
            work.run();
            for (const char* name : {"y", "dx"}) results.push_back(work.get(name).to_doubles());
          }
        }
        for (int i = 0; i < 4; ++i) CHECK(results[i] == results[4 + i]);
      }
}

TEST_CASE("how a single trial's convolutions are filtered is chosen by their extents", "[plan]") {
  const auto layer = [](std::int64_t channels, std::int64_t extent) {
    return kernels::Conv2dGeometry{
        .c = channels, .k = channels, .h = extent, .w = extent, .r = 3, .s = 3, .p = extent, .q = extent, .pad_h = 1, .pad_w = 1};
  };
  const passes::WinogradRule rule = winograd_rule("", kernels::Isa::avx512, 1);
  const auto way = [&](std::int64_t channels, std::int64_t extent) { return rule.way(layer(channels, extent), 1); };
  CHECK(way(3, 32).tile == 0);  // lanes without channels
  CHECK(way(64, 56).within_kernel);
  CHECK(way(64, 56).tile == 4);
  CHECK(rule.grad_weight(layer(64, 56), 1, way(64, 56)).tile == 4);
  CHECK(way(512, 7).tile == 4);
  CHECK(rule.grad_weight(layer(512, 7), 1, way(512, 7)).tile == 2);  // the way back of many filters is shorter
  CHECK(rule.grad_weight(layer(512, 4), 1, {4, true}).tile == 0);    // than which few pixels cost even less
  CHECK(way(256, 32).tile == 4);
  CHECK_FALSE(way(256, 32).within_kernel);  // filters that do not stay would be transformed anew for each block of tiles
  CHECK(winograd_rule("", kernels::Isa::avx2, 1).way(layer(256, 32), 1).within_kernel);  // where products are what takes the time
}

TEST_CASE("a weight gradient may stay as it is where other convolutions are transformed", "[plan]") {
  const auto sample = test::small_attack({.trials = 1, .smooth = true});
  const Program plain = sample->program();
  const auto rewritten = [&plain](bool grad_weight) {
    return passes::use_winograd(
        plain, {.way = [](const kernels::Conv2dGeometry&, std::int64_t) { return passes::WinogradWay{4}; },
                .grad_weight = [grad_weight](const auto&, auto, auto way) { return grad_weight ? way : passes::WinogradWay{}; }});
  };
  const auto count = [](const Program& program, std::string_view op) {
    std::int64_t n = 0;
    for (NodeId id = 0; id < program.graph().size(); ++id) n += program.graph().node(id).op->name == op;
    return n;
  };
  const Program all = rewritten(true), others = rewritten(false);
  CHECK(count(others, "conv2d_grad_weight") == count(plain, "conv2d_grad_weight"));
  CHECK(count(others, "winograd_filter_grad") == 0);
  CHECK(count(others, "winograd_input_grad") == count(all, "winograd_input_grad"));
  Interpreter oracle(plain), work(others);
  for (Interpreter* runner : {&oracle, &work}) {
    bind_all(*runner, *sample);
    runner->run();
  }
  for (const char* name : {"loss", "match", "dx", "x"}) CHECK(relative_error(work.get(name), oracle.get(name)) <= 1e-12);
}

TEST_CASE("a weight gradient may have a tile of its own within its kernel", "[plan]") {
  const auto sample = test::small_attack({.trials = 1, .smooth = true});
  const Program plain = sample->program();
  const Program told = passes::use_winograd(plain, {.way =
                                                        [](const auto&, auto) {
                                                          return passes::WinogradWay{4, true};
                                                        },
                                                    .grad_weight =
                                                        [](const auto&, auto, auto) {
                                                          return passes::WinogradWay{2, true};
                                                        }});
  std::int64_t asked = 0;
  for (NodeId id = 0; id < told.graph().size(); ++id) {
    const Node& n = told.graph().node(id);
    if (!n.op->name.starts_with("conv2d")) continue;
    const auto& geo = n.attrs.as<kernels::Conv2dGeometry>();
    if (geo.winograd == 0) continue;  // other filters than 3x3, or strides
    ++asked;
    CHECK(geo.winograd == (n.op->name == "conv2d_grad_weight" ? 2 : 4));
  }
  CHECK(asked > 0);
}

TEST_CASE("transforms of large filters are made again where they were read long ago, if that saves much memory", "[plan]") {
  constexpr std::int64_t kChannels = 256, kSide = 4;
  constexpr std::size_t kBank = 36 * kChannels * kChannels * sizeof(float);
  for (const int between : {0, 20}) {
    Graph g;
    const Value a = g.state("a", {1, kChannels, kChannels, 3, 3}), b = g.state("b", {1, kChannels, kChannels, 3, 3});
    const Tensor small = test::random_tensor({1, kChannels, kChannels, 1, 1}, 3, 1.0 / 16);
    const Value w = g.constant("w", small);
    Value y = g.input("x", {1, 1, kChannels, kSide, kSide});
    for (const Value& filter : {a, b}) y = conv2d(y, filter, {.pad = 1});
    for (int i = 0; i < between; ++i) y = conv2d(y, w);
    for (const Value& filter : {b, a}) y = conv2d(y, filter, {.pad = 1});
    const Program program = Program::freeze(g, {.outputs = {{"y", y}}, .updates = {{a, scale(a, 0.5)}, {b, scale(b, 2)}}});
    const Plan plan = Plan::compile(program, {.force = {{"winograd", "4"}}});
    const auto made = std::ranges::count_if(plan.iteration(), [](const auto& s) { return s.what.starts_with("winograd_filter "); });
    CAPTURE(between, plan.arena_bytes());
    CHECK(made == (between > 0 ? 4 : 2));
    CHECK((plan.arena_bytes() < 2 * kBank) == (between > 0));

    Interpreter oracle(program);
    Workspace work(plan);
    const auto run = [&](auto& runner) {
      runner.set("a", test::random_tensor({1, kChannels, kChannels, 3, 3}, 1, 1.0 / 48));
      runner.set("b", test::random_tensor({1, kChannels, kChannels, 3, 3}, 2, 1.0 / 48));
      runner.set("x", test::random_tensor({1, 1, kChannels, kSide, kSide}, 4));
      runner.run();
      runner.run();
    };
    run(oracle);
    run(work);
    CHECK(relative_error(work.get("y"), oracle.get("y")) <= 6e-8 * 5 * std::sqrt(9.0 * kChannels));
  }
}

TEST_CASE("every instruction set computes the same Program", "[plan]") {
  for (int i = 0; i <= static_cast<int>(kernels::best_isa()); ++i) {
    const auto isa = static_cast<kernels::Isa>(i);
    const std::int64_t lanes = kernels::pack_lanes(isa);
    const auto sample = test::small_attack({.trials = 2 * lanes});
    const Program program = sample->program();
    Interpreter oracle(program);
    bind_all(oracle, *sample);
    oracle.run();
    const Plan plan = Plan::compile(program, {.dtype = DType::f64, .isa = isa});
    CHECK(plan.lanes() == lanes);
    Workspace work(plan);
    bind_all(work, *sample);
    work.run();
    CHECK(relative_error(work.get("dx"), oracle.get("dx")) <= 1e-12);
  }
}

TEST_CASE("replay: many iterations follow the Interpreter, and a second run repeats the bits", "[plan]") {
  const auto sample = test::small_attack({.trials = 3, .smooth = true});
  const Program program = sample->program();
  Interpreter oracle(program);
  const Plan plan = Plan::compile(program, {.dtype = DType::f64});
  Workspace first(plan), second(plan);
  bind_all(oracle, *sample);
  bind_all(first, *sample);
  bind_all(second, *sample);
  for (int i = 0; i < 5; ++i) {
    oracle.run();
    first.run();
    CHECK(relative_error(first.get("x"), oracle.get("x")) <= 1e-11);
  }
  CHECK(first.get("it").at(0) == 5.0);
  for (int i = 0; i < 5; ++i) second.run();
  for (const char* name : {"x", "m", "match", "dx"}) CHECK(first.get(name).to_doubles() == second.get(name).to_doubles());
}

TEST_CASE("a state set from a saved one continues to the same bits", "[plan]") {
  const auto sample = test::small_attack({.trials = pack()});
  const Plan plan = Plan::compile(sample->program(), {.dtype = DType::f32});
  Workspace whole(plan), head(plan), tail(plan);
  bind_all(whole, *sample);
  bind_all(head, *sample);
  bind_all(tail, *sample);
  for (int i = 0; i < 6; ++i) whole.run();
  for (int i = 0; i < 3; ++i) head.run();
  for (const char* name : {"x", "m", "it"}) tail.set(name, head.get(name));
  for (int i = 0; i < 3; ++i) tail.run();
  for (const char* name : {"x", "m", "it", "match"}) CHECK(tail.get(name).to_doubles() == whole.get(name).to_doubles());
}

TEST_CASE("a trial keeps its bits in any lane and chunk of one layout", "[plan]") {
  for (const bool shared_weights : {true, false})
    for (const std::int64_t lanes : {std::int64_t{1}, pack()}) {
      // Trials 0..L-1 are in both; in the larger program they also have neighbours in another block.
      const std::int64_t few = lanes == 1 ? 2 : lanes, many = lanes == 1 ? 5 : 3 * lanes;
      const auto small = test::small_attack({.trials = few, .shared_weights = shared_weights});
      const auto large = test::small_attack({.trials = many, .shared_weights = shared_weights});
      const Plan p_small = Plan::compile(small->program(), {.dtype = DType::f32, .lanes = lanes});
      const Plan p_large = Plan::compile(large->program(), {.dtype = DType::f32, .lanes = lanes});
      Workspace a(p_small), b(p_large);
      bind_all(a, *small);
      bind_all(b, *large);
      const std::int64_t elsewhere = many - 2;  // trial 1 again: another block and, in packs, another lane
      for (const auto& [name, value] : large->bindings) {
        if (value.shape().trials() != many) continue;
        Tensor doubled = value.clone();
        const std::int64_t n = value.shape().count_per_trial();
        for (std::int64_t i = 0; i < n; ++i) doubled.as<double>()[elsewhere * n + i] = value.at(n + i);
        b.set(name, doubled);
      }
      for (int i = 0; i < 3; ++i) {
        a.run();
        b.run();
      }
      for (std::int64_t t = 0; t < few; ++t) CHECK(trial(a.get("x"), t).to_doubles() == trial(b.get("x"), t).to_doubles());
      if (shared_weights) CHECK(trial(b.get("x"), elsewhere).to_doubles() == trial(a.get("x"), 1).to_doubles());
    }
}

TEST_CASE("threads that share the steps change no bit", "[plan]") {
  for (const std::int64_t trials : {std::int64_t{1}, pack()})
    for (const char* tile : {"no", "4", "within4"}) {
      const auto sample = test::small_attack({.trials = trials, .images = 48});
      const Plan plan = Plan::compile(sample->program(), {.dtype = DType::f32, .force = {{"winograd", tile}}});
      Workspace alone(plan);
      bind_all(alone, *sample);
      for (int i = 0; i < 3; ++i) alone.run();
      for (const int threads : {2, 3, 7}) {
        Workspace shared(plan, threads);
        bind_all(shared, *sample);
        for (int i = 0; i < 3; ++i) shared.run();
        for (const char* name : {"match", "dx", "x", "m"}) {
          CAPTURE(trials, tile, threads, name);
          CHECK(shared.get(name).to_doubles() == alone.get(name).to_doubles());
        }
      }
    }
}

TEST_CASE("more or fewer threads may share a Workspace as it goes on", "[plan]") {
  const auto sample = test::small_attack({.images = 48});
  const Plan plan = Plan::compile(sample->program(), {.dtype = DType::f32});
  Workspace alone(plan), shared(plan);
  bind_all(alone, *sample);
  bind_all(shared, *sample);
  for (const int threads : {1, 4, 3, 1, 2}) {
    shared.share(threads);
    CHECK(shared.threads() == threads);
    alone.run();
    shared.run();
    for (const char* name : {"match", "dx", "x", "m"}) CHECK(shared.get(name).to_doubles() == alone.get(name).to_doubles());
  }
}

TEST_CASE("no two values that live at once overlap", "[plan]") {
  const auto sample = test::small_attack({.trials = pack()});
  const Plan plan = Plan::compile(sample->program(), {});
  // Replays the steps symbolically: each arena byte remembers the last step that wrote it; an operand must find its own.
  struct Written {
    std::size_t offset, bytes;
    int step;
  };
  const auto bytes = [](const kernels::Layout& l) {
    return static_cast<std::size_t>(l.count_per_block() * (l.strides[0] == 0 ? 1 : l.dims[0]) * l.lanes) *
           kernels::size_of(l.dtype);
  };
  std::map<std::size_t, Written> values;  // by offset
  const auto steps = plan.iteration();
  for (int s = 0; s < static_cast<int>(steps.size()); ++s) {
    for (const auto& in : steps[s].in) {
      if (in.memory != Plan::Memory::arena) continue;
      INFO("step " << s << ": " << steps[s].what);
      const auto it = values.find(in.offset);
      REQUIRE(it != values.end());  // what was written there is still whole
    }
    for (const auto& out : steps[s].out) {
      if (out.memory != Plan::Memory::arena) continue;
      const std::size_t end = out.offset + bytes(out.layout);
      std::erase_if(values, [&](const auto& v) { return v.second.offset < end && out.offset < v.second.offset + v.second.bytes; });
      values[out.offset] = {out.offset, bytes(out.layout), s};
      CHECK(end <= plan.arena_bytes());
    }
  }
  for (const auto& c : plan.commits())
    if (c.from.memory == Plan::Memory::arena) CHECK(values.contains(c.from.offset));
  CHECK(plan.arena_bytes() * 2 < plan.unshared_bytes());
}

TEST_CASE("what does not depend on the trial is computed once", "[plan]") {
  const auto one = test::small_attack({.trials = pack(), .shared_targets = true});
  const Plan plan = Plan::compile(one->program(), {});
  // The norm of shared targets depends on inputs alone: part of the setup, not of an iteration.
  // What is computed there runs on single numbers; only copies spread a shared value over the lanes.
  CHECK(plan.setup().size() > 0);
  for (const auto& s : plan.setup()) CHECK((s.kernel->lanes == 1 || s.what.starts_with("copy")));
  bool norm_of_targets = false;
  for (const auto& s : plan.setup()) norm_of_targets |= std::string_view(s.kernel->op) == "dot";
  CHECK(norm_of_targets);
}

TEST_CASE("plans answer misuse", "[plan]") {
  const auto sample = test::small_attack({.trials = 3});
  const Program program = sample->program();
  CHECK_THROWS_AS(Plan::compile(program, {.lanes = pack()}), UsageError);
  CHECK_THROWS_WITH(Plan::compile(program, {.force = {{"conv2d", "no_such_kernel"}}}), Catch::Contains("conv2d"));
  const Plan plan = Plan::compile(program, {});
  Workspace work(plan);
  CHECK_THROWS_WITH(work.run(), Catch::Contains("never set"));
  CHECK_THROWS_AS(work.set("nothing", Tensor({1}, DType::f64)), UsageError);
  CHECK_THROWS_AS(work.set("x", Tensor({3, 1, 3, 8, 8}, DType::f64)), ShapeError);
  const Plan again = Plan::compile(program, {});
  CHECK(plan.hash() == again.hash());
  CHECK(plan.hash() != Plan::compile(program, {.dtype = DType::f64}).hash());
}

TEST_CASE("the hash tells Programs apart that print alike", "[plan]") {
  const auto hash_of = [](double factor) {
    Graph g;
    const Value x = g.input("x", {1, 4});
    return Plan::compile(Program::freeze(g, {{{"y", scale(x, factor)}}, {}})).hash();
  };
  CHECK(hash_of(2.0) == hash_of(2.0));
  CHECK(hash_of(2.0) != hash_of(3.0));
}
