#include <catch2/catch.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/cli/run_program.h"

using namespace gi;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> command(const std::string& picture, const std::filesystem::path& out,
                                 const std::vector<std::string>& more) {
  std::vector<std::string> argv{"gi_invert", picture, "--model",    "lenetzhu", "--size",   "16",
                                "--labels",  "3",     "--restarts", "20",       "--output", out};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

/// Waits until `condition`, or the program ended.
template <class Condition>
void wait_for(test::Running& program, Condition condition) {
  for (int i = 0; i < 6000 && !condition() && !program.ended(); ++i) std::this_thread::sleep_for(5ms);
}

}  // namespace

TEST_CASE("one and two threads write the same bits", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "p.png");
  for (const char* threads : {"1", "2"})
    REQUIRE(test::run(folder, command(picture, folder / threads, {"--steps", "20", "--threads", threads})).code == 0);
  CHECK(test::text_of(folder / "1" / "reconstruction.safetensors") == test::text_of(folder / "2" / "reconstruction.safetensors"));
}

TEST_CASE("a run killed again and again ends in the bits of an undisturbed one", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "p.png");
  const std::string steps = "1500";
  const auto whole = test::run(folder, command(picture, folder / "whole", {"--steps", steps, "--checkpoint-every", "0"}));
  INFO(whole.err);
  REQUIRE(whole.code == 0);
  int kills = 0;
  for (int i = 0; i < 4; ++i) {
    test::Running program(folder,
                          command(picture, folder / "killed", {"--steps", steps, "--checkpoint-every", "0.02", "--resume"}));
    const auto chunk = folder / "killed" / "journal" / "chunk-0.safetensors";
    const std::string before = test::text_of(chunk);
    wait_for(program, [&] { return test::text_of(chunk) != before; });  // it made at least one step of its own
    program.signal(SIGKILL);
    kills += program.wait().code == -SIGKILL;
  }
  CHECK(kills >= 2);
  CHECK_FALSE(std::filesystem::exists(folder / "killed" / "report.json"));
  // What cannot be the same run is refused and leaves the journal as it is.
  const auto other = test::run(folder, command(picture, folder / "killed", {"--steps", steps, "--tv", "0.5", "--resume"}));
  CHECK(other.code == 2);
  CHECK_THAT(other.err, Contains("the journal is of another run: tv is 0.01 there and 0.5 here"));

  const auto resumed = test::run(folder, command(picture, folder / "killed", {"--steps", steps, "--resume"}));
  INFO(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(test::text_of(folder / "killed" / "reconstruction.safetensors") ==
        test::text_of(folder / "whole" / "reconstruction.safetensors"));
  const auto curve = [&](const char* name) {
    return nlohmann::json::parse(test::text_of(folder / name / "report.json")).at("cost_curve");
  };
  CHECK(curve("killed") == curve("whole"));
  CHECK_FALSE(std::filesystem::exists(folder / "killed" / "journal"));
}

TEST_CASE("Ctrl-C ends early with the present state, and --resume goes on", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "p.png");
  test::Running program(folder, command(picture, folder / "out", {"--steps", "1000000", "--checkpoint-every", "0.02"}));
  wait_for(program, [&] { return std::filesystem::exists(folder / "out" / "journal" / "chunk-0.safetensors"); });
  program.signal(SIGINT);
  const auto outcome = program.wait();
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.err, Contains("ended early") && Contains("--resume"));
  const auto report = nlohmann::json::parse(test::text_of(folder / "out" / "report.json"));
  CHECK(report.at("completed") == false);
  CHECK(report.at("images")[0].contains("psnr"));
  CHECK(std::filesystem::exists(folder / "out" / "reconstruction_000.png"));
  CHECK(std::filesystem::exists(folder / "out" / "journal" / "run.safetensors"));
  double least = 1;
  for (const auto& t : report.at("cost_curve").at("trials"))
    if (!t.at("cost").is_null()) least = std::min(least, t.at("cost").get<double>());
  CHECK(report.at("images")[0].at("cost") == least);
}
