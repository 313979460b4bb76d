#include "inversion/journal.h"

#include <fmt/format.h>

#include <charconv>

#include "engine/core/error.h"
#include "models/safetensors.h"

namespace gi::inversion {
namespace {

namespace fs = std::filesystem;
using models::TensorEntry;

std::vector<std::int64_t> dims_of(const Shape& shape) { return {shape.dims().begin(), shape.dims().end()}; }

const TensorEntry& entry(const models::TensorFile& file, std::string_view name, const fs::path& path) {
  const TensorEntry* found = file.find(name);
  if (found == nullptr) throw IoError(fmt::format("{}: no tensor '{}': not a chunk of a journal", path.string(), name));
  return *found;
}

}  // namespace

fs::path Journal::chunk_file(std::int64_t chunk) const { return folder_ / fmt::format("chunk-{}.safetensors", chunk); }

std::optional<Settings> Journal::settings() const {
  if (!kept() || !fs::exists(folder_ / "run.safetensors")) return std::nullopt;
  return models::read_safetensors(folder_ / "run.safetensors").metadata;
}

void Journal::begin(const Settings& settings) {
  if (!kept()) return;
  remove();
  std::error_code code;
  fs::create_directories(folder_, code);
  if (code) throw IoError(fmt::format("{}: cannot be made: {}", folder_.string(), code.message()));
  models::write_safetensors(folder_ / "run.safetensors", {.tensors = {}, .metadata = settings});
}

void Journal::save(std::int64_t chunk, const ChunkState& state) const {
  if (!kept()) return;
  models::TensorFile file;
  file.metadata["iteration"] = std::to_string(state.iteration);
  for (const auto& [name, value] : state.states) file.tensors.push_back(TensorEntry::from(name, dims_of(value.shape()), value));
  std::vector<double> curve;
  for (const auto& row : state.curve) curve.insert(curve.end(), row.begin(), row.end());
  const auto rows = static_cast<std::int64_t>(state.curve.size());
  const auto row = [](const std::vector<double>& v) { return std::vector<std::int64_t>{static_cast<std::int64_t>(v.size())}; };
  const std::int64_t columns = rows == 0 ? 0 : static_cast<std::int64_t>(state.curve.front().size());
  file.tensors.push_back(TensorEntry::from("curve", {rows, columns}, std::span<const double>(curve)));
  file.tensors.push_back(TensorEntry::from("cost", row(state.cost), std::span<const double>(state.cost)));
  file.tensors.push_back(TensorEntry::from("tv_of_x", row(state.tv), std::span<const double>(state.tv)));
  models::write_safetensors(chunk_file(chunk), file);
}

std::optional<ChunkState> Journal::load(std::int64_t chunk) const {
  if (!kept() || !fs::exists(chunk_file(chunk))) return std::nullopt;
  const fs::path path = chunk_file(chunk);
  const models::TensorFile file = models::read_safetensors(path);
  ChunkState state;
  const auto iteration = file.metadata.find("iteration");
  if (iteration == file.metadata.end())
    throw IoError(fmt::format("{}: names no iteration: not a chunk of a journal", path.string()));
  const std::string& text = iteration->second;
  if (std::from_chars(text.data(), text.data() + text.size(), state.iteration).ec != std::errc{} || state.iteration < 0)
    throw IoError(fmt::format("{}: iteration is '{}'", path.string(), text));
  for (const char* name : kAttackStates) {
    const TensorEntry& e = entry(file, name, path);
    state.states.emplace_back(name, e.to_tensor(Shape(e.shape)));
  }
  const TensorEntry& curve = entry(file, "curve", path);
  const std::vector<double> values = curve.to_doubles();
  if (curve.shape.size() != 2) throw IoError(fmt::format("{}: 'curve' is {}", path.string(), curve.shape_str()));
  for (std::int64_t i = 0; i < curve.shape[0]; ++i)
    state.curve.emplace_back(values.begin() + i * curve.shape[1], values.begin() + (i + 1) * curve.shape[1]);
  state.cost = entry(file, "cost", path).to_doubles();
  state.tv = entry(file, "tv_of_x", path).to_doubles();
  return state;
}

void Journal::remove() const {
  if (!kept()) return;
  // The settings go first: without them what is left of a journal is none.
  std::error_code code;
  fs::remove(folder_ / "run.safetensors", code);
  if (!code && fs::is_directory(folder_)) {
    for (const fs::directory_entry& e : fs::directory_iterator(folder_, code))
      if (const std::string name = e.path().filename(); name.starts_with("chunk-") || name.ends_with(".part"))
        fs::remove(e.path(), code);
    fs::remove(folder_, code);  // stays if somebody keeps something of his own there
  }
  if (fs::exists(folder_ / "run.safetensors"))
    throw IoError(fmt::format("{}: cannot be removed: {}", (folder_ / "run.safetensors").string(), code.message()));
}

void require_equal_settings(const Settings& journal, const Settings& now, const fs::path& folder) {
  std::string differences;
  const auto value = [](const Settings& s, const std::string& key) { return s.contains(key) ? s.at(key) : "nothing"; };
  Settings keys = journal;
  keys.insert(now.begin(), now.end());
  for (const auto& [key, ignored] : keys)
    if (value(journal, key) != value(now, key))
      differences +=
          fmt::format("{}{} is {} there and {} here", differences.empty() ? "" : ", ", key, value(journal, key), value(now, key));
  if (!differences.empty())
    throw UsageError(fmt::format("--resume: {}: the journal is of another run: {}\n  hint: start without --resume to begin anew",
                                 folder.string(), differences));
}

}  // namespace gi::inversion
