// Which convolutions of a Plan go through Winograd's transforms.
#pragma once

#include <array>
#include <string_view>

#include "engine/passes/winograd.h"
#include "kernels/api/kernel.h"

namespace gi {

/// What may be asked for: none, or every convolution that can by tiles of 2 or 4, with transforms that are steps, or within
/// kernels.
inline constexpr std::array<std::string_view, 5> kWinogradChoices{"no", "2", "4", "within2", "within4"};

/// `asked`: one of these, or "" to choose each by the cost table: the time of the seven convolutions of one attack iteration,
/// directly, by transforms that they share, and with transforms of their own within kernels; then the weight gradient by its own
/// time, since the sums of few pixels cost less than the way back of a whole bank of filters. In packs all is within kernels. Only
/// the layer's extents, the instruction set, the layout and the kind of products that was asked for decide, so that a Plan is the
/// same on every machine.
passes::WinogradRule winograd_rule(std::string_view asked, kernels::Isa isa, std::int64_t lanes, std::string_view products = {});

}  // namespace gi
