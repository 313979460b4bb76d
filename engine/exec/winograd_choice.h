// Which convolutions of a Plan go through Winograd's transforms.
#pragma once

#include <string>

#include "engine/passes/winograd.h"
#include "kernels/api/kernel.h"

namespace gi {

/// `asked`: "no", the tile "2" or "4" for every convolution that can, or "" to choose each by the cost table: the time of the
/// seven convolutions of one attack iteration, directly and by transforms that they share; then the weight gradient by its own
/// time, since the sums of few pixels cost less than the way back of a whole bank of filters. Only the layer's extents, the
/// instruction set, the layout and the kind of products that was asked for decide, so that a Plan is the same on every machine.
passes::WinogradRule winograd_rule(std::string_view asked, kernels::Isa isa, std::int64_t lanes, std::string_view products = {});

}  // namespace gi
