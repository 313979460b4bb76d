#include "tools/common/plan_file.h"

#include <array>
#include <catch2/catch.hpp>
#include <fstream>

#include "engine/autodiff/grad.h"
#include "engine/core/error.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/reduce.h"
#include "models/file.h"
#include "tests/shared_data.h"

using namespace gi;
using namespace gi::tools;
using Catch::Matchers::Contains;

namespace {

/// The gradient of a small convolution by its filters, which two kernels of every processor serve; the convolution, of so few
/// pixels, one.
Program small_program(Graph& g, std::int64_t side) {
  const Value x = g.state("x", {1, 1, 3, side, side}), w = g.input("w", {1, 64, 3, 3, 3});
  const Value y = conv2d(x, w, {.pad = 1});
  return Program::freeze(g, {{{"dw", grad(dot(y, y), std::array{w})[0]}}, {{x, x}}});
}

void put(const std::filesystem::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

std::string content(const std::filesystem::path& path) {
  const auto bytes = models::read_file(path, 1 << 20);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a plan file gives back the choices it was written with", "[plan_file]") {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder / "tuned.json";
  Graph g;
  const Program program = small_program(g, 6);
  const Plan plan = Plan::compile(program);
  Tuning tuning = tune(plan, nullptr);
  REQUIRE(tuning.steps.size() == 1);
  for (const TunedKernel& k : tuning.steps[0].candidates)
    if (k.kernel != tuning.steps[0].own.kernel) tuning.steps[0].chosen = k;
  write_plan_file(path, tuned_for(plan, nullptr), "small", tuning);
  const PlanFile file = read_plan_file(path);
  CHECK(file.model == "small");
  CHECK(file.choices == tuning.choices());
  require_fit(path, file, plan, nullptr);
  const Plan expected = Plan::compile(program, {.choices = tuning.choices()});
  CHECK(expected.hash() != plan.hash());
  CHECK(Plan::compile(program, {.choices = file.choices}).hash() == expected.hash());
}

TEST_CASE("a plan file for something else is refused, with both sides", "[plan_file]") {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder / "tuned.json";
  Graph g, other;
  const Plan plan = Plan::compile(small_program(g, 6));
  write_plan_file(path, tuned_for(plan, nullptr), "small", tune(plan, nullptr));
  const PlanFile file = read_plan_file(path);
  const auto refused = [&](auto change, const std::vector<std::string>& words) {
    PlanFile changed = file;
    change(changed.of);
    CHECK_THROWS_AS(require_fit(path, changed, plan, nullptr), UsageError);
    for (const std::string& word : words) CHECK_THROWS_WITH(require_fit(path, changed, plan, nullptr), Contains(word));
  };
  refused([](TunedFor& of) { of.device = "Abacus"; }, {"tuned.json: made for device \"Abacus\", this run has \"", "tune again"});
  refused([](TunedFor& of) { of.isa = "mmx"; }, {"made for instruction set \"mmx\", this run has \"" + file.of.isa + "\""});
  refused([](TunedFor& of) { of.dtype = "f64"; }, {"made for dtype \"f64\", this run has \"f32\""});
  refused([](TunedFor& of) { of.trials = 7; }, {"made for trials side by side: \"7\", this run has \"1\"", "--lanes 7"});
  const Plan larger = Plan::compile(small_program(other, 5));
  CHECK_THROWS_WITH(require_fit(path, file, larger, nullptr),
                    Contains("made for \"small\", this run has no step \"conv2d_grad_weight f32 x1 (3 64 6 6 3 3 6 6"));
}

TEST_CASE("what is no plan file is said to be none", "[plan_file]") {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder / "tuned.json";
  Graph g;
  const Plan plan = Plan::compile(small_program(g, 6));
  write_plan_file(path, tuned_for(plan, nullptr), "small", tune(plan, nullptr));
  const std::string text = content(path);
  const auto refused = [&](const std::string& bad, const std::string& message) {
    put(path, bad);
    CHECK_THROWS_AS(read_plan_file(path), IoError);
    CHECK_THROWS_WITH(read_plan_file(path), Contains("tuned.json: ") && Contains(message));
  };
  refused("", "not JSON (byte 1 of 0)");
  refused(text.substr(0, text.size() / 2), "not JSON");
  refused(std::string(100000, '['), "nested too deeply");
  refused("[]", "the file is not an object");
  refused("{}", "the file has no 'schema'");
  refused(replaced(text, "gi_plan/1", "gi_plan/2"), "schema \"gi_plan/2\" is not gi_plan/1");
  refused(replaced(text, "\"isa\"", "\"isb\""), "the file has no 'isa'");
  refused(replaced(text, "\"trials\": 1", "\"trials\": -1"), "'trials' of the file is not a whole number");
  refused(replaced(text, "\"trials\": 1", "\"trials\": \"1\""), "'trials' of the file is not a whole number");
  refused(replaced(text, "\"steps\": [", "\"steps\": 3, \"more\": ["), "'steps' of the file is not a list");
  refused(replaced(text, "\"steps\": [", "\"steps\": [4, "), "step 0 is not an object");
  refused(replaced(text, "\"steps\": [", "\"steps\": [{\"step\": 4}, "), "'step' of step 0 is not a text");
  refused(replaced(text, "\"steps\": [", "\"steps\": [{\"step\": \"a\"}, "), "step 0 has no 'kernel'");
  const std::string twice = R"({"step": "a", "kernel": "b"}, )";
  refused(replaced(text, "\"steps\": [", "\"steps\": [" + twice + twice), "\"a\" is there twice");
  CHECK_THROWS_WITH(read_plan_file(folder / "absent.json"), Contains("absent.json"));
}
