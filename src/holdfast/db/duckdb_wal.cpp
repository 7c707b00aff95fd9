#include "holdfast/db/duckdb_wal.hpp"

#include <fmt/core.h>

#include "holdfast/db/duckdb_file.hpp"

namespace holdfast::db {
namespace {

constexpr std::uint8_t k_type_version = 98, k_type_row_groups = 29, k_type_checkpoint = 99, k_type_flush = 100;
constexpr std::uint64_t k_version_plain = 2, k_version_encrypted = 3;
constexpr std::size_t k_entry_head = 16;    // size and checksum

// Reads the fields of DuckDB's serializer: u16 field numbers, LEB128 values, ff ff at an object's end.
class Fields {
public:
    explicit Fields(ByteView bytes) : bytes_(bytes) {}
    bool ended() const { return ended_; }    // asked for more than there was
    std::size_t at() const { return at_; }

    // Steps over the field number when it comes next.
    bool take(std::uint16_t field) {
        if (bytes_.size() - at_ < 2) {
            ended_ = true;
            return false;
        }
        if (load_le<std::uint16_t>(bytes_.data() + at_) != field) return false;
        at_ += 2;
        return true;
    }
    std::uint64_t number() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (at_ == bytes_.size()) {
                ended_ = true;
                return 0;
            }
            const auto byte = std::to_integer<std::uint64_t>(bytes_[at_++]);
            value |= (byte & 0x7f) << shift;
            if (!(byte & 0x80)) break;
        }
        return value;
    }

private:
    ByteView bytes_;
    std::size_t at_ = 0;
    bool ended_ = false;
};

constexpr std::uint16_t k_field_type = 100, k_field_end = 0xffff;

// The length of entry 0; 0 when the file ends inside it.
Result<std::size_t> parse_version_entry(ByteView bytes, std::string_view path) {
    Fields fields(bytes);
    const auto broken = [&] {
        return fail(ErrorCode::corrupt, fmt::format("{} does not start as a DuckDB log", path),
                    "opening the database would ignore this log or fail; keep a copy of both files before you try");
    };
    const bool is_type = fields.take(k_field_type);
    const std::uint64_t type = is_type ? fields.number() : 0;
    if (fields.ended()) return 0;
    if (!is_type || type != k_type_version) return broken();
    const bool is_version = fields.take(101);
    const std::uint64_t version = is_version ? fields.number() : 0;
    if (fields.ended()) return 0;
    if (!is_version) return broken();
    if (version == k_version_encrypted)
        return fail(ErrorCode::unsupported, fmt::format("{} is encrypted, so a copy of it cannot be checked", path),
                    "keep the database plain (the vault is encrypted)");
    if (version != k_version_plain)
        return fail(ErrorCode::unsupported, fmt::format("{} is a log of version {}", path, version),
                    "run CHECKPOINT in the database, with the DuckDB that wrote it");
    if (fields.take(102)) {    // the database's id, from storage version 67
        const std::uint64_t count = fields.number();
        if (!fields.ended() && count != 16) return broken();
        for (unsigned i = 0; i < 16 && !fields.ended(); ++i) fields.number();
    }
    if (fields.take(103)) fields.number();    // the iteration that the log continues
    const bool whole = fields.take(k_field_end);
    if (fields.ended()) return 0;
    if (!whole) return broken();
    return fields.at();
}

// The root pointer of a checkpoint marker; a pointer of zero is left out by the serializer.
std::uint64_t marker_root(ByteView payload) {
    Fields fields(payload.subspan(3));
    if (!fields.take(101) || !fields.take(100)) return 0;
    return fields.number();
}

std::uint8_t entry_type(ByteView payload) {
    if (payload.size() < 3 || load_le<std::uint16_t>(payload.data()) != k_field_type) return 0;
    return std::to_integer<std::uint8_t>(payload[2]);
}

// Adds a run of commits, as part of the one before when they touch.
void add_run(std::vector<ByteView>& runs, ByteView run) {
    if (!runs.empty() && runs.back().data() + runs.back().size() == run.data())
        runs.back() = ByteView(runs.back().data(), runs.back().size() + run.size());
    else
        runs.push_back(run);
}

}    // namespace

