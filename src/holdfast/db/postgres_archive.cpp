#include "holdfast/db/postgres_archive.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace holdfast::db {
namespace {

constexpr std::string_view k_magic = "PGDMP";
constexpr std::size_t k_head_max = std::size_t(256) << 20;
constexpr int k_custom = 1, k_rows = 1, k_large_objects = 3;

std::int64_t read_int(ByteView bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i > 1; --i) value = value << 8 | static_cast<std::uint8_t>(bytes[i - 1]);
    const auto magnitude = static_cast<std::int64_t>(value & ~(std::uint64_t(1) << 63));
    return bytes[0] == std::byte(0) ? magnitude : -magnitude;
}

// Takes fields off the front. Once something is missing all that follows is empty.
class Fields {
public:
    explicit Fields(ByteView bytes) : bytes_(bytes) {}
    bool ended_early() const { return early_; }
    std::size_t taken() const { return at_; }
    void set_int_bytes(unsigned n) { int_bytes_ = n; }

    ByteView take(std::uint64_t n) {
        if (early_ || n > bytes_.size() - at_) {
            early_ = true;
            return {};
        }
        at_ += static_cast<std::size_t>(n);
        return bytes_.subspan(at_ - static_cast<std::size_t>(n), static_cast<std::size_t>(n));
    }
    int byte() {
        const ByteView one = take(1);
        return one.empty() ? 0 : static_cast<int>(one[0]);
    }
    std::int64_t integer() {
        const ByteView field = take(1 + int_bytes_);
        return field.empty() ? 0 : read_int(field);
    }
    // nullopt: none
    std::optional<std::string_view> string() {
        const std::int64_t length = integer();
        if (length < 0) return std::nullopt;
        return as_text(take(static_cast<std::uint64_t>(length)));
    }
    std::string text() { return std::string(string().value_or(std::string_view())); }

private:
    ByteView bytes_;
    std::size_t at_ = 0;
    unsigned int_bytes_ = 4;
    bool early_ = false;
};

ArchiveEntry read_entry(Fields& fields, int minor, unsigned offset_bytes) {
    ArchiveEntry entry;
    entry.at = fields.taken();
    entry.id = fields.integer();
    fields.integer();    // whether it had a dumper
    fields.string();    // the catalogue
    entry.oid = fields.text();
    entry.name = fields.text();
    entry.kind = fields.text();
    const std::int64_t section = fields.integer();
    if (section >= 1 && section <= 4) entry.section = static_cast<ArchiveEntry::Section>(section);
    fields.string();    // definition
    fields.string();    // how to drop it
    entry.copy = fields.text();
    entry.schema = fields.text();
    fields.string();    // tablespace
    if (minor >= 14) fields.string();    // access method
    if (minor >= 16) fields.integer();    // kind of relation
    entry.owner = fields.text();
    fields.string();    // "with OIDs"
    while (!fields.ended_early()) {
        const auto need = fields.string();
        if (!need) break;
        std::int64_t id = 0;
        std::from_chars(need->data(), need->data() + need->size(), id);
        entry.needs.push_back(id);
    }
    fields.take(1 + offset_bytes);    // where its data is; not known to who writes into a pipe
    return entry;
}

// The index behind an identifier, quoted or not; npos when it does not end.
std::size_t behind_identifier(std::string_view text, std::size_t at) {
    if (at >= text.size() || text[at] != '"') return std::min(text.find_first_of(". (", at), text.size());
    for (++at; at < text.size(); ++at)
        if (text[at] == '"') {
            if (at + 1 == text.size() || text[at + 1] != '"') return at + 1;
            ++at;
        }
    return text.npos;
}

}    // namespace

