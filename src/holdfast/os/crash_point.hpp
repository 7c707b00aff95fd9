#pragma once
// Named places at which a test can kill this process: one at every step of a commit. For tests only; nothing else reads
// the variable, and without it a place costs one relaxed load.
//
//   HOLDFAST_CRASH_POINT=NAME:COUNT   SIGKILL to ourselves when NAME is reached for the COUNT-th time
//   HOLDFAST_CRASH_POINT=*:COUNT      at the COUNT-th place of any name: counting COUNT up visits every step there is
//   stderr    the last words are "crash point NAME\n": a campaign lists what it reached
//   threads   any
//   source    docs/testing.md

#include <atomic>
#include <string_view>

namespace holdfast::os {

namespace detail {
extern std::atomic<bool> g_crash_point_armed;
void reach_crash_point(std::string_view name, std::string_view of);
}    // namespace detail

/// The place's name is "name" or "name.of": ("local.named", "index") is "local.named.index".
inline void crash_point(std::string_view name, std::string_view of = {}) {
    if (detail::g_crash_point_armed.load(std::memory_order_relaxed)) [[unlikely]]
        detail::reach_crash_point(name, of);
}

}    // namespace holdfast::os
