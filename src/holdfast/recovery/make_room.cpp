#include "holdfast/recovery/make_room.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/base/log.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/put_back.hpp"

namespace holdfast::recovery {
namespace {

constexpr std::uint64_t k_worth_it = 1 << 20;    // an undo is not given up for less

// Of the short disks on which a run keeps files.
struct Shortage {
    std::uint64_t free = 0;    // the least of them
    std::uint64_t bytes = 0;    // that the run keeps there
};

Shortage shortage_of(const RestoreRun& run, std::uint64_t wanted) {
    Shortage found{wanted, 0};
    for (const RunPart& part : run.parts)
        for (const Replacement& one : part.replaced) {
            if (!one.keeps_files()) continue;
            const auto free = os::free_space(os::parent_folder(one.kept_as()));
            if (!free || *free >= wanted) continue;
            found.free = std::min(found.free, *free);
            found.bytes += kept_bytes(one);
        }
    return found;
}

// Whoever lost the restored data may want the old.
bool is_in_place(const RestoreRun& run) {
    return std::ranges::all_of(run.parts, [](const RunPart& part) {
        return std::ranges::all_of(part.replaced, [](const Replacement& one) {
            return !one.keeps_files() || os::status_of(one.place, false).has_value();
        });
    });
}

Status remove_files(RestoreRun& run, const PutBackContext& context, const std::function<Status()>& changed) {
    for (RunPart& part : run.parts) HF_DO(remove_kept(part, context, changed, KeptWhere::files));
    if (!run.keeps()) run.state = RunState::committed;
    return changed();
}

}    // namespace

Result<std::size_t> make_room(const policy::Config& config, const RunFolder& folder, Clock& clock,
                              const std::function<void(std::string_view)>& say) {
    const std::uint64_t wanted = std::uint64_t(config.restore.keep_free_mib) << 20;
    if (wanted == 0) return 0;
    HF_TRY(const auto runs, folder.list());
    const auto open = [](const RunFolder::Entry& entry) {
        return !entry.run.is_over() || entry.run.state == RunState::failed;
    };
    const auto blocking = std::ranges::find_if(runs, open);
    std::size_t made = 0;
    for (const RunFolder::Entry& entry : runs) {    // oldest first
        RestoreRun run = entry.run;
        if (run.state != RunState::passed || !run.keeps_files()) continue;
        if (os::stop_requested()) return made;
        if (!run.room) {
            const Shortage found = shortage_of(run, wanted);
            if (found.bytes < k_worth_it || !is_in_place(run)) continue;
            if (blocking != runs.end()) {
                log_warning("the disk is short, but nothing that restores kept is removed while one has not passed",
                            {{"began", to_rfc3339(blocking->run.started)},
                             {"state", std::string(to_text(blocking->run.state))}});
                return made;
            }
            run.room = MadeRoom{clock.now(), found.free};
            say(fmt::format("only {} is free: removing what the restore of {} replaced, {}", human_size(found.free),
                            to_rfc3339(run.started), human_size(found.bytes)));
        } else if (blocking != runs.end()) {
            continue;
        }
        const auto changed = [&] {
            run.changed = clock.now();
            return folder.save(entry.file, run);
        };
        HF_DO(changed());
        os::crash_point("room.noted");
        const PutBackContext context{config, clock, {}, [](std::string_view) {}};
        HF_DO(remove_files(run, context, changed));
        ++made;
    }
    return made;
}

}    // namespace holdfast::recovery
