#include "inversion/run.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "engine/core/error.h"
#include "engine/exec/workspace.h"
#include "inversion/metrics.h"
#include "models/weight_files.h"
#include "tests/inversion/small_problem.h"
#include "tests/shared_data.h"

using namespace gi;
using namespace gi::inversion;
namespace fs = std::filesystem;

namespace {

const std::int64_t kPack = kernels::pack_lanes(kernels::best_isa());

bool same_bits(const RunResult& a, const RunResult& b) {
  if (a.trials.size() != b.trials.size() || a.best != b.best) return false;
  for (std::size_t i = 0; i < a.trials.size(); ++i)
    if (a.trials[i].x.to_doubles() != b.trials[i].x.to_doubles() || a.trials[i].cost != b.trials[i].cost ||
        a.trials[i].curve != b.trials[i].curve)
      return false;
  return true;
}

double psnr_of(const Problem& p, const Trial& t, const std::vector<double>& truth) {
  return psnr(truth, pixels(t.x.to_doubles(), p));
}

}  // namespace

TEST_CASE("a small attack reaches its picture", "[e2e]") {
  const Problem p = test::small_problem(2, true, 16);
  const RunResult result = AttackRun(p, {.steps = 400, .seed = 1}, {}).execute();
  for (int v = 0; v < 2; ++v) {
    const std::vector<double> truth = test::smooth_picture(16, v);
    const Trial& t = result.trials[result.best[v].value()];
    const double reached = psnr_of(p, t, truth), constant = constant_psnr(truth, {3, 16, 16});
    INFO("victim " << v << ": " << reached << " dB, constant " << constant);
    CHECK(reached > constant + 6);
    CHECK(t.cost < 0.02);
    CHECK(t.iterations == 400);
    CHECK(t.curve.size() == 100);
    CHECK(t.curve.front() > t.cost);
  }
  CHECK_FALSE(result.interrupted);
}

TEST_CASE("LeNetZhu with the stored weights comes to what is known of it", "[e2e][slow]") {
  const auto weights = test::data_file("weights/untrained/lenetzhu_seed42.safetensors");
  const auto bin = test::data_file("cifar10/bin/test_00.bin");
  if (!weights || !bin) return;
  Problem p;
  p.model = models::find_model("lenetzhu");
  p.networks.push_back(models::load_weights(*weights, p.model));
  const models::Normalization& n = models::normalization("cifar10");
  p.mean = n.mean;
  p.std = n.std;
  std::FILE* in = std::fopen(bin->c_str(), "rb");
  REQUIRE(in != nullptr);
  std::array<unsigned char, 3073> record;
  REQUIRE(std::fread(record.data(), 1, record.size(), in) == record.size());
  std::fclose(in);
  std::vector<double> truth;
  for (int i = 0; i < 3072; ++i) truth.push_back(record[1 + i] / 255.0);
  const std::vector<std::int64_t> labels{record[0]};
  Client client(p.model, p.mode, 1, DType::f32);
  p.victims.push_back({client.answer(p.networks[0], Tensor::from(p.candidates(1), normalised(truth, p)), labels).gradient, labels});
  const RunResult result = AttackRun(p, {.steps = 4800, .tv = 1e-2, .seed = 1}, {}).execute();
  CHECK(psnr_of(p, result.trials[0], truth) > 24.3);  // two independent runs of the authors' program: 24.76 and 24.79
  CHECK(result.trials[0].cost < 6e-4);
}

TEST_CASE("results do not depend on the number of threads", "[e2e]") {
  const Problem p = test::small_problem(2);
  const AttackOptions attack{.steps = 12, .restarts = kPack};
  const RunResult one = AttackRun(p, attack, {.threads = 1}).execute();
  const RunResult two = AttackRun(p, attack, {.threads = 2}).execute();
  CHECK(same_bits(one, two));
  CHECK(one.trials.size() == static_cast<std::size_t>(2 * kPack));

  // Threads that have no trial left help with the last one.
  const Problem batch = test::small_problem(1, false, 16, "lenetzhu", 3);
  const AttackOptions odd{.steps = 40, .restarts = 5};
  const RunResult alone = AttackRun(batch, odd, {.threads = 1}).execute();
  for (const int threads : {2, 4}) CHECK(same_bits(alone, AttackRun(batch, odd, {.threads = threads}).execute()));
}

