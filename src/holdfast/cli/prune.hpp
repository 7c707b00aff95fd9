#pragma once
// What `prune` and `forget --prune` share: their options, and what they say.

#include <string>

#include "holdfast/base/json.hpp"
#include "holdfast/cli/command.hpp"
#include "holdfast/vault/prune.hpp"

namespace holdfast::cli {

struct PruneArguments {
    std::string max_unused = "5%", max_repack;
    bool cacheable_only = false, small = false, uncompressed = false;
};

/// --max-unused, --max-repack-size, --repack-cacheable-only, --repack-small, --repack-uncompressed.
void declare_prune(Options& options, PruneArguments& to);
Result<vault::PruneLimits> prune_limits(const PruneArguments& arguments);

/// With progress on the terminal.
Result<vault::PruneReport> run_prune(const Session& session, vault::Repository& repository,
                                     const vault::RepositoryLock* lock, vault::PruneOptions options);
std::string prune_text(const vault::PruneReport& report, bool dry_run);
json::Value prune_json(const vault::PruneReport& report, bool dry_run);

}    // namespace holdfast::cli
