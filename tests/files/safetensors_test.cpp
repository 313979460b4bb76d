#include <fmt/format.h>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>

#include "engine/core/error.h"
#include "models/file.h"
#include "models/safetensors.h"
#include "tests/shared_data.h"

using namespace gi;
using Catch::Matchers::Contains;
using models::FileDType;
using models::TensorEntry;
using models::TensorFile;
namespace fs = std::filesystem;

namespace {

/// Writes as it is, without the rules of the writer under test.
void put(const fs::path& path, std::string_view bytes) {
  fs::remove(path);  // some file systems flush a file that is cut to nothing and written again, which takes milliseconds
  std::ofstream(path, std::ios::binary) << bytes;
}

/// 8 bytes of length, then the header, then the data.
std::string assemble(std::string_view header, std::string_view data = "") {
  std::string out(8, '\0');
  const std::uint64_t n = header.size();
  std::memcpy(out.data(), &n, 8);
  return out.append(header).append(data);
}

template <class T>
std::string raw(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

template <class T>
TensorEntry entry(std::string name, std::vector<std::int64_t> shape, std::vector<T> values) {
  return TensorEntry::from(std::move(name), std::move(shape), std::span<const T>(values));
}

/// One tensor `a` of this type and content, read back.
TensorEntry read_one(const std::string& dtype, const std::string& data, std::size_t count) {
  const test::TemporaryFolder folder;
  put(folder / "f",
      assemble(fmt::format(R"({{"a":{{"dtype":"{}","shape":[{}],"data_offsets":[0,{}]}}}})", dtype, count, data.size()), data));
  return models::read_safetensors(folder / "f").tensors.at(0);
}

std::string error_of(const fs::path& path) {
  try {
    models::read_safetensors(path);
  } catch (const IoError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("safetensors: bytes written are the format's", "[unit]") {
  const test::TemporaryFolder folder;
  TensorFile file;
  file.tensors.push_back(entry<float>("w", {1, 2}, {1.f, -2.f}));
  file.tensors.push_back(entry<double>("d", {}, {0.5}));
  file.metadata["k"] = "v\"";
  models::write_safetensors(folder / "f", file);
  // Wide elements first, so that d is aligned; the header is padded to 8 bytes.
  std::string header = R"({"__metadata__":{"k":"v\""},"d":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
                       R"("w":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const auto bytes = models::read_file(folder / "f", 10'000);
  CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) ==
        assemble(header, raw<double>({0.5}) + raw<float>({1.f, -2.f})));
}

TEST_CASE("safetensors: what is written is read", "[unit]") {
  const test::TemporaryFolder folder;
  const double inf = std::numeric_limits<double>::infinity();
  TensorFile file;
  file.tensors.push_back(entry<double>("f64", {2, 1, 2}, {1e-300, -0.0, inf, std::nan("")}));
  file.tensors.push_back(entry<std::int64_t>("i64", {2}, {-(std::int64_t{1} << 53), 7}));
  file.tensors.push_back(entry<float>("layer\u00e9.0", {3}, {1e-45f, 3.4e38f, 0.1f}));
  file.tensors.push_back(entry<float>("empty", {0, 4}, {}));
  file.tensors.push_back(entry<float>("rank8", {1, 1, 1, 1, 1, 1, 1, 1}, {2.f}));
  file.metadata = {{"seed", "42"}, {"names", "a,b\n"}};
  models::write_safetensors(folder / "f", file);
  const TensorFile got = models::read_safetensors(folder / "f");

  CHECK(got.metadata == file.metadata);
  REQUIRE(got.tensors.size() == file.tensors.size());
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    const TensorEntry* e = got.find(file.tensors[i].name);
    REQUIRE(e != nullptr);
    CHECK(e->dtype == file.tensors[i].dtype);
    CHECK(e->shape == file.tensors[i].shape);
    CHECK(e->bytes == file.tensors[i].bytes);
  }
  CHECK(got.find("none") == nullptr);
  CHECK_FALSE(got.find("f64")->all_finite());
  CHECK(got.find("i64")->all_finite());
  CHECK(got.find("i64")->to_doubles() == std::vector<double>{-9007199254740992., 7.});

