#include "kernels/emu/fiber.h"

#include <sys/mman.h>

#include "kernels/emu/sanitizers.h"

#if !defined(GI_EMULATOR_UCONTEXT)
// Saves the registers a call must keep on the stack, and goes on where the other stack did the same.
extern "C" void gi_emu_switch(void** save, void* load);
asm(R"(
  .pushsection .text
  .globl gi_emu_switch
  .hidden gi_emu_switch
  .type gi_emu_switch, @function
gi_emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size gi_emu_switch, .-gi_emu_switch
  .popsection
)");
#endif

namespace gi::emu {

namespace {

constexpr std::size_t kStack = 256 * 1024, kGuard = 4096;  // an overflow faults

Fiber* left = nullptr;  // by the switch under way
Fiber* own = nullptr;   // the OS thread's

#if defined(GI_EMULATOR_ASAN)
void leave(Fiber& from, Fiber& to) { __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.size); }
void arrive(void* fake_stack) {
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(fake_stack, &bottom, &size);
  if (left != own) return;
  own->bottom = bottom;  // nobody else knows them
  own->size = size;
}
#elif defined(GI_EMULATOR_TSAN)
void leave(Fiber&, Fiber& to) { __tsan_switch_to_fiber(to.thread, __tsan_switch_to_fiber_no_sync); }
void arrive(void*) {}
#else
void leave(Fiber&, Fiber&) {}
void arrive(void*) {}
#endif

}  // namespace

bool create(Fiber& fiber, void (*entry)()) {
  void* memory = mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kGuard, PROT_NONE) != 0) return false;
  auto* bottom = static_cast<unsigned char*>(memory) + kGuard;
  fiber.bottom = bottom;
  fiber.size = kStack;
  fiber.fake_stack = nullptr;
#if defined(GI_EMULATOR_TSAN)
  fiber.thread = __tsan_create_fiber(0);
#endif
#if defined(GI_EMULATOR_UCONTEXT)
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = bottom;
  fiber.context.uc_stack.ss_size = kStack;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, entry, 0);
#else
  void** top = reinterpret_cast<void**>(bottom + kStack);
  *--top = nullptr;  // where entry would return to: the end for who unwinds, and the alignment a call has
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fiber.stack_pointer = top;
#endif
  return true;
}

void destroy(Fiber& fiber) {
#if defined(GI_EMULATOR_TSAN)
  // What was done on it comes before whatever the OS thread does from here on: a switch that says so, of the sanitizer alone.
  __tsan_switch_to_fiber(fiber.thread, __tsan_switch_to_fiber_no_sync);
  __tsan_switch_to_fiber(own->thread, 0);
  __tsan_destroy_fiber(fiber.thread);
#endif
  auto* const bottom = const_cast<unsigned char*>(static_cast<const unsigned char*>(fiber.bottom));
  unpoison(bottom, kStack);  // a fault leaves its frames, and others may get this memory
  munmap(bottom - kGuard, kGuard + kStack);
}

void adopt(Fiber& main) {
  own = &main;
#if defined(GI_EMULATOR_TSAN)
  main.thread = __tsan_get_current_fiber();
#endif
}

void switch_to(Fiber& from, Fiber& to) {
  left = &from;
  leave(from, to);
#if defined(GI_EMULATOR_UCONTEXT)
  swapcontext(&from.context, &to.context);
#else
  gi_emu_switch(&from.stack_pointer, to.stack_pointer);
#endif
  arrive(from.fake_stack);
}

void arrived_first() { arrive(nullptr); }

}  // namespace gi::emu
