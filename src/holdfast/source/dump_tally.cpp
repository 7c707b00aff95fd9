#include "holdfast/source/dump_tally.hpp"

#include <fmt/core.h>

namespace holdfast::source {

void DumpTally::take(ByteView bytes) {
    if (unknown_) return;
    auto done = read(bytes);
    if (!done) unknown_ = std::move(done).error();
}

Status DumpTally::read(ByteView bytes) {
    if (blocks_) return blocks_->take(bytes);
    append(open_, bytes);
    if (open_.size() < next_try_) return {};
    next_try_ = open_.size() * 2;
    HF_TRY(head_, db::parse_archive_head(open_));
    if (!head_) return {};
    for (const db::ArchiveEntry& entry : head_->entries)
        if (entry.kind == "TABLE DATA") tables_.emplace(entry.id, entry.oid);
    db::ArchiveBlocks::Sink& sink = *this;
    blocks_ = std::make_unique<db::ArchiveBlocks>(head_->int_bytes, head_->bytes, sink);
    const Bytes first = std::move(open_);
    open_ = {};
    return blocks_->take(ByteView(first).subspan(head_->bytes));
}

void DumpTally::end() {
    next_try_ = 0;
    take({});
    if (!unknown_ && (!blocks_ || !blocks_->between()))
        unknown_ = Error{ErrorCode::corrupt, "the archive ends too early", {}};
}

const DumpTally::Rows* DumpTally::find(const std::string& oid) const {
    const auto found = rows_.find(oid);
    return unknown_ || found == rows_.end() ? nullptr : &found->second;
}

Status DumpTally::begins(std::int64_t entry, bool rows, std::uint64_t place) {
    current_ = nullptr;
    in_large_objects_ = !rows;
    if (!rows) large_objects_.push_back({place, 0});
    const auto table = tables_.find(entry);
    if (!rows || table == tables_.end()) return {};
    const auto [at, fresh] = rows_.try_emplace(table->second);
    if (!fresh) return fail(ErrorCode::corrupt, fmt::format("two blocks of entry {} in an archive", entry));
    current_ = &at->second;
    current_->entry = entry;
    current_->place = place;
    return {};
}

Status DumpTally::piece(ByteView bytes) {
    if (current_) current_->digest.add(bytes);
    return {};
}

Status DumpTally::ends(std::uint64_t place) {
    if (in_large_objects_) large_objects_.back().bytes = place - large_objects_.back().place;
    if (!current_) return {};
    current_->bytes = place - current_->place;
    if (!current_->digest.ended())
        return fail(ErrorCode::corrupt, fmt::format("the rows of entry {} end too early", current_->entry));
    current_ = nullptr;
    return {};
}

}    // namespace holdfast::source
