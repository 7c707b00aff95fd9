#pragma once
// What the commands that work on a repository share: which snapshots, and how new packs are written.

#include <string>
#include <vector>

#include "holdfast/cli/session.hpp"
#include "holdfast/vault/backup.hpp"

namespace holdfast::cli {

/// A repository, with the configuration that named it if there is one.
struct OpenedRepository {
    std::optional<LoadedConfig> loaded;
    std::unique_ptr<vault::Repository> repository;
    vault::BackupOptions storing;    // as the configuration says
};
Result<OpenedRepository> open_for_work(const Session& session);

/// Those that `ids` name ("latest" or prefixes), each once; without any all within the filter. Oldest first.
Result<std::vector<vault::SnapshotEntry>> chosen_snapshots(const vault::Repository& repository,
                                                           const std::vector<std::string>& ids,
                                                           const FilterArguments& filter);

std::string plural(std::uint64_t count, std::string_view word);    // "1 snapshot", "2 snapshots"

}    // namespace holdfast::cli
