// A stack of its own, and the switch from one to another.
#pragma once

#include <cstddef>

#if !defined(__x86_64__) && !defined(GI_EMULATOR_UCONTEXT)
#define GI_EMULATOR_UCONTEXT
#endif
#if defined(GI_EMULATOR_UCONTEXT)
#include <ucontext.h>
#endif

namespace gi::emu {

struct Fiber {
#if defined(GI_EMULATOR_UCONTEXT)
  ucontext_t context;
#else
  void* stack_pointer = nullptr;
#endif
  const void* bottom = nullptr;  ///< the stack's lowest address, and its size
  std::size_t size = 0;
  void* fake_stack = nullptr;  ///< AddressSanitizer's
  void* thread = nullptr;      ///< ThreadSanitizer's
};

/// A new stack, on which the first switch calls `entry`; it must not return. False if there is no memory.
bool create(Fiber& fiber, void (*entry)());
/// Whatever runs on it is left there.
void destroy(Fiber& fiber);

/// The OS thread's own stack, which switches may leave and come back to.
void adopt(Fiber& main);
void switch_to(Fiber& from, Fiber& to);
/// Called by `entry` first: it was come to from `main`, or from a fiber.
void arrived_first();

}  // namespace gi::emu