Result<DuckDbLog> parse_duckdb_log(ByteView bytes, std::string_view path) {
    HF_TRY(const std::size_t header_size, parse_version_entry(bytes, path));
    DuckDbLog log;
    log.uncommitted_bytes = bytes.size();
    if (header_size > 0) log = parse_duckdb_entries(bytes.subspan(header_size));
    log.header = bytes.first(header_size);
    if (log.damaged_at) *log.damaged_at += header_size;
    return log;
}

DuckDbLog parse_duckdb_entries(ByteView bytes) {
    DuckDbLog log;
    std::size_t at = 0, group_begin = 0;
    std::uint64_t group_row_groups = 0;
    std::optional<std::uint64_t> group_marker;
    while (bytes.size() - at >= k_entry_head) {
        const auto size = load_le<std::uint64_t>(bytes.data() + at);
        const auto checksum = load_le<std::uint64_t>(bytes.data() + at + 8);
        if (size > bytes.size() - at - k_entry_head) break;
        const ByteView payload = bytes.subspan(at + k_entry_head, size);
        if (duckdb_checksum(payload) != checksum) {
            log.damaged_at = at;
            break;
        }
        at += k_entry_head + size;
        switch (entry_type(payload)) {
            case k_type_row_groups:
                ++group_row_groups;
                break;
            case k_type_checkpoint:
                group_marker = marker_root(payload);
                break;
            case k_type_flush:
                log.ends_with_marker = group_marker.has_value();
                if (group_marker) {
                    log.marker_root = group_marker;
                } else {
                    add_run(log.commits, bytes.subspan(group_begin, at - group_begin));
                    ++log.commit_count;
                    log.row_group_count += group_row_groups;
                }
                group_begin = at;
                group_row_groups = 0;
                group_marker.reset();
                break;
            default:
                break;
        }
    }
    log.uncommitted_bytes = bytes.size() - group_begin;
    return log;
}

Result<std::uint64_t> duckdb_log_size(ByteView bytes, std::uint64_t commits, std::string_view path) {
    HF_TRY(std::size_t at, parse_version_entry(bytes, path));
    for (std::size_t end = at; commits > 0; --commits) {
        std::uint8_t type = 0;
        while (type != k_type_flush) {
            if (bytes.size() - end < k_entry_head)
                return fail(ErrorCode::corrupt, fmt::format("{} has fewer commits", path));
            const auto size = load_le<std::uint64_t>(bytes.data() + end);
            end += k_entry_head;
            if (size > bytes.size() - end) return fail(ErrorCode::corrupt, fmt::format("{} has fewer commits", path));
            type = entry_type(bytes.subspan(end, size));
            end += size;
        }
        at = end;
    }
    return at;
}

std::uint64_t JoinedLog::size() const {
    std::uint64_t sum = 0;
    for (const ByteView piece : pieces) sum += piece.size();
    return sum;
}

std::optional<JoinedLog> join_duckdb_logs(const DuckDbLog& log, const DuckDbLog& checkpoint_log, std::uint64_t root) {
    if (log.damaged_at || checkpoint_log.damaged_at) return std::nullopt;
    // Commits go to the second log only behind a marker in the first one. Without that marker the first was read before
    // the checkpoint began, and what was committed between the two reads would be missing.
    const bool has_checkpoint_log = !checkpoint_log.header.empty() || checkpoint_log.uncommitted_bytes > 0;
    if (has_checkpoint_log && !log.ends_with_marker) return std::nullopt;

    // The marker's root is the file's: the checkpoint is over, and replaying its log would apply it twice.
    const bool in_file = log.marker_root && *log.marker_root == root;
    const ByteView header = in_file ? checkpoint_log.header : log.header;
    JoinedLog joined;
    const auto add = [&](const DuckDbLog& from) {
        joined.pieces.insert(joined.pieces.end(), from.commits.begin(), from.commits.end());
        joined.commit_count += from.commit_count;
        joined.row_group_count += from.row_group_count;
    };
    if (!in_file) add(log);
    add(checkpoint_log);
    if (!joined.pieces.empty()) joined.pieces.insert(joined.pieces.begin(), header);
    return joined;
}

}    // namespace holdfast::db
