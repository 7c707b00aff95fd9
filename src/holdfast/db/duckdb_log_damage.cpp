#include "holdfast/db/duckdb_log_damage.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>

namespace holdfast::db {
namespace {

constexpr std::size_t k_head = 16;    // size and checksum
constexpr std::uint8_t k_use_table = 25, k_marker = 99, k_flush = 100;

struct Entry {
    std::uint8_t type = 0;
    ByteView payload;
    std::size_t end = 0;
};

// The entry that begins at `at`, when all of it holds.
std::optional<Entry> entry_at(ByteView bytes, std::size_t at) {
    if (bytes.size() < at + k_head + 5) return std::nullopt;
    const auto size = load_le<std::uint64_t>(bytes.data() + at);
    if (size < 5 || size > bytes.size() - at - k_head) return std::nullopt;
    const ByteView payload = bytes.subspan(at + k_head, static_cast<std::size_t>(size));
    if (load_le<std::uint16_t>(payload.data()) != 100) return std::nullopt;    // the field that holds the type
    const auto type = std::to_integer<std::uint8_t>(payload[2]);
    if (type == 0 || type > k_flush || duckdb_checksum(payload) != load_le<std::uint64_t>(bytes.data() + at + 8))
        return std::nullopt;
    return Entry{type, payload, at + k_head + payload.size()};
}

// Where the next whole entry begins. The first bytes of a payload leave few places to look at closely.
std::optional<std::size_t> find_entry(ByteView bytes, std::size_t from) {
    for (std::size_t at = from; at + k_head + 5 <= bytes.size(); ++at)
        if (bytes[at + k_head] == std::byte{100} && entry_at(bytes, at)) return at;
    return std::nullopt;
}

// "schema.table" of an entry that says which table the next ones are about: two texts with their lengths (below 128).
std::string table_of(ByteView payload) {
    std::string name;
    std::size_t at = 3;
    for (const std::uint16_t field : {101, 102}) {
        if (payload.size() < at + 3 || load_le<std::uint16_t>(payload.data() + at) != field) return "";
        const auto length = std::to_integer<std::size_t>(payload[at + 2]);
        at += 3;
        if (length > 127 || payload.size() - at < length) return "";
        if (!name.empty()) name += '.';
        name += as_text(payload.subspan(at, length));
        at += length;
    }
    return name;
}

std::string_view deed(std::uint8_t type) {
    switch (type) {
        case 26:
            return "inserts";
        case 27:
            return "deletes";
        case 28:
            return "updates";
        case 29:
            return "bulk inserts";
        case 1:
        case 2:
        case 20:
            return "table definitions";
        case 10:
            return "sequence values";
        default:
            return "other changes";
    }
}

void count_lost(const Entry& entry, std::string& table, DuckDbLogDamage& damage) {
    if (entry.type == k_flush)
        ++damage.lost_commits;
    else if (entry.type == k_use_table)
        table = table_of(entry.payload);
    else
        ++damage.lost[entry.type >= 26 && entry.type <= 29 ? table : std::string()][std::string(deed(entry.type))];
}

void append_number(Bytes& to, std::uint64_t number) {
    for (; number >= 0x80; number >>= 7) to.push_back(static_cast<std::byte>(0x80 | (number & 0x7f)));
    to.push_back(static_cast<std::byte>(number));
}

// Entry 0 as DuckDB writes it.
Bytes version_entry(const DuckDbHeaders& headers) {
    Bytes out;
    const auto field = [&](std::uint16_t number) { append_le(out, number); };
    field(100);
    append_number(out, 98);
    field(101);
    append_number(out, 2);
    std::array<std::byte, 16> id{};
    if (headers.storage_version >= 67 && from_hex(headers.database_id, id)) {
        field(102);
        append_number(out, id.size());
        for (const std::byte byte : id) append_number(out, std::to_integer<std::uint64_t>(byte));
        field(103);
        append_number(out, headers.iteration);
    }
    field(0xffff);
    return out;
}

}    // namespace

std::string_view to_text(DuckDbLogDamage::Kind kind) {
    switch (kind) {
        case DuckDbLogDamage::Kind::none:
            return "none";
        case DuckDbLogDamage::Kind::header:
            return "header";
        case DuckDbLogDamage::Kind::entry:
            return "entry";
        case DuckDbLogDamage::Kind::size:
            return "size";
        case DuckDbLogDamage::Kind::zeros:
            return "zeros";
    }
    return "";
}

Result<DuckDbLogDamage> examine_duckdb_log(ByteView bytes, const DuckDbHeaders& headers, std::string_view path) {
    using Kind = DuckDbLogDamage::Kind;
    DuckDbLogDamage damage;
    if (bytes.empty()) return damage;
    const auto log = parse_duckdb_log(bytes, path);
    if (!log && log.error().code == ErrorCode::unsupported && bytes.size() > 5 && bytes[5] == std::byte{3})
        return fail(log.error());
    std::size_t at = 0;
    const bool has_header = log && !log->header.empty();
    if (has_header) {
        at = log->header.size();
    } else {
        // What is behind it may be whole: then all of it is kept, under a new entry 0.
        const auto first = find_entry(bytes, 1);
        if (!first) {
            if (bytes.size() > version_entry(headers).size()) {
                damage.kind = std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; }) ? Kind::zeros
                                                                                                        : Kind::header;
                damage.lost_bytes = damage.unreadable_bytes = bytes.size();
            }
            return damage;
        }
        damage.kind = Kind::header;
        at = *first;
    }
    // Whole commits from here on.
    damage.kept_bytes = at;
    std::size_t reading = at;
    for (bool marker = false; const auto entry = entry_at(bytes, reading);) {
        reading = entry->end;
        marker |= entry->type == k_marker;
        if (entry->type != k_flush) continue;
        damage.kept_bytes = reading;
        damage.kept_commits += !marker;
        marker = false;
    }
    const std::size_t broken = reading;
    const ByteView rest = bytes.subspan(broken);
    const bool zeros = !rest.empty() && std::ranges::all_of(rest, [](std::byte b) { return b == std::byte{0}; });
    const auto next = find_entry(bytes, broken + 1);
    const auto size = rest.size() >= k_head ? load_le<std::uint64_t>(rest.data()) : 0;
    const bool ends_inside = rest.size() < k_head || size > rest.size() - k_head;
    // The last entry with a damaged size: its checksum holds for all that is there.
    const bool last_is_whole =
        rest.size() >= k_head + 5 && duckdb_checksum(rest.subspan(k_head)) == load_le<std::uint64_t>(rest.data() + 8);
    if (rest.empty() || (ends_inside && !next && !last_is_whole)) {
        return damage;    // torn at most: what was not finished was not acknowledged
    }
    damage.kind = zeros ? Kind::zeros : ends_inside ? Kind::size : Kind::entry;
    damage.at = broken;
    damage.lost_bytes = bytes.size() - damage.kept_bytes;
    if (zeros) {
        damage.unreadable_bytes = rest.size();
        return damage;
    }
    // The damaged commit: what of it was read before the damage, then all that is found again behind.
    std::string table;
    for (std::size_t back = damage.kept_bytes; back < broken;) {
        const auto entry = entry_at(bytes, back);
        count_lost(*entry, table, damage);
        back = entry->end;
    }
    table = "?";
    for (std::size_t now = broken; now < bytes.size();) {
        if (const auto entry = entry_at(bytes, now)) {
            count_lost(*entry, table, damage);
            now = entry->end;
            continue;
        }
        const auto found = find_entry(bytes, now + 1);
        damage.unreadable_bytes += found.value_or(bytes.size()) - now;
        now = found.value_or(bytes.size());
    }
    if (damage.lost_commits == 0) damage.lost_commits = 1;    // it was whole once: its last entry is what is damaged
    return damage;
}

