#include "holdfast/recovery/postgres_archive.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast::recovery {
namespace {

constexpr std::uint64_t k_head_max = std::uint64_t(256) << 20;

// One block: its own entry's rows and nothing else.
class OneBlock : public db::ArchiveBlocks::Sink {
public:
    OneBlock(std::int64_t entry, const std::function<Status(ByteView)>& sink) : entry_(entry), sink_(sink) {}
    Status begins(std::int64_t entry, bool rows, std::uint64_t) override {
        if (rows && entry == entry_) return {};
        return fail(ErrorCode::corrupt, fmt::format("the dump has other data where entry {} should be", entry_));
    }
    Status piece(ByteView bytes) override { return sink_(bytes); }
    Status ends(std::uint64_t) override { return {}; }

private:
    const std::int64_t entry_;
    const std::function<Status(ByteView)>& sink_;
};

}    // namespace

Result<std::optional<PostgresArchive>> PostgresArchive::open(const vault::Repository& repository,
                                                             const format::Node& dump, const json::Value& facts) {
    const json::Value& told = facts["archive"];
    if (!told.is_object()) return std::nullopt;
    HF_TRY(auto ranges, vault::FileRanges::of(repository, dump));
    PostgresArchive archive(std::move(ranges));
    const std::uint64_t size = told["head_bytes"].natural();
    if (size > k_head_max) return fail(ErrorCode::corrupt, "the manifest tells an impossible size of a dump's head");
    HF_DO(archive.ranges_.read(0, size, [&](ByteView bytes) -> Status {
        append(archive.head_bytes_, bytes);
        return {};
    }));
    HF_TRY(auto head, db::parse_archive_head(archive.head_bytes_));
    if (!head || head->bytes != size)
        return fail(ErrorCode::corrupt, "the dump's head is not what the manifest tells",
                    "run `holdfast check --read-data`, and restore from another snapshot");
    archive.head_ = *std::move(head);
    std::map<std::int64_t, const db::ArchiveEntry*> entries;
    for (const db::ArchiveEntry& entry : archive.head_.entries) entries.emplace(entry.id, &entry);
    for (const json::Value& block : told["blocks"].items()) {
        PostgresRowsPart part{block["schema"].text(),   block["name"].text(),     block["entry"].integer(),
                              block["place"].natural(), block["bytes"].natural(), {}};
        const auto entry = entries.find(part.entry);
        auto copy = entry == entries.end() ? std::nullopt : db::split_copy(entry->second->copy);
        if (!copy)
            return fail(ErrorCode::corrupt, fmt::format("the dump has no rows of {}.{}", part.schema, part.name),
                        "run `holdfast check --read-data`, and restore from another snapshot");
        part.copy = *std::move(copy);
        archive.by_name_.emplace(std::pair(part.schema, part.name), archive.parts_.size());
        archive.parts_.push_back(std::move(part));
    }
    for (const json::Value& block : told["large_objects"].items())
        archive.large_objects_.push_back({block["place"].natural(), block["bytes"].natural()});
    return std::optional(std::move(archive));
}

bool PostgresArchive::complete(const db::EntryIds* wanted) const {
    db::EntryIds told;
    for (const PostgresRowsPart& part : parts_) told.insert(part.entry);
    const auto is_told = [&](const db::ArchiveEntry& entry) {
        return entry.kind != "TABLE DATA" || told.contains(entry.id) || (wanted && !wanted->contains(entry.id));
    };
    if (wanted) return std::ranges::all_of(head_.entries, is_told);
    const bool blobs = std::ranges::any_of(head_.entries, [](const auto& entry) { return entry.kind == "BLOBS"; });
    return std::ranges::all_of(head_.entries, is_told) && blobs == has_large_objects();
}

const PostgresRowsPart* PostgresArchive::find(const std::string& schema, const std::string& name) const {
    const auto found = by_name_.find({schema, name});
    return found == by_name_.end() ? nullptr : &parts_[found->second];
}

Status PostgresArchive::read_large_objects(const std::function<Status(ByteView)>& sink) const {
    HF_DO(sink(head_bytes_));
    for (const Block& block : large_objects_) HF_DO(ranges_.read(block.place, block.bytes, sink));
    return {};
}

Status PostgresArchive::read_rows(const PostgresRowsPart& part, const std::function<Status(ByteView)>& sink) const {
    OneBlock one(part.entry, sink);
    db::ArchiveBlocks blocks(head_.int_bytes, part.place, one);
    HF_DO(ranges_.read(part.place, part.bytes, [&](ByteView bytes) { return blocks.take(bytes); }));
    if (blocks.between()) return {};
    return fail(ErrorCode::corrupt, fmt::format("the rows of {}.{} in the dump end early", part.schema, part.name),
                "run `holdfast check --read-data`, and restore from another snapshot");
}

}    // namespace holdfast::recovery
