#pragma once
// What restores have kept aside goes when the disk on which it lies gets short: the oldest first, and only of restores that came to
// their end and passed all checks. Tables and databases that servers keep stay: which disk they fill, only the server knows.
//
//   never     while a restore of this stack is not finished or has not passed; where what was restored is no longer in its place;
//             where it would free less than 1 MiB
//   record    `room` is durable before the first byte goes: an undo of half a restore is refused from then on, and says why
//   kill      the next call goes on, also if there is room again
//   errors    io, disk_full (the record cannot be written); corrupt (a record is no record, or names what no restore keeps)

#include <functional>
#include <string_view>

#include "holdfast/policy/config.hpp"
#include "holdfast/recovery/restore_run.hpp"

namespace holdfast::recovery {

/// How many restores lost what they kept. Each disk on which something is kept is measured against [restore] keep_free_mib.
/// `say` is told of each removal before it begins. `folder` was entered.
Result<std::size_t> make_room(const policy::Config& config, const RunFolder& folder, Clock& clock,
                              const std::function<void(std::string_view)>& say);

}    // namespace holdfast::recovery
