#include "holdfast/db/postgres_archive_rows.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <set>

#include "holdfast/db/postgres.hpp"

namespace holdfast::db {
namespace {

constexpr std::byte k_rows{1}, k_not_placed{1};
constexpr std::string_view k_end_of_rows = "\\.\n\n\n";

void put_size(std::byte* to, unsigned int_bytes, std::uint64_t value) {
    *to = std::byte(0);    // not negative
    for (unsigned i = 1; i <= int_bytes; ++i, value >>= 8) to[i] = static_cast<std::byte>(value & 0xff);
}

void put_int(Bytes& to, unsigned int_bytes, std::int64_t value) {
    std::byte field[9];
    put_size(field, int_bytes, static_cast<std::uint64_t>(value < 0 ? -value : value));
    if (value < 0) field[0] = std::byte(1);
    append(to, ByteView(field, 1 + int_bytes));
}

// Fields of a table of contents.
class Entry {
public:
    Entry(Bytes& to, const ArchiveHead& head) : to_(to), head_(head) {}
    Entry& integer(std::int64_t value) {
        put_int(to_, head_.int_bytes, value);
        return *this;
    }
    Entry& text(std::string_view value) {
        integer(static_cast<std::int64_t>(value.size()));
        append(to_, as_bytes(value));
        return *this;
    }
    Entry& none() { return integer(-1); }

private:
    Bytes& to_;
    const ArchiveHead& head_;
};

void put_entry(Bytes& to, const ArchiveHead& head, const ArchiveEntry& table, const AddedRows& rows,
               const std::string& copy) {
    Entry entry(to, head);
    entry.integer(rows.entry).integer(1).text("0").text(rows.oid).text(table.name).text("TABLE DATA");
    entry.integer(static_cast<int>(ArchiveEntry::Section::data)).none().none().text(copy).text(table.schema).none();
    if (head.minor >= 14) entry.none();    // access method
    if (head.minor >= 16) entry.integer(0);    // kind of relation
    entry.text(table.owner).text("false").text(std::to_string(table.id)).none();
    to.push_back(k_not_placed);
    to.resize(to.size() + head.offset_bytes, std::byte(0));
}

}    // namespace

Result<Bytes> add_entries(ByteView head_bytes, const ArchiveHead& head, std::span<AddedRows> rows) {
    std::map<std::string_view, const ArchiveEntry*> tables;
    std::set<std::string_view> there;
    std::int64_t last = 0;
    std::size_t at = head.bytes;
    for (const ArchiveEntry& entry : head.entries) {
        if (entry.kind == "TABLE") tables.emplace(entry.oid, &entry);
        if (entry.kind == "TABLE DATA") there.insert(entry.oid);
        if (entry.section == ArchiveEntry::Section::post_data) at = std::min(at, entry.at);
        last = std::max(last, entry.id);
    }
    if (last > std::numeric_limits<std::int32_t>::max() - static_cast<std::int64_t>(rows.size()))
        return fail(ErrorCode::unsupported, "an archive with impossible numbers of entries");
    Bytes added;
    std::int64_t count = static_cast<std::int64_t>(head.entries.size());
    for (AddedRows& more : rows) {
        if (there.contains(more.oid)) continue;
        const auto table = tables.find(more.oid);
        if (table == tables.end())
            return fail(ErrorCode::unsupported, fmt::format("an archive without the table with OID {}", more.oid));
        more.entry = ++last;
        ++count;
        const ArchiveEntry& entry = *table->second;
        const std::string name = fmt::format("{}.{} {}", quote_identifier(entry.schema), quote_identifier(entry.name),
                                             more.columns.empty() ? "" : '(' + more.columns + ") ");
        more.copy_out = "COPY " + name + "TO STDOUT";
        put_entry(added, head, entry, more, "COPY " + name + "FROM stdin;\n");
    }
    Bytes whole;
    append(whole, head_bytes.first(head.count_at));
    put_int(whole, head.int_bytes, count);
    append(whole, head_bytes.first(at).subspan(whole.size()));
    append(whole, added);
    append(whole, head_bytes.first(head.bytes).subspan(at));
    return whole;
}

void RowsBlock::begin(Bytes& to, std::int64_t entry) const {
    to.push_back(k_rows);
    put_int(to, int_bytes_, entry);
}

// pg_dump has a piece a row. Others would do, but the vault finds a row again only as it was.
void RowsBlock::row(Bytes& to, ByteView row) const {
    if (row.empty()) return;    // would be the end
    const std::size_t at = to.size();
    to.resize(at + 1 + int_bytes_ + row.size());
    put_size(to.data() + at, int_bytes_, row.size());
    std::memcpy(to.data() + at + 1 + int_bytes_, row.data(), row.size());
}

void RowsBlock::end(Bytes& to) const {
    row(to, as_bytes(k_end_of_rows));
    put_int(to, int_bytes_, 0);
}

}    // namespace holdfast::db
