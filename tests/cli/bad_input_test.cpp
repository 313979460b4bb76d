#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <functional>

#include "models/safetensors.h"
#include "tests/cli/run_program.h"

using namespace gi;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
namespace fs = std::filesystem;

namespace {

/// 8 bytes of length, then the header, then data.
std::string safetensors(const std::string& header, std::size_t data, std::uint64_t claimed = 0) {
  std::string out(8, '\0');
  const std::uint64_t n = claimed != 0 ? claimed : header.size();
  std::memcpy(out.data(), &n, 8);
  return out + header + std::string(data, '\0');
}

/// A gradient of LeNetZhu at 16x16 by fresh weights, and such weights as a file: shapes are all that matters here.
struct Exchange {
  explicit Exchange(const test::TemporaryFolder& folder) : gradient(folder / "g.safetensors"), weights(folder / "w.safetensors") {
    const std::string picture = test::write_picture(folder, "p.png");
    REQUIRE(
        test::run(folder, {"gi_client", "--image", picture, "--model", "lenetzhu", "--size", "16", "--output", gradient}).code ==
        0);
    fs::copy_file(gradient, weights);
  }
  std::string gradient, weights;
};

test::Outcome attack(const test::TemporaryFolder& folder, const std::string& gradient, const std::string& weights,
                     const std::string& model = "lenetzhu") {
  return test::run(folder, {"gi_invert", "--gradient", gradient, "--weights", weights, "--model", model, "--size", "16", "--steps",
                            "2", "--output", folder / "out"});
}

/// Changes one number of one tensor.
void edit(const std::string& from, const std::string& to, const std::function<void(models::TensorEntry&)>& change) {
  models::TensorFile file = models::read_safetensors(from);
  for (auto& t : file.tensors) change(t);
  models::write_safetensors(to, file);
}

}  // namespace

TEST_CASE("pictures that are none are refused by name with code 1", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string good = test::write_picture(folder, "good.png", 0, 64);
  test::write_text(folder / "text.png", "this is no picture\n");
  test::write_text(folder / "cut.png", test::text_of(good).substr(0, test::text_of(good).size() / 2));
  test::write_text(folder / "empty.png", "");
  for (const std::string name : {"text.png", "cut.png", "empty.png", "missing.png", "."}) {
    const auto outcome =
        test::run(folder, {"gi_invert", folder / name, "--model", "lenetzhu", "--steps", "2", "--output", folder / "out"});
    INFO(name << ": " << outcome.err);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, StartsWith("gi_invert: error: ") && Contains((folder / name).string()));
    CHECK_FALSE(fs::exists(folder / "out" / "report.json"));
  }
  const auto client =
      test::run(folder, {"gi_client", "--image", folder / "text.png", "--model", "lenetzhu", "--output", folder / "g"});
  CHECK(client.code == 1);
  CHECK_THAT(client.err, StartsWith("gi_client: error: ") && Contains("text.png"));
}

TEST_CASE("hostile tensor files are refused by name with code 1", "[cli]") {
  const test::TemporaryFolder folder;
  const Exchange exchange(folder);
  const std::string header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},";
  const std::pair<const char*, std::string> cases[] = {
      {"huge_header", safetensors("{}", 0, std::uint64_t{1} << 60)},
      {"overlapping", safetensors(header + "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12)},
      {"overflowing", safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4],\"data_offsets\":[0,8]}}", 8)},
      {"negative", safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8)},
      {"past_the_end", safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[200],\"data_offsets\":[0,800]}}", 8)},
      {"no_json", safetensors("{\"a\":", 0)},
      {"too_short", "abc"},
      {"text", "this is a text of some length and no tensors at all\n"},
  };
  for (const auto& [name, bytes] : cases) {
    const std::string path = folder / name;
    test::write_text(path, bytes);
    for (const bool as_weights : {false, true}) {
      const auto outcome = as_weights ? attack(folder, exchange.gradient, path) : attack(folder, path, exchange.weights);
      INFO(outcome.err);
      CHECK(outcome.code == 1);
      CHECK_THAT(outcome.err, StartsWith("gi_invert: error: " + path + ":"));
    }
  }
}

