#include "inversion/journal.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "engine/core/error.h"
#include "tests/shared_data.h"

using namespace gi;
using namespace gi::inversion;
namespace fs = std::filesystem;

namespace {

ChunkState some_state() {
  ChunkState s{.iteration = 42};
  for (const char* name : kAttackStates) {
    const bool scalar = std::string_view(name) == "step";
    Tensor t(scalar ? Shape{2} : Shape{2, 1, 3, 4, 4}, scalar ? DType::f64 : DType::f32);
    if (!scalar)
      for (std::size_t i = 0; i < 96; ++i) t.as<float>()[i] = 1.0f / static_cast<float>(3 + i);
    s.states.emplace_back(name, std::move(t));
  }
  s.curve = {{0.5, 0.25}, {0.125, 1.0 / 3}};
  return s;
}

}  // namespace

TEST_CASE("a journal gives back what it was given, bit for bit", "[unit]") {
  const test::TemporaryFolder folder;
  Journal journal(folder / "journal");
  CHECK_FALSE(journal.settings());
  journal.begin({{"steps", "100"}});
  CHECK(journal.settings() == Settings{{"steps", "100"}});
  CHECK_FALSE(journal.load(0));
  const ChunkState s = some_state();
  journal.save(0, s);
  const ChunkState back = journal.load(0).value();
  CHECK(back.iteration == 42);
  CHECK(back.curve == s.curve);
  CHECK(back.cost.empty());
  REQUIRE(back.states.size() == s.states.size());
  for (std::size_t i = 0; i < s.states.size(); ++i) {
    CHECK(back.states[i].first == s.states[i].first);
    CHECK(back.states[i].second.dtype() == s.states[i].second.dtype());
    CHECK(back.states[i].second.to_doubles() == s.states[i].second.to_doubles());
  }
  journal.begin({{"steps", "200"}});  // anew: the chunk of the old run is gone
  CHECK_FALSE(journal.load(0));
  journal.remove();
  CHECK_FALSE(fs::exists(folder / "journal"));
}

TEST_CASE("a journal leaves other files alone", "[unit]") {
  const test::TemporaryFolder folder;
  Journal journal(folder / "journal");
  journal.begin({{"steps", "100"}});
  std::ofstream(folder / "journal" / "notes.txt") << "mine";
  journal.remove();
  CHECK(fs::exists(folder / "journal" / "notes.txt"));
  CHECK_FALSE(journal.settings());
}

TEST_CASE("a damaged or foreign journal is refused by name", "[unit]") {
  const test::TemporaryFolder folder;
  Journal journal(folder / "journal");
  journal.begin({{"steps", "100"}, {"seed", "1"}});
  journal.save(3, some_state());
  fs::resize_file(folder / "journal" / "chunk-3.safetensors", 200);
  CHECK_THROWS_WITH(journal.load(3), Catch::Contains("chunk-3.safetensors"));
  CHECK_THROWS_WITH(require_equal_settings(*journal.settings(), {{"steps", "200"}, {"seed", "1"}}, "j"),
                    Catch::Contains("--resume: j: the journal is of another run: steps is 100 there and 200 here"));
  CHECK_NOTHROW(require_equal_settings(*journal.settings(), {{"steps", "100"}, {"seed", "1"}}, "j"));
  std::ofstream(folder / "file") << "no folder";
  CHECK_THROWS_AS(Journal(folder / "file" / "journal").begin({}), IoError);
}

TEST_CASE("without a folder no journal is kept", "[unit]") {
  Journal journal{fs::path()};
  CHECK_FALSE(journal.kept());
  journal.begin({{"steps", "1"}});
  journal.save(0, some_state());
  CHECK_FALSE(journal.load(0));
  journal.remove();
}