std::string DuckDbLogDamage::text() const {
    std::string what;
    switch (kind) {
        case Kind::none:
            return fmt::format("the log is whole: {} commits", kept_commits);
        case Kind::zeros:
            return fmt::format(
                "the log ends with zeros from byte {} on, as after a power failure: {} commits before them are whole, "
                "and "
                "no commit is in them",
                at, kept_commits);
        case Kind::header:
            what = "the first bytes of the log are damaged (DuckDB would ignore all of it)";
            break;
        case Kind::entry:
            what = fmt::format("the entry at byte {} of the log is damaged", at);
            break;
        case Kind::size:
            what = fmt::format(
                "the size of the entry at byte {} of the log is damaged (DuckDB would drop the rest without a word)",
                at);
            break;
    }
    what += fmt::format(": {} commits are whole", kept_commits);
    if (lost_bytes == 0) return what + ", and none is lost";
    what += fmt::format(", {} {} lost", lost_commits, lost_commits == 1 ? "is" : "are");
    std::string list;
    for (const auto& [table, deeds] : lost)
        for (const auto& [name, count] : deeds)
            list += fmt::format("{}{} {}{}", list.empty() ? "" : ", ", count, name,
                                table == "?"    ? " in a table that is not known"
                                : table.empty() ? ""
                                                : " in " + table);
    if (!list.empty()) what += ": " + list;
    if (unreadable_bytes > 0) what += fmt::format("; of {} bytes nothing can be told", unreadable_bytes);
    return what;
}

json::Value DuckDbLogDamage::to_json() const {
    json::Value tables = json::Value::object();
    for (const auto& [table, deeds] : lost) {
        json::Value one = json::Value::object();
        for (const auto& [name, count] : deeds) one.set(name, count);
        tables.set(table, std::move(one));
    }
    return json::Value::object({{"kind", std::string(db::to_text(kind))},
                                {"at", at},
                                {"kept_commits", kept_commits},
                                {"kept_bytes", kept_bytes},
                                {"lost_commits", lost_commits},
                                {"lost_bytes", lost_bytes},
                                {"unreadable_bytes", unreadable_bytes},
                                {"lost", std::move(tables)}});
}

Bytes mended_duckdb_log(ByteView bytes, const DuckDbLogDamage& damage, const DuckDbHeaders& headers) {
    Bytes out;
    if (damage.kept_commits == 0) return out;
    const auto log = parse_duckdb_log(bytes, "");
    std::size_t begin = 0;
    if (!log || log->header.empty()) {
        out = version_entry(headers);
        begin = find_entry(bytes, 1).value_or(0);
    }
    append(out, bytes.subspan(begin, static_cast<std::size_t>(damage.kept_bytes) - begin));
    return out;
}

}    // namespace holdfast::db