TEST_CASE("gradients that cannot be inverted are refused by name with code 1", "[cli]") {
  const test::TemporaryFolder folder;
  const Exchange exchange(folder);
  const std::string bad = folder / "bad.safetensors";
  REQUIRE(attack(folder, exchange.gradient, exchange.weights).code == 0);
  const auto refused = [&](const char* message) {
    const auto outcome = attack(folder, bad, exchange.weights);
    INFO(outcome.err);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, StartsWith("gi_invert: error: " + bad + ": ") && Contains(message));
  };
  edit(exchange.gradient, bad, [](models::TensorEntry& t) {
    const float nan = std::nanf("");
    if (t.name == "body.2.bias") std::memcpy(t.bytes.data() + 4, &nan, 4);
  });
  refused("body.2.bias");
  edit(exchange.gradient, bad, [](models::TensorEntry& t) { std::fill(t.bytes.begin(), t.bytes.end(), std::byte{0}); });
  refused("every element is zero");
  edit(exchange.gradient, bad, [](models::TensorEntry& t) {
    if (t.name == "fc.0.bias")
      t = models::TensorEntry::from("fc.0.bias", {5}, std::span<const float>(std::array<float, 5>{1, 2, 3, 4, 5}));
  });
  refused("fc.0.bias");
  // The right network's weights with another network's gradient, and the other way round.
  const std::string other = folder / "other.safetensors";
  REQUIRE(
      test::run(folder, {"gi_client", "--image", folder / "p.png", "--model", "twolp", "--size", "16", "--output", other}).code ==
      0);
  for (const auto& [gradient, weights] : {std::pair(exchange.gradient, other), std::pair(other, exchange.gradient)}) {
    const auto outcome = attack(folder, gradient, weights, "twolp");
    INFO(outcome.err);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, StartsWith("gi_invert: error: " + exchange.gradient + ": "));
  }
}

TEST_CASE("an output that cannot be written is refused before anything runs", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "p.png");
  test::write_text(folder / "file", "in the way");
  for (const fs::path& out : {folder / "file", folder / "file" / "below", fs::path("/proc/no/such/place")}) {
    const auto outcome = test::run(folder, {"gi_invert", picture, "--model", "lenetzhu", "--steps", "1000000", "--output", out});
    INFO(outcome.err);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, StartsWith("gi_invert: error: ") && Contains(out.string()));
  }
  const auto client =
      test::run(folder, {"gi_client", "--image", picture, "--model", "lenetzhu", "--output", folder / "file" / "g"});
  CHECK(client.code == 1);
  CHECK_THAT(client.err, Contains((folder / "file" / "g").string()));
}

TEST_CASE("a file that may not grow any more ends a run with its name, and the journal stays as it was", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "p.png", 0, 32);
  // Files of at most 8 KiB: settings and probe fit, the first states (36 KiB) do not.
  const std::string program = std::string(GI_BIN_DIR) + "/gi_invert";
  const std::string out = folder / "out";
  const auto outcome = test::run(
      folder, {"/bin/sh", "-c",
               "ulimit -f 16 && exec \"$0\" \"$1\" --model lenetzhu --steps 1000000 --checkpoint-every 0.02 --output \"$2\"",
               program, picture, out});
  INFO(outcome.err);
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, Contains("chunk-0.safetensors: cannot be written: File too large"));
  CHECK(fs::exists(folder / "out" / "journal" / "run.safetensors"));
  for (const auto& e : fs::directory_iterator(folder / "out" / "journal")) CHECK(e.path().filename() == "run.safetensors");
}

TEST_CASE("a disk that fills up in mid-run ends the run with the file's name, and it can go on later", "[cli]") {
  const test::TemporaryFolder folder;
  const std::string picture = test::write_picture(folder, "p.png", 0, 32);
  const std::string program = std::string(GI_BIN_DIR) + "/gi_invert";
  const std::string out = folder / "disk";
  fs::create_directory(out);
  // A disk of 64 KiB, in a mount namespace of its own: one journal fits (36 KiB), its successor beside it does not. What is left
  // on the disk is copied out before it disappears.
  const std::string script =
      "mount -t tmpfs -o size=64k gi \"$2\" || exit 77\n"
      "\"$0\" \"$1\" --model lenetzhu --steps 400 --checkpoint-every 0.001 --output \"$2\"; code=$?\n"
      "cp -r \"$2/journal\" \"$2.kept\"; exit $code\n";
  const auto outcome = test::run(folder, {"/usr/bin/unshare", "-m", "/bin/sh", "-c", script, program, picture, out});
  if (outcome.code == 77 || outcome.err.find("unshare:") != std::string::npos || outcome.code == 127) {
    std::printf("[gi: skipped] a small disk cannot be mounted here: %s", outcome.err.c_str());
    return;
  }
  INFO(outcome.err);
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, Contains("chunk-0.safetensors: cannot be written: No space left on device"));
  // Elsewhere, with room, the journal goes on to the bits of an undisturbed run.
  fs::create_directory(folder / "later");
  fs::rename(folder / "disk.kept", folder / "later" / "journal");
  CHECK(fs::exists(folder / "later" / "journal" / "chunk-0.safetensors"));
  for (const char* name : {"later", "whole"})
    REQUIRE(
        test::run(folder, {"gi_invert", picture, "--model", "lenetzhu", "--steps", "400", "--resume", "--output", folder / name})
            .code == 0);
  CHECK(test::text_of(folder / "later" / "reconstruction.safetensors") ==
        test::text_of(folder / "whole" / "reconstruction.safetensors"));
}
