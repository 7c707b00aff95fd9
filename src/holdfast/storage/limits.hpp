#pragma once
// A Backend that takes no more of a line, and of a server, than it was given: bytes a second up and down, calls at once.
//
//   rate      uploads are paced piece by piece; what is put or read at once is paid for as a whole. Adapters with a line of
//             their own pace what is on it themselves (BackendOptions::pace)
//   errors    those of the Backend below; cancelled within about a second of a signal
//   threads   as Backend; all share the two rates
//   source    storage/pace.hpp

#include <memory>

#include "holdfast/base/clock.hpp"
#include "holdfast/storage/backend.hpp"

namespace holdfast::storage {

struct Limits {
    std::uint64_t upload = 0;    // bytes per second; 0: none
    std::uint64_t download = 0;
    unsigned calls = 0;    // at once; 0: any number
};

/// The Backend itself when there is nothing to limit.
std::unique_ptr<Backend> limited_backend(std::unique_ptr<Backend> below, Limits limits, Clock& clock);

}    // namespace holdfast::storage
