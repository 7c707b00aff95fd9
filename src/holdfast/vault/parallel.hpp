#pragma once
// The same work on many objects, by a few threads.
//
//   errors    the first failure stops the rest and is returned; a stop that the user asks for is `cancelled`
//   threads   `each` is called from several at once

#include <cstddef>
#include <functional>

#include "holdfast/base/result.hpp"
#include "holdfast/storage/backend.hpp"

namespace holdfast::vault {

/// Threads for work that mostly computes: one a processor, at least 2.
unsigned worker_count();
/// Threads for work that reads from `backend` and computes: as many as it serves at once where that is more than there are
/// processors, since over a line most of them wait. At most 16: each has a buffer.
unsigned reader_count(const storage::Backend& backend);
/// More of them than processors: the storage lies behind a line, where a request costs more than memory does.
bool is_far(const storage::Backend& backend);
/// Threads for requests to the storage that mostly wait.
inline constexpr unsigned k_request_threads = 8;

/// Calls `each(i)` for every i below `count`, in about this order. With one thread (or one object) in the caller's.
Status for_each_of(std::size_t count, unsigned threads, const std::function<Status(std::size_t)>& each);

}    // namespace holdfast::vault
