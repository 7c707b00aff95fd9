#pragma once
// A dump in the vault taken apart: its head, and the rows of each table, from wherever they lie in it.
//
//   found     by the place that the manifest tells (member `archive`; older snapshots have none: no parts then)
//   errors    corrupt, unsupported, those of the repository
//   threads   const calls from any thread

#include <map>
#include <string>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/db/postgres_archive.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {

/// The rows of one table.
struct PostgresRowsPart {
    std::string schema, name;    // as the manifest has them
    std::int64_t entry = 0;    // in the archive
    std::uint64_t place = 0, bytes = 0;    // of the block
    db::CopyParts copy;    // in the dump's encoding
};

class PostgresArchive {
public:
    /// `facts`: of the database. nullopt: the manifest does not tell where what lies.
    static Result<std::optional<PostgresArchive>> open(const vault::Repository& repository, const format::Node& dump,
                                                       const json::Value& facts);
    const std::vector<db::ArchiveEntry>& entries() const { return head_.entries; }
    /// The archive without any data: for pg_restore it is one whose data nobody asks for.
    ByteView head() const { return head_bytes_; }
    const std::vector<PostgresRowsPart>& parts() const { return parts_; }
    /// Does the manifest tell the place of all rows that the archive holds? Else it can only be read from end to end. Of these
    /// entries; null: of all, and of large objects.
    bool complete(const db::EntryIds* wanted = nullptr) const;
    const PostgresRowsPart* find(const std::string& schema, const std::string& name) const;
    /// The text of COPY, its end "\." included.
    Status read_rows(const PostgresRowsPart& part, const std::function<Status(ByteView)>& sink) const;
    bool has_large_objects() const { return !large_objects_.empty(); }
    /// An archive that holds nothing else: the head and their blocks.
    Status read_large_objects(const std::function<Status(ByteView)>& sink) const;

private:
    explicit PostgresArchive(vault::FileRanges ranges) : ranges_(std::move(ranges)) {}
    vault::FileRanges ranges_;
    Bytes head_bytes_;
    db::ArchiveHead head_;
    struct Block {
        std::uint64_t place = 0, bytes = 0;
    };
    std::vector<PostgresRowsPart> parts_;
    std::vector<Block> large_objects_;
    std::map<std::pair<std::string, std::string>, std::size_t> by_name_;
};

}    // namespace holdfast::recovery