TEST_CASE("a trial keeps its bits in any chunk, lane and company", "[e2e]") {
  const Problem p = test::small_problem();
  const AttackOptions few{.steps = 12, .restarts = 3}, many{.steps = 12, .restarts = 2 * kPack + 1};
  AttackRun run_few(p, few, {.lanes = kPack}), run_many(p, many, {});
  REQUIRE(run_few.plan().hash() == run_many.plan().hash());
  CHECK(run_few.trials_per_chunk() == kPack);
  CHECK(run_many.chunks() == 3);
  const RunResult a = run_few.execute(), b = run_many.execute();
  for (std::size_t i = 0; i < 3; ++i) CHECK(a.trials[i].x.to_doubles() == b.trials[i].x.to_doubles());

  // The same trials the other way round: every one in another lane.
  const std::int64_t last = kPack - 1;
  std::vector<TrialId> ids;
  for (std::int64_t t = last; t >= 0; --t) ids.push_back({0, t});
  Workspace work(run_many.plan());
  bind_attack_inputs(p, many, ids, [&](const std::string& name, const Tensor& value) { work.set(name, value); });
  for (const auto& [name, value] : attack_start(p, many, ids)) work.set(name, value);
  for (int i = 0; i < 12; ++i) work.run();
  const std::vector<double> x = work.get("x").to_doubles();
  const std::size_t n = x.size() / static_cast<std::size_t>(kPack);
  for (std::int64_t t = 0; t <= last; ++t) {
    const auto lane = x.begin() + (last - t) * static_cast<std::int64_t>(n);
    CHECK(std::vector<double>(lane, lane + static_cast<std::int64_t>(n)) == b.trials[t].x.to_doubles());
  }
}

TEST_CASE("packs and single trials, shared and own networks agree within f64", "[e2e]") {
  const Problem shared = test::small_problem(3), own = test::small_problem(3, true);
  for (const Problem* p : {&shared, &own}) {
    const AttackOptions attack{.steps = 6};
    const RunResult packed = AttackRun(*p, attack, {.dtype = DType::f64, .lanes = kPack}).execute();
    const RunResult single = AttackRun(*p, attack, {.dtype = DType::f64, .lanes = 1}).execute();
    for (std::size_t i = 0; i < 3; ++i) {
      const std::vector<double> a = packed.trials[i].x.to_doubles(), b = single.trials[i].x.to_doubles();
      double largest = 0;
      for (std::size_t e = 0; e < a.size(); ++e) largest = std::max(largest, std::abs(a[e] - b[e]));
      CHECK(largest < 1e-9);
    }
  }
}

TEST_CASE("images side by side are the same attack within f64", "[e2e]") {
  const Problem p = test::small_problem(2, false, 16, "lenetzhu", 2 * kPack);
  const AttackOptions attack{.steps = 6, .restarts = 2};
  AttackRun spread(p, attack, {.dtype = DType::f64, .threads = 2}), plain(p, attack, {.dtype = DType::f64, .lanes = 1});
  CHECK(spread.images_as_trials());
  CHECK(spread.plan().lanes() == kPack);
  CHECK(spread.trials_per_chunk() == 1);
  CHECK_FALSE(plain.images_as_trials());
  const RunResult a = spread.execute(), b = plain.execute();
  CHECK(same_bits(a, AttackRun(p, attack, {.dtype = DType::f64, .threads = 7}).execute()));
  REQUIRE(a.trials.size() == 4);
  for (std::size_t t = 0; t < 4; ++t) {
    REQUIRE(a.trials[t].x.shape() == p.candidates(1));
    double largest = 0;
    for (std::int64_t i = 0; i < a.trials[t].x.count(); ++i)
      largest = std::max(largest, std::abs(a.trials[t].x.at(i) - b.trials[t].x.at(i)));
    CHECK(largest < 1e-9);
    CHECK(a.trials[t].cost == Approx(b.trials[t].cost).epsilon(1e-9));
    CHECK(a.trials[t].tv == Approx(b.trials[t].tv).epsilon(1e-9));
  }
}

TEST_CASE("images lie side by side where they fill packs and that pays", "[unit]") {
  const AttackOptions attack{.steps = 4};
  const auto spread = [&](const Problem& p, std::int64_t restarts) {
    AttackOptions several = attack;
    several.restarts = restarts;
    return AttackRun(p, several, {}).images_as_trials();
  };
  CHECK(spread(test::small_problem(1, false, 16, "lenetzhu", kPack), 1));
  CHECK(spread(test::small_problem(1, false, 16, "lenetzhu", kPack), kPack));
  CHECK_FALSE(spread(test::small_problem(1, false, 16, "lenetzhu", kPack + 1), 1));
  CHECK_FALSE(spread(test::small_problem(1, false, 320, "lenetzhu", kPack), 1));  // outside the caches
  const Problem p = test::small_problem(1, false, 16, "lenetzhu", kPack);
  CHECK_FALSE(AttackRun(p, attack, {.lanes = 1}).images_as_trials());
  CHECK_FALSE(AttackRun(p, attack, {.force = {{"winograd", "no"}}}).images_as_trials());
  const Problem linear = test::small_problem(1, false, 16, "mlp", kPack);
  CHECK(spread(linear, 1));
  CHECK_FALSE(spread(linear, kPack));  // trials side by side share more
  for (const char* model : {"lenetzhu", "resnet18-w4"}) {
    Problem p = test::small_problem(1, false, 16, model, kPack);
    CHECK(spread(p, 1));
    p.mode = models::Mode::train;
    CHECK(spread(p, 1) == (p.model.name == "lenetzhu"));  // the other normalises its batch
  }
}

