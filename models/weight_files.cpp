#include "models/weight_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <unordered_map>

#include "engine/core/error.h"
#include "models/aliases.h"
#include "models/safetensors.h"

namespace gi::models {
namespace {

std::vector<std::int64_t> file_shape(const Shape& shape) { return {shape.dims().begin() + 1, shape.dims().end()}; }
std::string text(const std::vector<std::int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

/// Finds a file's tensors by a model's names.
class Lookup {
 public:
  explicit Lookup(const TensorFile& file) : file_(file) {
    for (const TensorEntry& e : file.tensors)
      if (!ignored_name(e.name)) spellings_[canonical_name(e.name)].push_back(&e);
  }

  /// Null when the file has no such tensor. Errors IoError: several spellings of it and none exact.
  const TensorEntry* find(const std::filesystem::path& path, const std::string& name) {
    const TensorEntry* entry = file_.find(name);
    if (entry == nullptr) {
      const auto it = spellings_.find(canonical_name(name));
      if (it == spellings_.end()) return nullptr;
      if (it->second.size() > 1)
        throw IoError(
            fmt::format("{}: '{}' and '{}' both spell '{}'", path.string(), it->second[0]->name, it->second[1]->name, name));
      entry = it->second.front();
    }
    used_.insert(entry);
    return entry;
  }

  std::vector<const TensorEntry*> unused() const {
    std::vector<const TensorEntry*> out;
    for (const TensorEntry& e : file_.tensors)
      if (!ignored_name(e.name) && !used_.contains(&e)) out.push_back(&e);
    return out;
  }

 private:
  const TensorFile& file_;
  std::unordered_map<std::string, std::vector<const TensorEntry*>> spellings_;
  std::set<const TensorEntry*> used_;
};

void check_numbers(const std::filesystem::path& path, const TensorEntry& e) {
  if (e.dtype != FileDType::F16 && e.dtype != FileDType::BF16 && e.dtype != FileDType::F32 && e.dtype != FileDType::F64)
    throw IoError(fmt::format("{}: '{}' is of type {}, expected F16, BF16, F32 or F64", path.string(), e.name, name_of(e.dtype)));
  if (!e.all_finite()) throw IoError(fmt::format("{}: '{}' holds a NaN or an infinity", path.string(), e.name));
}

/// The file's tensors for `specs`, in their order; whatever else it holds must be one of `unneeded`.
std::vector<Tensor> read(const std::filesystem::path& path, const Model& model, const std::vector<TensorSpec>& specs,
                         const std::vector<TensorSpec>& unneeded, const char* other_model) {
  const TensorFile file = read_safetensors(path);
  Lookup lookup(file);
  std::vector<const TensorEntry*> entries;
  const TensorSpec* missing = nullptr;
  const TensorSpec* differs = nullptr;
  const TensorEntry* differing = nullptr;
  int missing_count = 0, differing_count = 0;
  for (const TensorSpec& spec : specs) {
    const TensorEntry* e = lookup.find(path, spec.name);
    if (e == nullptr) {
      if (missing_count++ == 0) missing = &spec;
    } else if (e->shape != file_shape(spec.shape)) {
      if (differing_count++ == 0) differs = &spec, differing = e;
    }
    entries.push_back(e);
  }
  // A network of other widths differs in shapes, one of another depth in names; shapes say more.
  if (differs != nullptr)
    throw ShapeError(fmt::format("{}: '{}' is {}, model {} expects {}\n  hint: {} of {} tensors differ; {}", path.string(),
                                 differing->name, text(differing->shape), model.name, text(file_shape(differs->shape)),
                                 differing_count, specs.size(), other_model));
  if (missing != nullptr)
    throw IoError(fmt::format("{}: '{}' is missing, model {} expects it as {}\n  hint: {} of {} tensors are missing; {}",
                              path.string(), missing->name, model.name, text(file_shape(missing->shape)), missing_count,
                              specs.size(), other_model));
  for (const TensorSpec& spec : unneeded) lookup.find(path, spec.name);
  if (const auto unknown = lookup.unused(); !unknown.empty())
    throw IoError(fmt::format("{}: '{}' {} is no tensor of model {}\n  hint: {} such tensors; {}", path.string(),
                              unknown.front()->name, text(unknown.front()->shape), model.name, unknown.size(), other_model));
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    check_numbers(path, *entries[i]);
    tensors.push_back(entries[i]->to_tensor(specs[i].shape));
  }
  return tensors;
}

}  // namespace

Weights load_weights(const std::filesystem::path& path, const Model& model) {
  std::vector<Tensor> tensors = read(path, model, model.tensors, {}, "is it a checkpoint of another model?");
  Weights w;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    w.entries.push_back({model.tensors[i].name, std::move(tensors[i]), model.tensors[i].trainable});
  return w;
}

std::vector<Tensor> read_parameter_list(const std::filesystem::path& path, const Model& model) {
  std::vector<TensorSpec> buffers;
  for (const TensorSpec& t : model.tensors)
    if (!t.trainable) buffers.push_back(t);
  return read(path, model, model.parameters(), buffers, "was the gradient taken from another model?");
}

void save_weights(const std::filesystem::path& path, const Weights& weights) {
  if (weights.trials() != 1)
    throw UsageError(fmt::format("{}: weights of {} networks cannot be one file", path.string(), weights.trials()));
  TensorFile file;
  for (const NamedTensor& e : weights.entries)
    file.tensors.push_back(TensorEntry::from(e.name, file_shape(e.tensor.shape()), e.tensor));
  write_safetensors(path, file);
}

void write_parameter_list(const std::filesystem::path& path, const Model& model, std::span<const Tensor> tensors) {
  const std::vector<TensorSpec> specs = model.parameters();
  if (tensors.size() != specs.size())
    throw UsageError(
        fmt::format("{}: {} tensors given, model {} has {} parameters", path.string(), tensors.size(), model.name, specs.size()));
  TensorFile file;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (tensors[i].shape() != specs[i].shape)
      throw UsageError(
          fmt::format("{}: '{}' is {}, expected {}", path.string(), specs[i].name, tensors[i].shape().str(), specs[i].shape.str()));
    file.tensors.push_back(TensorEntry::from(specs[i].name, file_shape(specs[i].shape), tensors[i]));
  }
  write_safetensors(path, file);
}

}  // namespace gi::models