Result<std::optional<ArchiveHead>> parse_archive_head(ByteView bytes) {
    const auto unsupported = [](std::string what) { return fail(ErrorCode::unsupported, std::move(what)); };
    Fields fields(bytes);
    const std::string_view magic = as_text(bytes.first(std::min(bytes.size(), k_magic.size())));
    if (magic != k_magic.substr(0, magic.size())) return fail(ErrorCode::corrupt, "this is no archive of pg_dump");
    fields.take(k_magic.size());
    const int major = fields.byte(), minor = fields.byte();
    fields.byte();
    const int int_bytes = fields.byte(), offset_bytes = fields.byte(), format = fields.byte();
    if (fields.ended_early()) return std::nullopt;
    if (major != 1 || minor < 12 || minor > 16)
        return unsupported(fmt::format("an archive of version {}.{}", major, minor));
    if (format != k_custom || int_bytes < 2 || int_bytes > 8 || offset_bytes > 16)
        return unsupported("an archive in another format than custom");
    fields.set_int_bytes(static_cast<unsigned>(int_bytes));
    const std::int64_t compression = minor >= 15 ? fields.byte() : fields.integer();
    if (compression != 0) return unsupported("a compressed archive");
    for (int i = 0; i < 7; ++i) fields.integer();    // the time
    for (int i = 0; i < 3; ++i) fields.string();    // database, its server's version, pg_dump's
    ArchiveHead head;
    head.minor = minor;
    head.offset_bytes = static_cast<unsigned>(offset_bytes);
    head.count_at = fields.taken();
    const std::int64_t count = fields.integer();
    head.int_bytes = static_cast<unsigned>(int_bytes);
    for (std::int64_t i = 0; i < count && !fields.ended_early(); ++i)
        head.entries.push_back(read_entry(fields, minor, static_cast<unsigned>(offset_bytes)));
    if (fields.ended_early()) {
        if (bytes.size() > k_head_max) return unsupported("an archive with a table of contents this long");
        return std::nullopt;
    }
    head.bytes = fields.taken();
    return head;
}

std::optional<CopyParts> split_copy(std::string_view statement) {
    constexpr std::string_view k_copy = "COPY ", k_from = "FROM stdin;\n";
    if (!statement.starts_with(k_copy) || !statement.ends_with(k_from)) return std::nullopt;
    statement.remove_prefix(k_copy.size());
    statement.remove_suffix(std::min(statement.size(), k_from.size()));
    std::size_t end = behind_identifier(statement, 0);
    if (end < statement.size() && statement[end] == '.') end = behind_identifier(statement, end + 1);
    if (end == statement.npos || end == 0) return std::nullopt;
    std::string_view columns = statement.substr(end);
    while (columns.starts_with(' ')) columns.remove_prefix(1);
    while (columns.ends_with(' ')) columns.remove_suffix(1);
    if (!columns.empty() && (columns.front() != '(' || columns.back() != ')')) return std::nullopt;
    if (columns == "()") columns = {};
    return CopyParts{std::string(statement.substr(0, end)), std::string(columns)};
}

Status ArchiveBlocks::take(ByteView bytes) {
    while (!bytes.empty()) {
        if (state_ == State::piece) {
            const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
            if (rows_) HF_DO(sink_.piece(bytes.first(n)));
            bytes = bytes.subspan(n);
            place_ += n;
            left_ -= n;
            if (left_ == 0) state_ = State::length;
            continue;
        }
        const std::size_t size = state_ == State::kind ? 1 : 1 + int_bytes_;
        if (open_size_ == 0 && bytes.size() >= size) {
            place_ += size;
            HF_DO(field(bytes.first(size)));
            bytes = bytes.subspan(size);
            continue;
        }
        const std::size_t n = std::min(size - open_size_, bytes.size());
        std::memcpy(open_ + open_size_, bytes.data(), n);
        open_size_ += n;
        place_ += n;
        bytes = bytes.subspan(n);
        if (open_size_ < size) break;
        open_size_ = 0;
        HF_DO(field(ByteView(open_, size)));
    }
    return {};
}

Status ArchiveBlocks::field(ByteView bytes) {
    if (state_ == State::kind) {
        const int kind = static_cast<int>(bytes[0]);
        if (kind != k_rows && kind != k_large_objects)
            return fail(ErrorCode::corrupt, fmt::format("a block of kind {} in an archive of pg_dump", kind));
        rows_ = kind == k_rows;
        begin_ = place_ - 1;
        state_ = State::entry;
        return {};
    }
    const std::int64_t value = read_int(bytes);
    if (state_ == State::entry) {
        state_ = rows_ ? State::length : State::object;
        return sink_.begins(value, rows_, begin_);
    }
    if (value < 0) return fail(ErrorCode::corrupt, "a negative length in an archive of pg_dump");
    if (value > 0) {
        left_ = static_cast<std::uint64_t>(value);
        state_ = state_ == State::object ? State::length : State::piece;
        return {};
    }
    if (state_ == State::length && !rows_) {
        state_ = State::object;    // the next large object
        return {};
    }
    state_ = State::kind;
    return sink_.ends(place_);
}

}    // namespace holdfast::db
