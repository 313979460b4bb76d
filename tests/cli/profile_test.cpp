// gi_invert --profile: what it writes, and that the attack does not notice.
#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/cli/run_program.h"

using namespace gi;
using Catch::Matchers::Contains;
using nlohmann::json;

TEST_CASE("gi_invert --profile tells where the time went and keeps the result's bits", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string a = test::write_picture(folder, "a.png", 0), b = test::write_picture(folder, "b.png", 1);
  const auto invert = [&](const std::string& output, bool profile) {
    std::vector<std::string> argv{"gi_invert", a,         b,   "--model",   "lenetzhu", "--size",   "16",           "--steps",
                                  "20",        "--lanes", "1", "--threads", "2",        "--output", folder / output};
    if (profile) argv.push_back("--profile");
    return test::run(folder, argv);
  };
  const auto plain = invert("plain", false), timed = invert("timed", true);
  INFO(timed.err);
  REQUIRE(plain.code == 0);
  REQUIRE(timed.code == 0);
  CHECK(test::text_of(folder / "plain" / "reconstruction.safetensors") ==
        test::text_of(folder / "timed" / "reconstruction.safetensors"));
  for (const char* name : {"profile.json", "trace.json"}) CHECK_FALSE(std::filesystem::exists(folder / "plain" / name));
  CHECK_THAT(timed.out,
             Contains("ceilings of a thread (") && Contains("\nconv2d ") && Contains("all steps") && Contains("trace.json"));

  const json report = json::parse(test::text_of(folder / "timed" / "report.json"));
  const json profile = json::parse(test::text_of(folder / "timed" / "profile.json"));
  CHECK(profile.at("schema") == "gi_invert_profile/1");
  CHECK(profile.at("device") == report.at("device"));
  CHECK(profile.at("plan").at("hash") == report.at("plan").at("hash"));
  CHECK(profile.at("runs") == 2 * (20 + 1));  // a chunk a victim, and a last run for the cost of the last x
  CHECK(profile.at("ceilings").at("gflops").at("f32").get<double>() > 0);
  CHECK(profile.at("ceilings").at("read_gbs").at("memory").get<double>() > 0);

  // The sums agree, and fit into the time the run took on its threads.
  const double in_steps = profile.at("seconds_in_steps"), seconds = profile.at("seconds");
  CHECK(in_steps > 0);
  CHECK(in_steps <= seconds);
  CHECK(seconds <= 2 * report.at("timings").at("attack_seconds").get<double>());
  double steps = 0, ops = 0, gflop = 0;
  std::map<std::string, std::int64_t> counted;
  for (const json& s : profile.at("steps")) {
    for (const char* key : {"index", "kernel", "what", "bytes", "level", "best_seconds", "gflops", "gbs", "share_of_ceiling"})
      CHECK(s.contains(key));
    const bool iteration = s.at("phase") == "iteration";
    CHECK(s.at("calls").get<int>() >= (iteration ? 42 : 2));
    if (iteration) gflop += s.at("flops").get<double>() * 1e-9;
    steps += s.at("seconds").get<double>();
    ++counted[s.at("op")];
  }
  for (const json& op : profile.at("by_op")) {
    CHECK(op.at("steps") == counted[op.at("op")]);
    ops += op.at("seconds").get<double>();
  }
  CHECK(profile.at("by_op").size() == counted.size());
  CHECK(steps == Approx(in_steps));
  CHECK(ops == Approx(in_steps));
  CHECK(gflop == Approx(report.at("plan").at("gflop_per_iteration").get<double>()));

  // Two runs on each track, their steps inside.
  const json trace = json::parse(test::text_of(folder / "timed" / "trace.json"));
  std::map<int, std::vector<std::pair<double, double>>> runs;
  for (const json& e : trace.at("traceEvents"))
    if (e.at("ph") == "X" && e.at("cat") == "run") runs[e.at("tid")].emplace_back(e.at("ts"), e.at("dur"));
  REQUIRE(runs.size() >= 1);  // one thread may have done it all
  for (const auto& [thread, list] : runs) CHECK(list.size() == 2);
  std::size_t inside = 0;
  for (const json& e : trace.at("traceEvents")) {
    if (e.at("ph") != "X" || e.at("cat") != "step") continue;
    const double begin = e.at("ts"), end = begin + e.at("dur").get<double>();
    for (const auto& [start, duration] : runs.at(e.at("tid"))) inside += start <= begin && end <= start + duration + 1e-3;
  }
  CHECK(inside == runs.size() * 2 * report.at("plan").at("steps").get<std::size_t>());
}
