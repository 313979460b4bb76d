// What the emulator tells AddressSanitizer and ThreadSanitizer: stacks, threads, who has waited for whom, what memory is not there.
//
// With ThreadSanitizer the emulator's own files are compiled without it (GI_EMULATOR_TSAN, see kernels/CMakeLists.txt): switching
// threads itself, it would be taken for a race. For the same reason they keep to plain arrays and loops: what memset or a container
// writes would be seen.
#pragma once

#include <cstddef>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#define GI_EMULATOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GI_EMULATOR_ASAN 1
#endif
#endif

#if defined(GI_EMULATOR_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(GI_EMULATOR_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace gi::emu {

#if defined(GI_EMULATOR_ASAN)
inline constexpr bool kPoisons = true;
inline void poison(const void* p, std::size_t bytes) { __asan_poison_memory_region(p, bytes); }
inline void unpoison(const void* p, std::size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
#else
inline constexpr bool kPoisons = false;
inline void poison(const void*, std::size_t) {}
inline void unpoison(const void*, std::size_t) {}
#endif

/// What a thread did before release(token) is before what another does after its acquire(token), if that comes later.
#if defined(GI_EMULATOR_TSAN)
inline constexpr bool kSeesRaces = true;
inline void release(void* token) { __tsan_release(token); }
inline void acquire(void* token) { __tsan_acquire(token); }
#else
inline constexpr bool kSeesRaces = false;
inline void release(void*) {}
inline void acquire(void*) {}
#endif

/// memset that ThreadSanitizer does not see.
inline void fill(unsigned char* p, unsigned char value, std::size_t bytes) {
  if constexpr (kSeesRaces) {
    for (std::size_t i = 0; i < bytes; ++i) {
      p[i] = value;
      asm volatile("" ::: "memory");  // keeps the loop one
    }
  } else {
    std::memset(p, value, bytes);
  }
}

}  // namespace gi::emu
