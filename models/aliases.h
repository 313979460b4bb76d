// Other spellings of tensor names.
#pragma once

#include <string>
#include <string_view>

namespace gi::models {

/// One spelling for all that mean the same tensor: two names are spellings of each other if their canonical names are equal.
/// For comparing only; a network's own names are what its architecture says.
///
/// Covers wrappers (module., model., _orig_mod.), stages counted from 0 (layers.0.) or 1 (layer1.), a stem inside a sequence
/// (stem.0., stem.1.), shortcut/downsample, and linear/fc/classifier for the last layer.
std::string canonical_name(std::string_view name);

/// Whether the tensor has no part in a network's function: a counter of PyTorch's batch normalisation.
bool ignored_name(std::string_view name);

}  // namespace gi::models
