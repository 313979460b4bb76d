// gi_invert --tune and --plan-file.
#include <catch2/catch.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/cli/run_program.h"

using namespace gi;
using Catch::Matchers::Contains;
using nlohmann::json;

namespace {

/// An attack with few pixels and many filters: two kernels serve some of its steps.
std::vector<std::string> command(const std::string& picture, const std::filesystem::path& out,
                                 const std::vector<std::string>& more) {
  std::vector<std::string> argv{"gi_invert", picture,    "--model", "resnet20",  "--size", "16",       "--device",
                                "cpu",       "--labels", "3",       "--threads", "1",      "--output", out};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

/// The same file with the other kernel for one step.
void exchange_a_kernel(const std::filesystem::path& path) {
  json file = json::parse(test::text_of(path));
  json& step = file.at("steps").at(0);
  for (const json& candidate : step.at("candidates"))
    if (candidate.at("kernel") != step.at("kernel")) {
      step["kernel"] = candidate.at("kernel");
      break;
    }
  test::write_text(path, file.dump());
}

}  // namespace

TEST_CASE("a run goes on with the plan file that --tune writes, and --plan-file repeats it", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "p.png"), file = folder / "tuned.json";
  const auto tuned = test::run(folder, command(picture, folder / "tuned", {"--steps", "3", "--tune", file}));
  INFO(tuned.err);
  REQUIRE(tuned.code == 0);
  CHECK_THAT(tuned.err, Contains("tuning 1/"));
  CHECK_THAT(tuned.out, Contains("different steps with a choice have another kernel: " + file));
  const json plan = json::parse(test::text_of(file));
  CHECK(plan.at("schema") == "gi_plan/1");
  CHECK(plan.at("model") == "resnet20");
  CHECK(plan.at("dtype") == "f32");
  CHECK(plan.at("trials") == 1);
  CHECK(plan.at("untuned").empty());
  REQUIRE_FALSE(plan.at("steps").empty());
  for (const json& step : plan.at("steps")) {
    CHECK(step.at("candidates").size() >= 2);
    CHECK(step.at("seconds") <= step.at("default_seconds"));
    // Minimal filtering is a class of its own, five times as wide for tiles of 4 (gi_test_kernels); who is not filtered gains
    // nothing.
    const bool filtered = step.at("kernel").get<std::string>().ends_with("_winograd");
    CHECK(step.at("error").get<double>() <= (filtered ? 5 : 1) * step.at("tolerance").get<double>());
  }

  const auto again = test::run(folder, command(picture, folder / "again", {"--steps", "3", "--plan-file", file}));
  INFO(again.err);
  REQUIRE(again.code == 0);
  const json first = json::parse(test::text_of(folder / "tuned" / "report.json"));
  const json second = json::parse(test::text_of(folder / "again" / "report.json"));
  CHECK(first.at("plan").at("file") == file);
  CHECK(first.at("plan").at("hash") == second.at("plan").at("hash"));
  CHECK(first.at("hashes").at(file).get<std::string>().size() == 64);
  CHECK(first.at("hashes").at(file) == second.at("hashes").at(file));
  CHECK(test::text_of(folder / "tuned" / "reconstruction.safetensors") ==
        test::text_of(folder / "again" / "reconstruction.safetensors"));

  const auto explained = test::run(folder, {"gi_invert", "--explain-plan", "--model", "resnet20", "--size", "16", "--device", "cpu",
                                            "--tune", folder / "explained.json"});
  CHECK(explained.code == 0);
  CHECK_THAT(explained.out, Contains("another kernel: ") && Contains("GFLOP an iteration"));
  CHECK(std::filesystem::exists(folder / "explained.json"));
}

TEST_CASE("a plan file that does not fit the run ends with a message", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "p.png"), file = folder / "tuned.json";
  const auto explain = [&](const std::vector<std::string>& more) {
    std::vector<std::string> argv{"gi_invert", "--explain-plan", "--size", "16", "--device", "cpu", "--model", "resnet20"};
    argv.insert(argv.end(), more.begin(), more.end());
    return test::run(folder, argv);
  };
  REQUIRE(explain({"--tune", file}).code == 0);
  const auto doubles = explain({"--plan-file", file, "--dtype", "f64"});
  CHECK(doubles.code == 2);
  CHECK_THAT(doubles.err, Contains("made for dtype \"f32\", this run has \"f64\""));
  const auto many = explain({"--plan-file", file, "--restarts", "16"});
  CHECK(many.code == 2);
  CHECK_THAT(many.err, Contains("made for trials side by side: \"1\", this run has"));
  const auto batch = explain({"--plan-file", file, "--size", "17"});
  CHECK(batch.code == 2);
  CHECK_THAT(batch.err, Contains("--size"));

  json plan = json::parse(test::text_of(file));
  plan["steps"][0]["kernel"] = "wishful";
  test::write_text(file, plan.dump());
  const auto unknown = explain({"--plan-file", file});
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.err, Contains("wishful: there is no such kernel") && Contains("tune again"));
  test::write_text(file, "{}");
  const auto empty = explain({"--plan-file", file});
  CHECK(empty.code == 1);
  CHECK_THAT(empty.err, Contains("tuned.json: the file has no 'schema'"));
  CHECK(explain({"--plan-file", folder / "absent.json"}).code == 1);
  CHECK(explain({"--tune", folder / "no" / "such" / "folder.json"}).code == 1);
}

TEST_CASE("a journal is gone on with under the plan it was begun with only", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "p.png"), file = folder / "tuned.json";
  REQUIRE(test::run(folder, command(picture, folder / "first", {"--steps", "1", "--tune", file})).code == 0);
  const auto with_file = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all{"--steps", "1000", "--plan-file", file, "--checkpoint-every", "0.02"};
    all.insert(all.end(), more.begin(), more.end());
    return command(picture, folder / "out", all);
  };
  test::Running program(folder, with_file({}));
  const auto chunk = folder / "out" / "journal" / "chunk-0.safetensors";
  for (int i = 0; i < 6000 && !std::filesystem::exists(chunk) && !program.ended(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  program.signal(SIGKILL);
  REQUIRE(program.wait().code == -SIGKILL);
  const std::string kept = test::text_of(file);
  exchange_a_kernel(file);
  const auto other = test::run(folder, with_file({"--resume"}));
  CHECK(other.code == 2);
  CHECK_THAT(other.err, Contains("the journal is of another run: plan is "));
  test::write_text(file, kept);
  test::Running same(folder, with_file({"--resume"}));
  const std::string before = test::text_of(chunk);
  for (int i = 0; i < 6000 && test::text_of(chunk) == before && !same.ended(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  same.signal(SIGINT);
  CHECK(same.wait().code == 0);
}
