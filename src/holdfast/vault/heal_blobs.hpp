#pragma once
// The last resort of a healing, when no whole copy of a pack is left anywhere: its blobs are taken from what still opens
// in it and from the live files of this machine, and written into new packs.
//
//   errors   the repository's own; that something is lost is in the answer
//   threads  one; the caller holds the exclusive lock

#include "holdfast/vault/heal.hpp"

namespace holdfast::vault {

/// For each of `bad`: the pack leaves the repository (set aside) when all its blobs could be had; when not, it stays, and
/// what could be re-made is stored beside it. Adds to report.healed; returns the packs that stay.
Result<std::vector<Id>> remake_packs(Repository& repository, const std::vector<Id>& bad, const HealOptions& options,
                                     SetAside& aside, HealReport& report);

/// Index files made anew from the tables in packs that no index names. Returns how many packs were found.
Result<std::size_t> index_orphans(Repository& repository);

/// Walks all snapshots and lists the folders and files whose content cannot be had, each with its snapshots.
Status list_losses(Repository& repository, HealReport& report);

}    // namespace holdfast::vault
