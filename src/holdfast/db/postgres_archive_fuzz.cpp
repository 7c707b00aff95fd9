#include <cstdint>
#include <cstdlib>
#include <set>

#include "holdfast/db/copy_digest.hpp"
#include "holdfast/db/postgres_archive_rows.hpp"

namespace {

using namespace holdfast;

// Adds up what it is given: never more than there is, and the same however it is cut into pieces.
struct Sum : db::ArchiveBlocks::Sink {
    std::uint64_t bytes = 0, blocks = 0;
    db::CopyDigest digest;
    Status begins(std::int64_t, bool, std::uint64_t) override { return {}; }
    Status piece(ByteView piece) override {
        bytes += piece.size();
        digest.add(piece);
        return {};
    }
    Status ends(std::uint64_t) override {
        ++blocks;
        return {};
    }
};

}    // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView all = std::as_bytes(std::span(data, size));
    const auto head = db::parse_archive_head(all);
    if (!head || !*head) return 0;
    for (const db::ArchiveEntry& entry : (*head)->entries) {
        const auto parts = db::split_copy(entry.copy);
        if (parts && parts->table.size() + parts->columns.size() > entry.copy.size()) std::abort();
    }
    // With rows added for every table it is a head again, with as many entries more.
    std::vector<db::AddedRows> added;
    std::set<std::string> there, oids;
    for (const db::ArchiveEntry& entry : (*head)->entries)
        if (entry.kind == "TABLE DATA") there.insert(entry.oid);
    for (const db::ArchiveEntry& entry : (*head)->entries)
        if (entry.kind == "TABLE" && !there.contains(entry.oid) && oids.insert(entry.oid).second)
            added.push_back({entry.oid, "a", 0, {}});
    const auto more = db::add_entries(all, **head, added);
    if (!more) return 0;    // numbers that no archive has
    const auto again = db::parse_archive_head(*more);
    if (!again || !*again || (*again)->bytes != more->size() ||
        (*again)->entries.size() != (*head)->entries.size() + added.size())
        std::abort();
    const ByteView blocks = all.subspan((*head)->bytes);
    Sum whole, pieces;
    db::ArchiveBlocks at_once((*head)->int_bytes, 0, whole), by_three((*head)->int_bytes, 0, pieces);
    const bool read = at_once.take(blocks).has_value();
    bool read_too = true;
    for (std::size_t at = 0; at < blocks.size() && read_too; at += 3)
        read_too = by_three.take(blocks.subspan(at, std::min<std::size_t>(3, blocks.size() - at))).has_value();
    if (read != read_too || whole.bytes > size) std::abort();
    if (read && (whole.bytes != pieces.bytes || whole.blocks != pieces.blocks ||
                 at_once.between() != by_three.between() || whole.digest.text() != pieces.digest.text()))
        std::abort();
    return 0;
}
