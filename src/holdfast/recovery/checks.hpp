#pragma once
// Is the restored stack fit for use (NS-10)? Does each store answer, are its tables and keys there, is a connection free; have there
// been trades of late; what do the health URLs and the commands of [restore] say.
//
//   waits    what does not pass is asked again until [restore] check_wait_seconds are over: what was just started may need its time
//   skipped  a server that nobody started cannot be asked

#include "holdfast/base/clock.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/recovery/restore_run.hpp"

namespace holdfast::recovery {

/// `manifest` of the snapshot: what was saved says what must be there. Empty (after an undo): only whether the stores answer.
/// Errors: cancelled.
Result<std::vector<RunCheck>> check_stack(const policy::Config& config, const std::vector<RunPart>& parts,
                                          const json::Value& manifest, Clock& clock);

}    // namespace holdfast::recovery