TEST_CASE("a run that was stopped goes on to the same bits", "[e2e]") {
  const test::TemporaryFolder folder;
  const bool batches = GENERATE(false, true);
  const Problem p = batches ? test::small_problem(1, false, 16, "lenetzhu", kPack) : test::small_problem(1);
  const AttackOptions attack{.steps = 60, .restarts = batches ? 3 : kPack + 2, .seed = 9};
  REQUIRE(AttackRun(p, attack, {}).images_as_trials() == batches);
  const RunResult undisturbed = AttackRun(p, attack, {}).execute();

  RunOptions options{.threads = 1, .journal = folder / "journal", .resume = true, .checkpoint_seconds = 1e-9, .progress_every = 1};
  std::atomic<bool> stop{false};
  options.stop = &stop;
  int passes = 0;
  RunResult result;
  do {  // each pass is allowed 25 more iterations
    stop = false;
    options.progress = [&](const Progress& progress) { stop = progress.done - progress.resumed >= 25; };
    result = AttackRun(p, attack, options).execute();
    REQUIRE(++passes < 20);
  } while (result.interrupted);
  CHECK(passes > 3);
  CHECK(same_bits(result, undisturbed));

  AttackOptions other = attack;
  other.tv = 0.5;
  CHECK_THROWS_WITH(AttackRun(p, other, options).execute(), Catch::Contains("tv is 0.01 there and 0.5 here"));
  const Problem another = test::small_problem(1, false, 32);
  CHECK_THROWS_AS(AttackRun(another, attack, options).execute(), UsageError);
}

TEST_CASE("the present state of a stopped run is what it was stopped at", "[e2e]") {
  const Problem p = test::small_problem(1);
  std::atomic<bool> stop{false};
  const RunOptions options{.progress_every = 1, .progress = [&](const Progress& now) { stop = now.iteration == 7; }, .stop = &stop};
  const RunResult stopped = AttackRun(p, {.steps = 500}, options).execute();
  CHECK(stopped.interrupted);
  CHECK(stopped.trials[0].iterations == 7);
  REQUIRE(stopped.best[0] == 0u);
  CHECK(std::isfinite(stopped.trials[0].cost));
}

TEST_CASE("costs that are no numbers never win and never shift the others", "[unit]") {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();
  std::vector<Trial> trials;
  for (const double cost : {kNaN, 0.5, kInfinity, 0.25, kNaN, -kInfinity, 0.75}) {
    Trial t;
    t.started = true;
    t.cost = cost;
    trials.push_back(std::move(t));
  }
  CHECK(best_trial(trials, 0, 7) == 3u);
  CHECK(best_trial(trials, 0, 3) == 1u);
  CHECK(best_trial(trials, 4, 7) == 6u);
  CHECK_FALSE(best_trial(trials, 4, 6));
  trials[3].started = false;
  CHECK(best_trial(trials, 0, 7) == 1u);
}

TEST_CASE("what does not fit in memory runs in smaller chunks, or says what one trial needs", "[unit]") {
  const Problem p = test::small_problem(1);
  const AttackOptions attack{.steps = 4, .restarts = 2 * kPack};
  const std::size_t pack = AttackRun(p, attack, {}).plan().workspace_bytes();
  const std::size_t one = AttackRun(p, attack, {.lanes = 1}).plan().workspace_bytes();
  REQUIRE(one < pack);
  AttackRun thinner(p, attack, {.threads = 2, .memory = pack + pack / 2});
  CHECK(thinner.threads() == 1);
  CHECK(thinner.trials_per_chunk() == kPack);
  AttackRun smaller(p, attack, {.threads = 2, .memory = one});
  CHECK(smaller.trials_per_chunk() == 1);
  CHECK(smaller.threads() == 1);
  CHECK(smaller.execute().trials.size() == static_cast<std::size_t>(2 * kPack));
  CHECK_THROWS_WITH(AttackRun(p, attack, {.memory = one / 2}), Catch::Contains("one trial of lenetzhu needs"));
}

TEST_CASE("trials run one by one where a pack's convolutions would lie outside the caches", "[unit]") {
  for (const std::int64_t side : {16, 320}) {
    const Problem p = test::small_problem(1, false, side);
    const AttackOptions attack{.steps = 4, .restarts = kPack};
    const AttackRun asked(p, attack, {.lanes = kPack});
    CHECK(asked.trials_per_chunk() == kPack);
    CAPTURE(side, asked.plan().workspace_bytes() >> 20);
    CHECK(AttackRun(p, attack, {}).trials_per_chunk() == (side == 320 ? 1 : kPack));
  }
  const Problem p = test::small_problem(1, false, 16, "mlp");
  const AttackRun linear(p, {.steps = 4, .restarts = kPack}, {});
  CHECK(linear.plan().workspace_bytes() / kPack > std::size_t{4} << 20);
  CHECK(linear.trials_per_chunk() == kPack);
}
