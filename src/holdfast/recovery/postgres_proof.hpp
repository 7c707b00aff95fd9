#pragma once
// Whether a data folder is what its backup_manifest says, and whether a server starts on it.

#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/json.hpp"
#include "holdfast/recovery/postgres_folder.hpp"
#include "holdfast/source/backup_manifest.hpp"

namespace holdfast::recovery {

struct VerifiedCluster {
    std::uint64_t files = 0, bytes = 0;
};

/// Reads every file and compares size and CRC32C with backup_manifest; the segments of the log must all be there, each with
/// its own place in its head. Links in pg_tblspc are followed, no others. corrupt: what is wrong, by name.
Result<VerifiedCluster> verify_cluster_files(const std::string& data_folder, std::uint64_t segment_size);

struct ClusterServer {
    std::string bin_folder;    // empty: found by the version
    int major = 0;
    ClusterOwner owner;
    std::string user;    // a role of the cluster that may log in
};

/// Starts a server of our own on the folder, on a socket that only its owner reaches; waits until it is out of recovery,
/// looks into every database, and stops it cleanly: the cluster is then consistent, and on a new timeline. Settings of the
/// cluster's own configuration that would reach outside (archive, replication, libraries) are not used.
/// It syncs nothing: whoever keeps the cluster does.
/// {timeline, system_identifier, databases: [{name, relations}], seconds}
Result<json::Value> prove_cluster_starts(const std::string& data_folder, const ClusterServer& server, Clock& clock);

}    // namespace holdfast::recovery
