#pragma once
// The JSON documents of a repository: config, key file, index, snapshot, lock. Written byte for byte as restic writes
// them (field order, what is left out, escapes); read with unknown fields ignored.
//
//   errors   corrupt, with the document's name as the caller gave it
//   source   docs/formats/vault.md sections 2, 3, 5, 7, 8, 14

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/id.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/format/chunker.hpp"
#include "holdfast/format/crypto.hpp"
#include "holdfast/format/pack.hpp"
#include "holdfast/format/text_pieces.hpp"

namespace holdfast::format {

struct Config {
    std::uint32_t version = 2;
    Id id;
    Polynomial polynomial;
};
std::string encode(const Config& config);
/// unsupported for versions other than 1 and 2.
Result<Config> decode_config(std::string_view json);

struct KeyFile {
    Timestamp created;
    std::string username, hostname;
    KdfCost cost;
    Bytes salt;    // 64 bytes
    Bytes data;    // envelope around the master key
};
std::string encode(const KeyFile& key);
Result<KeyFile> decode_key_file(std::string_view json, std::string_view what);

/// The JSON inside KeyFile::data.
std::string encode(const Key& master);
Result<Key> decode_master_key(std::string_view json);

struct IndexPack {
    Id id;
    std::vector<PackedBlob> blobs;
};
std::string encode_index(const std::vector<IndexPack>& packs);
/// Fast: index files hold tens of thousands of blobs. rustic's packs_to_delete and `supersedes` are ignored.
Result<std::vector<IndexPack>> decode_index(std::string_view json, std::string_view what);
using EachIndexPack = std::function<void(IndexPack)>;
/// As it comes, pack by pack. False: it is of another form, legal or not; decode_index() of the whole text says which, and
/// what came until then counts for nothing.
bool scan_index(TextPieces& json, const EachIndexPack& each);

struct SnapshotSummary {
    Timestamp backup_start, backup_end;
    std::uint64_t files_new = 0, files_changed = 0, files_unmodified = 0;
    std::uint64_t dirs_new = 0, dirs_changed = 0, dirs_unmodified = 0;
    std::uint64_t data_blobs = 0, tree_blobs = 0, data_added = 0, data_added_packed = 0;
    std::uint64_t total_files_processed = 0, total_bytes_processed = 0;
};
struct Snapshot {
    Timestamp time;
    std::optional<Id> parent;
    Id tree;
    std::vector<std::string> paths;
    std::string hostname, username;
    std::uint32_t uid = 0, gid = 0;
    std::vector<std::string> excludes, tags;
    std::optional<Id> original;
    std::string program_version;
    std::optional<SnapshotSummary> summary;
};
std::string encode(const Snapshot& snapshot);
Result<Snapshot> decode_snapshot(std::string_view json, std::string_view what);

/// Where a PID of a lock means something. Left out by other programs, which skip it when they read ours.
struct PidOrigin {
    std::string machine, boot;    // no secret: hashes and random IDs
    std::uint64_t pid_namespace = 0;
    bool operator==(const PidOrigin&) const = default;
};

struct Lock {
    Timestamp time;
    bool exclusive = false;
    std::string hostname, username;
    std::int64_t pid = 0;
    std::uint32_t uid = 0, gid = 0;
    std::optional<PidOrigin> origin = {};
};
std::string encode(const Lock& lock);
Result<Lock> decode_lock(std::string_view json, std::string_view what);

/// A JSON string token as Go's encoder writes it (<, >, &, U+2028/9 escaped; bytes that are not UTF-8 become \ufffd).
void append_go_string(std::string& to, std::string_view text);

}    // namespace holdfast::format