  const Tensor t = got.find("layer\u00e9.0")->to_tensor({1, 3});
  CHECK(t.dtype() == DType::f32);
  CHECK(t.as<float>()[0] == 1e-45f);
  CHECK(got.find("f64")->to_tensor({4}).dtype() == DType::f64);
  CHECK_THROWS_WITH(got.find("f64")->to_tensor({5}), Contains("\"f64\" is [2,1,2], expected [5]"));

  models::write_safetensors(folder / "again", got);
  CHECK(models::read_file(folder / "again", 10'000) == models::read_file(folder / "f", 10'000));
  models::write_safetensors(folder / "none", {});
  CHECK(models::read_safetensors(folder / "none").tensors.empty());
}

TEST_CASE("safetensors: tensors come in the order of their bytes", "[unit]") {
  const test::TemporaryFolder folder;
  put(folder / "f",
      assemble(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"z":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
               "xyz"));
  const TensorFile file = models::read_safetensors(folder / "f");
  REQUIRE(file.tensors.size() == 2);
  CHECK(file.tensors[0].name == "z");
  CHECK(file.tensors[1].to_doubles() == std::vector<double>{'z'});
}

TEST_CASE("safetensors: all 65536 halves", "[unit]") {
  std::vector<std::uint16_t> bits(65536);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
  const std::string data(reinterpret_cast<const char*>(bits.data()), bits.size() * 2);
  const TensorEntry half = read_one("F16", data, bits.size());
  const Tensor f16 = half.to_tensor({1, 65536}), bf16 = read_one("BF16", data, bits.size()).to_tensor({1, 65536});
  CHECK_FALSE(half.all_finite());
  int wrong = 0;
  // The definition: (-1)^s 2^(e - bias) 1.f, subnormals 2^(1 - bias) 0.f; e = all ones is infinity or NaN.
  const auto expected = [](unsigned b, int exponent_bits, int fraction_bits) {
    const int bias = (1 << (exponent_bits - 1)) - 1, e = b >> fraction_bits & ((1 << exponent_bits) - 1);
    const unsigned f = b & ((1u << fraction_bits) - 1);
    double v = e == 0 ? std::ldexp(f, 1 - bias - fraction_bits) : std::ldexp(f + (1u << fraction_bits), e - bias - fraction_bits);
    if (e == (1 << exponent_bits) - 1) v = f == 0 ? HUGE_VAL : NAN;
    return b & 0x8000 ? -v : v;
  };
  const auto same = [](double a, double b) { return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b); };
  for (unsigned b = 0; b < 65536; ++b) {
    wrong += !same(f16.at(b), expected(b, 5, 10));
    wrong += !same(bf16.at(b), expected(b, 8, 7));
  }
  CHECK(wrong == 0);
  CHECK(f16.dtype() == DType::f32);
}

TEST_CASE("safetensors: integers are exact or refused", "[unit]") {
  using D = std::vector<double>;
  CHECK(read_one("BOOL", raw<std::uint8_t>({0, 1}), 2).to_doubles() == D{0, 1});
  CHECK(read_one("U8", raw<std::uint8_t>({255}), 1).to_doubles() == D{255});
  CHECK(read_one("I8", raw<std::int8_t>({-128}), 1).to_doubles() == D{-128});
  CHECK(read_one("U16", raw<std::uint16_t>({65535}), 1).to_doubles() == D{65535});
  CHECK(read_one("I16", raw<std::int16_t>({-32768}), 1).to_doubles() == D{-32768});
  CHECK(read_one("U32", raw<std::uint32_t>({4294967295u}), 1).to_doubles() == D{4294967295.});
  CHECK(read_one("I32", raw<std::int32_t>({INT32_MIN}), 1).to_doubles() == D{-2147483648.});
  const std::int64_t limit = std::int64_t{1} << 53;
  CHECK(read_one("U64", raw<std::uint64_t>({std::uint64_t(limit)}), 1).to_doubles() == D{9007199254740992.});
  CHECK(read_one("I64", raw<std::int64_t>({limit, -limit}), 2).to_tensor({2}).at(1) == -9007199254740992.);
  for (std::int64_t bad : {limit + 1, -limit - 1, INT64_MAX, INT64_MIN})
    CHECK_THROWS_AS(read_one("I64", raw<std::int64_t>({bad}), 1).to_doubles(), IoError);
  CHECK_THROWS_WITH(read_one("U64", raw<std::uint64_t>({UINT64_MAX}), 1).to_doubles(), Contains("\"a\": 18446744073709551615"));
}

