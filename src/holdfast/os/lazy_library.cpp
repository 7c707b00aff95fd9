#include "holdfast/os/lazy_library.hpp"

#if defined(__x86_64__)

#include <dlfcn.h>
#include <fmt/core.h>

#include <atomic>
#include <cstdlib>

namespace {

struct Record {
    std::atomic<void*> target;
    const char *name, *library;
};
static_assert(sizeof(Record) == 24);

}    // namespace

// Never closed: what such libraries start does not survive that.
extern "C" __attribute__((visibility("hidden"), used)) void* hf_lazy_look_up(Record* record) {
    void* const library = ::dlopen(record->library, RTLD_LAZY | RTLD_LOCAL);
    void* const target = library ? ::dlsym(library, record->name) : nullptr;
    if (!target) {
        const char* const why = ::dlerror();
        fmt::print(stderr, "{} cannot be loaded: {}\nhint: install it with this system's packages\n", record->library,
                   why ? why : record->name);
        std::_Exit(127);
    }
    record->target.store(target, std::memory_order_release);
    return target;
}

// Keeps all arguments of the call, in integer and vector registers (their number in al), while its target is looked up.
asm(R"(
.pushsection .text
.globl hf_lazy_first_call
.hidden hf_lazy_first_call
.type hf_lazy_first_call, @function
hf_lazy_first_call:
    push %rax
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %r8
    push %r9
    sub $128, %rsp
    movups %xmm0, (%rsp)
    movups %xmm1, 16(%rsp)
    movups %xmm2, 32(%rsp)
    movups %xmm3, 48(%rsp)
    movups %xmm4, 64(%rsp)
    movups %xmm5, 80(%rsp)
    movups %xmm6, 96(%rsp)
    movups %xmm7, 112(%rsp)
    mov %r11, %rdi
    call hf_lazy_look_up
    mov %rax, %r11
    movups (%rsp), %xmm0
    movups 16(%rsp), %xmm1
    movups 32(%rsp), %xmm2
    movups 48(%rsp), %xmm3
    movups 64(%rsp), %xmm4
    movups 80(%rsp), %xmm5
    movups 96(%rsp), %xmm6
    movups 112(%rsp), %xmm7
    add $128, %rsp
    pop %r9
    pop %r8
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    pop %rax
    jmp *%r11
.size hf_lazy_first_call, . - hf_lazy_first_call
.popsection
)");

#endif
