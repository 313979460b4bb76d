// Weights and gradients from safetensors files. Other spellings of tensor names map through one table, models/aliases.h.
//
// Every error names the file and the tensor; a shape error gives both shapes and how many tensors differ. A file that holds
// tensors the model does not know is refused: it belongs to another network.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "models/weights.h"

namespace gi::models {

/// A checkpoint: all parameters and buffers of `model`, shapes [1, ...]; f64 stays f64, all else becomes f32.
/// Errors   IoError: not a safetensors file, a tensor missing, unknown, given twice or not finite; ShapeError: another shape.
/// Tests    tests/models/weight_files_test.cpp
Weights load_weights(const std::filesystem::path& path, const Model& model);

/// Gradients or updates: one tensor [1, ...] a parameter, in the order of Network::params(). Buffers are ignored.
/// Errors as above.
std::vector<Tensor> read_parameter_list(const std::filesystem::path& path, const Model& model);

/// Writes `weights` under the model's names, without the trial axis. Errors UsageError: more than one trial; IoError.
void save_weights(const std::filesystem::path& path, const Weights& weights);
/// Writes one tensor [1, ...] a parameter, in the order of Network::params(). Errors UsageError: another number; IoError.
void write_parameter_list(const std::filesystem::path& path, const Model& model, std::span<const Tensor> tensors);

}  // namespace gi::models
