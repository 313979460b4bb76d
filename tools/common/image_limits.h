// How large a picture may be: pictures come from elsewhere, and their headers promise anything.
#pragma once

#include <cstdint>

namespace gi::tools {

inline constexpr std::int64_t kMaxPixels = std::int64_t{1} << 26;
inline constexpr std::uint64_t kMaxImageFileBytes = std::uint64_t{256} << 20;

}  // namespace gi::tools
