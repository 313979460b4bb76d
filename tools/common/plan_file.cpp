#include "tools/common/plan_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "engine/core/error.h"
#include "models/file.h"
#include "models/tensor_entry.h"
#include "tools/common/program.h"

namespace gi::tools {
namespace {

using Json = nlohmann::ordered_json;  // a number that is none (infinity) appears as null
using models::in_quotes;

constexpr const char* kSchema = "gi_plan/1";
constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;
constexpr int kMostDepth = 8;

Json kernel_json(const TunedKernel& k) {
  Json j{{"kernel", k.kernel}, {"seconds", k.seconds > 0 ? Json(k.seconds) : Json()}, {"error", k.error}};
  if (!k.refused.empty()) j["refused"] = k.refused;
  return j;
}

/// One file's JSON, with messages that name the file and the place.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path) {}

  [[noreturn]] void fail(const std::string& reason) const { throw IoError(fmt::format("{}: {}", path_.string(), reason)); }

  Json parse() const {
    const std::vector<std::byte> bytes = models::read_file(path_, kMostBytes);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto check = [this](int depth, Json::parse_event_t, Json&) {
      if (depth > kMostDepth) fail("nested too deeply for a plan file");
      return true;
    };
    try {
      return Json::parse(text, check);
    } catch (const Json::parse_error& e) {
      fail(fmt::format("not JSON (byte {} of {})", e.byte, text.size()));
    }
  }
  const Json& member(const Json& object, const char* key, const std::string& of) const {
    if (!object.is_object()) fail(fmt::format("{} is not an object", of));
    const auto found = object.find(key);
    if (found == object.end()) fail(fmt::format("{} has no '{}'", of, key));
    return *found;
  }
  std::string text(const Json& object, const char* key, const std::string& of) const {
    const Json& value = member(object, key, of);
    if (!value.is_string()) fail(fmt::format("'{}' of {} is not a text", key, of));
    return value.get<std::string>();
  }

 private:
  const std::filesystem::path& path_;
};

}  // namespace

TunedFor tuned_for(const Plan& plan, const Device* device) {
  return {.device = device != nullptr ? device->name() : processor_name(),
          .isa = kernels::kIsaNames[static_cast<std::size_t>(plan.isa())],
          .dtype = plan.dtype() == DType::f32 ? "f32" : "f64",
          .trials = plan.trials()};
}

void write_plan_file(const std::filesystem::path& path, const TunedFor& of, const std::string& model, const Tuning& tuning) {
  Json file{{"schema", kSchema}, {"program", version_line("gi")}, {"device", of.device}, {"isa", of.isa},
            {"dtype", of.dtype}, {"trials", of.trials},           {"model", model}};
  Json& steps = file["steps"] = Json::array();
  for (const TunedStep& s : tuning.steps) {
    Json candidates = Json::array();
    for (const TunedKernel& k : s.candidates) candidates.push_back(kernel_json(k));
    steps.push_back({{"step", s.step},
                     {"calls", s.calls},
                     {"kernel", s.chosen.kernel},
                     {"seconds", s.chosen.seconds},
                     {"error", s.chosen.error},
                     {"default", s.own.kernel},
                     {"default_seconds", s.own.seconds},
                     {"tolerance", s.tolerance},
                     {"candidates", std::move(candidates)}});
  }
  file["untuned"] = tuning.left;
  models::write_file_atomically(path, file.dump(2) + "\n");
}

PlanFile read_plan_file(const std::filesystem::path& path) {
  const Reader in(path);
  const Json json = in.parse();
  const std::string file = "the file";
  if (const std::string schema = in.text(json, "schema", file); schema != kSchema)
    in.fail(fmt::format("schema {} is not {}", in_quotes(schema), kSchema));
  PlanFile result{
      .of = {.device = in.text(json, "device", file), .isa = in.text(json, "isa", file), .dtype = in.text(json, "dtype", file)},
      .model = in.text(json, "model", file)};
  const Json& trials = in.member(json, "trials", file);
  if (!trials.is_number_unsigned()) in.fail("'trials' of the file is not a whole number");
  result.of.trials = trials.get<std::int64_t>();
  const Json& steps = in.member(json, "steps", file);
  if (!steps.is_array()) in.fail("'steps' of the file is not a list");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::string of = fmt::format("step {}", i);
    std::string step = in.text(steps[i], "step", of);
    if (!result.choices.emplace(step, in.text(steps[i], "kernel", of)).second)
      in.fail(fmt::format("{} is there twice", in_quotes(step)));
  }
  return result;
}

void require_fit(const std::filesystem::path& path, const PlanFile& file, const Plan& plan, const Device* device) {
  const TunedFor here = tuned_for(plan, device);
  const auto differ = [&](std::string_view what, const std::string& there, const std::string& wanted, std::string_view hint) {
    if (there != wanted)
      throw UsageError(fmt::format("{}: made for {} {}, this run has {}\n  hint: {}", path.string(), what, in_quotes(there),
                                   in_quotes(wanted), hint));
  };
  const char* const again = "tune again";
  differ("device", file.of.device, here.device, again);
  differ("instruction set", file.of.isa, here.isa, again);
  differ("dtype", file.of.dtype, here.dtype, again);
  differ("trials side by side:", std::to_string(file.of.trials), std::to_string(here.trials),
         fmt::format("tune again, or --lanes {}", file.of.trials));
  std::set<std::string> steps;
  for (const auto list : {plan.setup(), plan.iteration()})
    for (const Plan::Step& s : list) steps.insert(s.key);
  for (const auto& [step, kernel] : file.choices)
    if (!steps.contains(step))
      throw UsageError(fmt::format("{}: made for {}, this run has no step {}\n  hint: {}", path.string(), in_quotes(file.model),
                                   in_quotes(step), again));
}

}  // namespace gi::tools
