#pragma once
// The edge of a C library: nothing of C++ leaves it.

#include <exception>
#include <string>

namespace holdfast::capi {

/// What `call` returns; after an exception `internal`, with what it said in `text` (empty when not even that can be kept).
template <class Code, class Call>
Code guarded(Code internal, std::string& text, Call&& call) noexcept {
    try {
        return call();
    } catch (const std::exception& e) {
        try {
            text = e.what();
        } catch (...) {
            text.clear();
        }
    } catch (...) {
        text.clear();
    }
    return internal;
}

}    // namespace holdfast::capi
