#pragma once
// Shared libraries that few commands need are loaded by their first call. libcurl, libpq, libarchive, libssh and libfuse3
// bring 40 others along; loaded at the start they took 7 MiB and 7 ms of every command, also of those that talk to no
// server.
//
//   HF_LAZY(name) defines the C function `name`, with any arguments, as a jump to that of the library HF_LIBRARY (its
//   soname, from CMake). The first call looks it up. It is hidden, so that a program which uses the library itself, too,
//   keeps its own. Only x86-64 has this; elsewhere CMake links the libraries as usual.
//
//   errors   a library that is not there ends the program, as it would have at its start
//   threads  any

// A record per function: where to jump (at first: to the lookup), its name, its library.
// clang-format off
#define HF_LAZY(name)                                            \
    asm(".pushsection .text\n"                                   \
        ".globl " #name "\n"                                     \
        ".hidden " #name "\n"                                    \
        ".type " #name ", @function\n"                           \
        #name ":\n"                                              \
        "    jmp *.Lrecord_" #name "(%rip)\n"                    \
        ".Lfirst_" #name ":\n"                                   \
        "    lea .Lrecord_" #name "(%rip), %r11\n"               \
        "    jmp hf_lazy_first_call\n"                           \
        ".size " #name ", . - " #name "\n"                       \
        ".pushsection .rodata\n"                                 \
        ".Lname_" #name ": .string \"" #name "\"\n"              \
        ".Llibrary_" #name ": .string \"" HF_LIBRARY "\"\n"      \
        ".popsection\n"                                          \
        ".pushsection .data.rel, \"aw\"\n"                       \
        ".balign 8\n"                                            \
        ".Lrecord_" #name ":\n"                                  \
        "    .quad .Lfirst_" #name ", .Lname_" #name ", .Llibrary_" #name "\n" \
        ".popsection\n"                                          \
        ".popsection\n")
// clang-format on
