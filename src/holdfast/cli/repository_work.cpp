#include "holdfast/cli/repository_work.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/base/log.hpp"
#include "holdfast/cli/commands.hpp"

namespace holdfast::cli {

Result<OpenedRepository> open_for_work(const Session& session) {
    OpenedRepository opened;
    HF_TRY(opened.loaded, load_config_if_needed(session.global));
    const policy::Config* config = opened.loaded ? &opened.loaded->config : nullptr;
    HF_TRY(opened.repository, open_repository(session, config));
    opened.storing.program_version = program_version();
    if (config) {
        opened.storing.memory_max = std::size_t(config->repository.memory_max_mib) << 20;
        opened.storing.pack_size_target = config->repository.pack_size_mib << 20;
        opened.storing.compression_level = config->repository.compression_level;
    }
    return opened;
}

Result<std::vector<vault::SnapshotEntry>> chosen_snapshots(const vault::Repository& repository,
                                                           const std::vector<std::string>& ids,
                                                           const FilterArguments& filter) {
    const vault::SnapshotFilter wanted = snapshot_filter(filter);
    std::vector<vault::SnapshotEntry> chosen;
    if (!ids.empty()) {
        for (const std::string& id : ids) {
            HF_TRY(vault::SnapshotEntry entry, repository.find_snapshot(id, wanted));
            if (std::ranges::find(chosen, entry.id, &vault::SnapshotEntry::id) == chosen.end())
                chosen.push_back(std::move(entry));
        }
        std::ranges::sort(chosen, {}, [](const vault::SnapshotEntry& e) { return e.snapshot.time; });
        return chosen;
    }
    HF_TRY(chosen, repository.snapshots([](const Id& id, const Error& error) {
        log_warning("a snapshot cannot be read and is left out", {{"snapshot", id.brief()}, {"why", error.message}});
    }));
    const auto has_all = [](const std::vector<std::string>& there, const std::vector<std::string>& needed) {
        return std::ranges::all_of(
            needed, [&](const std::string& one) { return std::ranges::find(there, one) != there.end(); });
    };
    std::erase_if(chosen, [&](const vault::SnapshotEntry& entry) {
        const format::Snapshot& s = entry.snapshot;
        return (!wanted.host.empty() && s.hostname != wanted.host) || !has_all(s.tags, wanted.tags) ||
               !has_all(s.paths, wanted.paths);
    });
    return chosen;
}

std::string plural(std::uint64_t count, std::string_view word) {
    return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

}    // namespace holdfast::cli