TEST_CASE("safetensors: broken files are refused by name", "[unit]") {
  const test::TemporaryFolder folder;
  const auto tensor = [](std::string_view dtype, std::string_view shape, std::string_view offsets) {
    return fmt::format(R"({{"w":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape, offsets);
  };
  struct Case {
    const char* reason;
    std::string bytes;
    const char* message;
  };
  const std::string x4 = "xxxx", good = tensor("F32", "[1]", "[0,4]");
  const auto length = [](std::uint64_t n, std::string_view rest) { return raw<std::uint64_t>({n}).append(rest); };
  std::string deep = "{\"w\":";
  deep += std::string(100'000, '[');
  const std::vector<Case> cases{
      {"empty", "", "0 bytes long"},
      {"seven bytes", "1234567", "7 bytes long"},
      {"a text", "this is not a tensor file at all", "not a safetensors file"},
      {"header longer than the file", length(3, "{}"), "a header of 3 bytes in a file of 10"},
      {"header of 2^60", length(std::uint64_t{1} << 60, "{}"), "a header of"},
      {"header of 2^64 - 1", length(UINT64_MAX, "{}"), "a header of"},
      {"no header", length(0, ""), "not JSON"},
      {"not JSON", assemble("{\"w\":", x4), "not JSON"},
      {"JSON and more", assemble("{} {}"), "not JSON"},
      {"not UTF-8", assemble("{\"w\xff\":1}"), "not JSON"},
      {"a list", assemble("[]"), "not a JSON object"},
      {"a number", assemble("1"), "not a JSON object"},
      {"deep", assemble(deep), "nested too deeply"},
      {"deep objects", assemble(R"({"w":{"a":{"b":{}}}})"), "nested too deeply"},
      {"a name twice", assemble(good.substr(0, good.size() - 1) + "," + good.substr(1), x4), "\"w\" twice"},
      {"a key twice", assemble(R"({"w":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", x4), "\"dtype\" twice"},
      {"a metadata key twice", assemble(R"({"__metadata__":{"a":"1","a":"2"}})"), "\"a\" twice"},
      {"metadata is no object", assemble(R"({"__metadata__":[]})"), "__metadata__"},
      {"metadata is no text", assemble(R"({"__metadata__":{"a":1}})"), "metadata \"a\""},
      {"no description", assemble(R"({"w":7})"), "\"w\": is not described"},
      {"no dtype", assemble(R"({"w":{"shape":[1],"data_offsets":[0,4]}})", x4), "\"w\": 'dtype'"},
      {"no shape", assemble(R"({"w":{"dtype":"F32","data_offsets":[0,4]}})", x4), "\"w\": 'shape'"},
      {"no offsets", assemble(R"({"w":{"dtype":"F32","shape":[1]}})", x4), "\"w\": 'data_offsets'"},
      {"unknown dtype", assemble(tensor("F31", "[1]", "[0,4]"), x4), "\"w\": dtype \"F31\""},
      {"dtype is a number", assemble(R"({"w":{"dtype":3,"shape":[1],"data_offsets":[0,4]}})", x4), "\"w\": 'dtype'"},
      {"control characters", assemble("{\"w\\u001b[31m\":7}"), "\"w\\u001b[31m\""},
      {"negative extent", assemble(tensor("F32", "[-1]", "[0,4]"), x4), "\"w\": 'shape'"},
      {"fractional extent", assemble(tensor("F32", "[1.0]", "[0,4]"), x4), "\"w\": 'shape'"},
      {"extent is a text", assemble(tensor("F32", "[\"1\"]", "[0,4]"), x4), "\"w\": 'shape'"},
      {"extent of 2^63", assemble(tensor("F32", "[9223372036854775808]", "[0,4]"), x4), "\"w\": 'shape'"},
      {"extent beyond 2^64", assemble(tensor("F32", "[18446744073709551617]", "[0,4]"), x4), "\"w\": 'shape'"},
      {"overflow", assemble(tensor("F32", "[4611686018427387905]", "[0,4]"), x4),
       "\"w\": shape [4611686018427387905] is too large"},
      {"product overflows to 1", assemble(tensor("U8", "[4294967296,4294967296]", "[0,4]"), x4), "too large"},
      {"rank 9", assemble(tensor("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), x4), "more than 8"},
      {"three offsets", assemble(tensor("F32", "[1]", "[0,4,4]"), x4), "'data_offsets' is not a begin and an end"},
      {"descending", assemble(tensor("F32", "[1]", "[4,0]"), x4), "\"w\": 'data_offsets'"},
      {"negative offset", assemble(tensor("F32", "[1]", "[-4,0]"), x4), "\"w\": 'data_offsets'"},
      {"beyond the file", assemble(tensor("F32", "[2]", "[0,8]"), x4), "\"w\": ends at byte 8"},
      {"offsets near 2^63", assemble(tensor("F32", "[1]", "[9223372036854775803,9223372036854775807]"), x4), "\"w\": ends at byte"},
      {"too few bytes", assemble(tensor("F32", "[2]", "[0,4]"), x4), "takes 8 bytes, 'data_offsets' give 4"},
      {"a huge shape in a small file", assemble(tensor("U8", "[1099511627776]", "[0,1099511627776]"), x4), "\"w\": ends at byte"},
      {"trailing bytes", assemble(good, "xxxxy"), "1 bytes follow"},
      {"data without tensors", assemble("{}", "x"), "1 bytes follow"},
      {"a hole at the start", assemble(tensor("F32", "[1]", "[4,8]"), "xxxxxxxx"), "\"w\": begins at byte 4"},
      {"overlap",
       assemble(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})", x4),
       "\"b\": begins at byte 2 of the data, expected 3: tensors overlap"},
      {"the same bytes twice",
       assemble(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", x4),
       "tensors overlap"},
      {"a hole",
       assemble(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})", x4),
       "\"b\": begins at byte 2 of the data, expected 1: bytes belong to no tensor"},
  };
  for (const Case& c : cases) {
    INFO(c.reason);
    put(folder / "broken.safetensors", c.bytes);
    CHECK_THAT(error_of(folder / "broken.safetensors"), Contains("broken.safetensors: ") && Contains(c.message));
  }
  put(folder / "good", assemble(good, x4));
  CHECK(error_of(folder / "good") == "no error");
  CHECK_THAT(error_of(folder.path()), Contains("is a folder"));
  CHECK_THAT(error_of(folder / "missing"), Contains("No such file"));

  // Sparse: takes no room on the disk. The header must be refused for its length, before memory is taken for it.
  put(folder / "sparse", length(200'000'000, "{}"));
  fs::resize_file(folder / "sparse", 300'000'000);
  CHECK_THAT(error_of(folder / "sparse"), Contains("at most 100000000"));
}

TEST_CASE("safetensors: what cannot be written is refused before the file is touched", "[unit]") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "f";
  const auto write = [&](std::vector<TensorEntry> tensors, std::map<std::string, std::string> metadata = {}) {
    models::write_safetensors(path, {std::move(tensors), std::move(metadata)});
  };
  const TensorEntry a = entry<float>("a", {1}, {1.f});
  CHECK_THROWS_WITH(write({a, a}), Contains("\"a\": is there twice"));
  TensorEntry b = a;
  b.name = "__metadata__";
  CHECK_THROWS_AS(write({b}), IoError);
  b.name = "\xff";
  CHECK_THROWS_AS(write({b}), IoError);
  CHECK_THROWS_AS(write({a}, {{"k", "\xc3"}}), IoError);
  b = a;
  b.shape = {2};
  CHECK_THROWS_WITH(write({b}), Contains("4 bytes do not make a F32 of shape [2]"));
  b.shape = std::vector<std::int64_t>(9, 1);
  CHECK_THROWS_AS(write({b}), IoError);
  CHECK_THROWS_AS(entry<float>("a", {3}, {1.f}), ShapeError);
  CHECK_THROWS_AS(entry<float>("a", {-1}, {1.f}), ShapeError);
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("safetensors: thousands of damaged files are read or refused, never worse", "[unit]") {
  const test::TemporaryFolder folder;
  TensorFile file;
  file.tensors.push_back(entry<float>("conv.weight", {2, 1, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}));
  file.tensors.push_back(entry<double>("norm", {}, {3.5}));
  file.tensors.push_back(entry<std::int64_t>("steps", {1}, {9}));
  file.metadata = {{"seed", "1"}};
  models::write_safetensors(folder / "good", file);
  const auto bytes = models::read_file(folder / "good", 10'000);
  const std::string good(reinterpret_cast<const char*>(bytes.data()), bytes.size());

  std::mt19937_64 random(20240607);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::string_view structure = "{}[]\",:0123456789-eE.\\u \xff\x01";
  int read = 0, refused = 0;
  for (int i = 0; i < 6000; ++i) {
    std::string bad = good;
    for (std::size_t edits = 1 + below(3); edits > 0; --edits) {
      const std::size_t at = below(bad.size());
      switch (below(6)) {
        case 0:
          bad[at] = static_cast<char>(random());
          break;
        case 1:
          bad[at] = static_cast<char>(bad[at] ^ 1 << below(8));
          break;
        case 2:
          bad[at] = structure[below(structure.size())];
          break;
        case 3:
          bad.insert(at, 1, structure[below(structure.size())]);
          break;
        case 4:
          bad.erase(at, 1 + below(9));
          break;
        default:
          bad.insert(at, bad.substr(below(bad.size()), 1 + below(40)));
      }
      if (bad.empty()) bad.push_back('x');
    }
    put(folder / "bad", bad);
    try {
      const TensorFile got = models::read_safetensors(folder / "bad");
      for (const TensorEntry& e : got.tensors) e.all_finite();
      ++read;
    } catch (const IoError& error) {
      ++refused;
      if (std::string_view(error.what()).find("bad: ") == std::string_view::npos) FAIL(error.what());
    }
  }
  CHECK(read > 100);  // damage in the data alone is legal
  CHECK(refused > 2000);
}

TEST_CASE("safetensors: files of other writers", "[data]") {
  const auto lenet = test::data_file("weights/untrained/lenetzhu_seed42.safetensors");
  const auto squeezenet = test::data_file("weights/squeezenet_imagenet/squeezenet_v1.1.float16.safetensors");
  if (!lenet || !squeezenet) return;
  const TensorFile a = models::read_safetensors(*lenet);
  std::int64_t parameters = 0;
  for (const TensorEntry& e : a.tensors) {
    CHECK(e.all_finite());
    CHECK(e.dtype == FileDType::F32);
    parameters += e.count();
  }
  CHECK(parameters == 15826);

  // Sum and sum of squares in f64 of every tensor's elements, by numpy:
  //   sum(t.astype("f8").sum() for t in safetensors.numpy.load_file(f).values())
  const TensorFile b = models::read_safetensors(*squeezenet);
  double sum = 0, squares = 0;
  for (const TensorEntry& e : b.tensors) {
    const Tensor t = e.to_tensor({1, e.count()});
    CHECK(t.dtype() == DType::f32);
    for (double v : t.to_doubles()) sum += v, squares += v * v;
  }
  CHECK(b.tensors.size() == 52);
  CHECK(sum == Approx(1223.4590811133385).epsilon(1e-12));
  CHECK(squares == Approx(3703.854425971562).epsilon(1e-12));
}
