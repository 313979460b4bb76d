// The one place where the stb libraries are compiled.
#include <cstddef>
#include <cstdlib>

#include "tools/common/image_limits.h"

namespace {
// Without a bound, a PNG of a few megabytes can unpack to gigabytes.
constexpr std::size_t kMaxAllocation = gi::tools::kMaxPixels * 9;
void* allocate(std::size_t n) { return n > kMaxAllocation ? nullptr : std::malloc(n); }
void* reallocate(void* p, std::size_t n) { return n > kMaxAllocation ? nullptr : std::realloc(p, n); }
}  // namespace

#define STBI_MALLOC(n) allocate(n)
#define STBI_REALLOC(p, n) reallocate(p, n)
#define STBI_FREE(p) std::free(p)
#include "tools/common/stb_formats.h"
#define STBI_NO_STDIO
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

#define STBIR_ASSERT(x) static_cast<void>(x)  // its comments say that some do not hold in floating point
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#include <stb/stb_image_resize.h>
