#pragma once
// What a dump holds, counted while it goes by: nothing is read twice for it.
//
//   rows      of each table: number and digest (db/copy_digest.hpp), and where in the archive they lie
//   unknown   an archive that we cannot read (a pg_dump to come) is no error: nothing is known of it then, and its tables must
//             be counted by the server
//   threads   one

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/db/copy_digest.hpp"
#include "holdfast/db/postgres_archive.hpp"

namespace holdfast::source {

class DumpTally : db::ArchiveBlocks::Sink {
public:
    struct Rows {
        std::int64_t entry = 0;    // of the archive
        std::uint64_t place = 0, bytes = 0;    // of its block there
        db::CopyDigest digest;
    };
    DumpTally() = default;
    DumpTally(const DumpTally&) = delete;

    void take(ByteView bytes);
    /// Nothing more comes. An archive that ends too early is unknown.
    void end();

    /// By the table's OID; null: the archive does not hold its rows, or is unknown.
    const Rows* find(const std::string& oid) const;
    struct Block {
        std::uint64_t place = 0, bytes = 0;
    };
    const std::vector<Block>& large_objects() const { return large_objects_; }
    /// All of which there are rows, by OID: also those that belong to an extension.
    const std::map<std::string, Rows>& tables() const { return rows_; }
    std::uint64_t head_bytes() const { return head_ ? head_->bytes : 0; }
    const std::optional<Error>& unknown() const { return unknown_; }

private:
    Status read(ByteView bytes);
    Status begins(std::int64_t entry, bool rows, std::uint64_t place) override;
    Status piece(ByteView bytes) override;
    Status ends(std::uint64_t place) override;

    Bytes open_;    // of the head, until all of it has come
    std::size_t next_try_ = std::size_t(16) << 10;
    std::optional<db::ArchiveHead> head_;
    std::map<std::int64_t, std::string> tables_;    // entry to OID
    std::unique_ptr<db::ArchiveBlocks> blocks_;
    std::map<std::string, Rows> rows_;    // by OID
    Rows* current_ = nullptr;    // null inside large objects, too
    std::vector<Block> large_objects_;
    bool in_large_objects_ = false;
    std::optional<Error> unknown_;
};

}    // namespace holdfast::source
