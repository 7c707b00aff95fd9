#include "holdfast/db/postgres_archive_rows.hpp"

#include <gmock/gmock.h>

#include "holdfast/db/copy_digest.hpp"

namespace holdfast::db {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An archive as pg_dump 15 writes it (1.14), or of another version, of tables with the given rows.
class Archive {
public:
    explicit Archive(char minor = 14) : minor_(minor) {
        text_ = std::string("PGDMP\x01") + minor + std::string("\0\x04\x08\x01", 4);
        if (minor >= 15)
            text_ += '\0';
        else
            integer(0);
        for (int i = 0; i < 7; ++i) integer(i);
        for (const char* name : {"trading", "15.1", "15.1"}) string(name);
    }
    Archive& count(std::int64_t n) { return integer(n); }
    Archive& entry(std::int64_t id, const char* kind, const char* name, const char* copy, int section = 3) {
        integer(id).integer(1).string("0").string("4711").string(name).string(kind).integer(section);
        string("").string("").string(copy).string("public").string("");
        if (minor_ >= 14) string("heap");
        if (minor_ >= 16) integer('r');
        string("desk").string("false").string("12").integer(-1);
        text_ += std::string(9, '\0');
        return *this;
    }
    Archive& block(char kind, std::int64_t id, const std::vector<std::string>& pieces) {
        text_ += kind;
        integer(id);
        for (const std::string& piece : pieces) string(piece);
        return integer(0);
    }
    Archive& integer(std::int64_t value) {
        text_ += value < 0 ? '\1' : '\0';
        for (std::uint64_t left = static_cast<std::uint64_t>(value < 0 ? -value : value), i = 0; i < 4; ++i, left >>= 8)
            text_ += static_cast<char>(left & 0xff);
        return *this;
    }
    Archive& string(std::string_view value) {
        integer(static_cast<std::int64_t>(value.size()));
        text_ += value;
        return *this;
    }
    ByteView bytes() const { return as_bytes(text_); }

private:
    char minor_;
    std::string text_;
};

struct Seen : ArchiveBlocks::Sink {
    std::vector<std::string> events;
    Status begins(std::int64_t entry, bool rows, std::uint64_t place) override {
        events.push_back((rows ? "rows " : "other ") + std::to_string(entry) + " at " + std::to_string(place));
        events.emplace_back();
        return {};
    }
    Status piece(ByteView bytes) override {
        events.back() += as_text(bytes);
        return {};
    }
    Status ends(std::uint64_t place) override {
        events.push_back("end " + std::to_string(place));
        return {};
    }
};

TEST(PostgresArchive, HeadOfEachVersionIsReadAndTheRestOfItAskedFor) {
    for (const char minor : {13, 14, 15, 16}) {
        Archive archive(minor);
        archive.count(2).entry(7, "TABLE", "t", "").entry(8, "TABLE DATA", "t", "COPY public.t (a) FROM stdin;\n");
        const ByteView whole = archive.bytes();
        for (std::size_t size = 0; size < whole.size(); ++size) {
            const auto part = parse_archive_head(whole.first(size));
            ASSERT_TRUE(part) << part.error().message;
            EXPECT_FALSE(*part) << size;
        }
        const auto head = parse_archive_head(whole);
        ASSERT_TRUE(head && *head);
        EXPECT_EQ((*head)->bytes, whole.size());
        ASSERT_EQ((*head)->entries.size(), 2u);
        const ArchiveEntry& rows = (*head)->entries[1];
        EXPECT_EQ(rows.id, 8);
        EXPECT_EQ(rows.oid, "4711");
        EXPECT_EQ(rows.kind, "TABLE DATA");
        EXPECT_EQ(rows.schema + "." + rows.name, "public.t");
        EXPECT_EQ(rows.section, ArchiveEntry::Section::data);
    }
}

TEST(PostgresArchive, WhatWeCannotReadIsUnsupportedOrCorrupt) {
    EXPECT_EQ(parse_archive_head(as_bytes("SELECT 1")).error().code, ErrorCode::corrupt);
    EXPECT_EQ(parse_archive_head(Archive(17).bytes()).error().code, ErrorCode::unsupported);
    std::string compressed(as_text(Archive(15).bytes()));
    compressed[11] = 1;
    EXPECT_THAT(parse_archive_head(as_bytes(compressed)).error().message, HasSubstr("compressed"));
}

TEST(PostgresArchive, BlocksAreTheSameHoweverTheyCome) {
    Archive archive;
    archive.block(1, 8, {"1\tx\n", "2\t", "y\n", "\\.\n\n\n"}).block(3, 9, {}).block(1, 10, {"\\.\n\n\n"});
    for (const std::size_t step : {1u, 2u, 7u, 1000u}) {
        Seen seen;
        ArchiveBlocks blocks(4, 500, seen);
        const ByteView all = archive.bytes().subspan(Archive().bytes().size());
        for (std::size_t at = 0; at < all.size(); at += step)
            ASSERT_TRUE(blocks.take(all.subspan(at, std::min(step, all.size() - at))));
        EXPECT_TRUE(blocks.between());
        EXPECT_THAT(seen.events, ElementsAre("rows 8 at 500", "1\tx\n2\ty\n\\.\n\n\n", "end 544", "other 9 at 544", "",
                                             "end 555", "rows 10 at 555", "\\.\n\n\n", "end 576"));
    }
}

TEST(PostgresArchive, AWrongBlockIsCorrupt) {
    Seen seen;
    ArchiveBlocks blocks(4, 0, seen);
    EXPECT_EQ(blocks.take(as_bytes("x")).error().code, ErrorCode::corrupt);
    ArchiveBlocks lengths(4, 0, seen);
    Archive archive;
    archive.block(1, 8, {});
    const auto head = Archive().bytes().size();
    ASSERT_TRUE(lengths.take(archive.bytes().subspan(head, 6)));
    EXPECT_FALSE(lengths.between());
    EXPECT_EQ(lengths.take(as_bytes(std::string_view("\1\1\0\0\0", 5))).error().code, ErrorCode::corrupt);
}

TEST(PostgresArchive, RowsAreAddedBehindWhatTheyNeedAndReadLikeOthers) {
    for (const char minor : {12, 14, 15, 16}) {
        Archive archive(minor);
        archive.count(3)
            .entry(7, "TABLE", "odd \"t", "", 2)
            .entry(8, "SEQUENCE SET", "s", "")
            .entry(20, "INDEX", "i", "", 4);
        const auto head = parse_archive_head(archive.bytes());
        ASSERT_TRUE(head && *head);
        std::vector<AddedRows> rows = {{"4711", "\"a\", \"b\"", 0, {}}};
        const auto more = add_entries(archive.bytes(), **head, rows);
        ASSERT_TRUE(more) << more.error().message;
        const auto again = parse_archive_head(*more);
        ASSERT_TRUE(again && *again);
        EXPECT_EQ((*again)->bytes, more->size());
        std::vector<std::int64_t> ids;
        for (const ArchiveEntry& entry : (*again)->entries) ids.push_back(entry.id);
        EXPECT_THAT(ids, ElementsAre(7, 8, 21, 20));
        const ArchiveEntry& added = (*again)->entries[2];
        EXPECT_EQ(added.kind + ' ' + added.oid + ' ' + added.schema + '.' + added.name + ' ' + added.owner,
                  "TABLE DATA 4711 public.odd \"t desk");
        EXPECT_EQ(added.section, ArchiveEntry::Section::data);
        EXPECT_THAT(added.needs, ElementsAre(7));
        EXPECT_EQ(added.copy, "COPY \"public\".\"odd \"\"t\" (\"a\", \"b\") FROM stdin;\n");
        EXPECT_EQ(rows[0].copy_out, "COPY \"public\".\"odd \"\"t\" (\"a\", \"b\") TO STDOUT");

        Bytes block;
        const RowsBlock writer((*again)->int_bytes);
        writer.begin(block, rows[0].entry);
        writer.row(block, as_bytes("1\tx\n"));
        writer.row(block, as_bytes("2\ty\n"));
        writer.end(block);
        Archive expected;
        expected.block(1, 21, {"1\tx\n", "2\ty\n", "\\.\n\n\n"});
        EXPECT_EQ(as_text(block), as_text(expected.bytes().subspan(Archive().bytes().size())));

        // A second time there is nothing to add; a table that is not there cannot get rows.
        rows[0].entry = 0;
        const auto same = add_entries(*more, **again, rows);
        ASSERT_TRUE(same);
        EXPECT_EQ(as_text(*same), as_text(*more));
        EXPECT_EQ(rows[0].entry, 0);
        rows[0].oid = "4712";
        EXPECT_EQ(add_entries(*more, **again, rows).error().code, ErrorCode::unsupported);
    }
}

TEST(PostgresArchive, CopyIsSplitIntoTableAndColumns) {
    const auto split = [](std::string_view statement) {
        const auto parts = split_copy(statement);
        return parts ? parts->table + "|" + parts->columns : "none";
    };
    EXPECT_EQ(split("COPY public.t (a, \"b (c\") FROM stdin;\n"), "public.t|(a, \"b (c\")");
    EXPECT_EQ(split("COPY \"Odd \"\"S.\".\"t'able (1)\" (\"co\"\"l\") FROM stdin;\n"),
              "\"Odd \"\"S.\".\"t'able (1)\"|(\"co\"\"l\")");
    EXPECT_EQ(split("COPY public.no_columns  FROM stdin;\n"), "public.no_columns|");
    EXPECT_EQ(split("COPY public.t () FROM stdin;\n"), "public.t|");
    EXPECT_EQ(split("COPY \"public FROM stdin;\n"), "none");
    EXPECT_EQ(split("INSERT INTO t"), "none");
    EXPECT_EQ(split(""), "none");
}

TEST(CopyDigest, IsOfTheRowsWhateverTheirOrderAndHoweverTheyCome) {
    const auto digest = [](std::string_view text, std::size_t step = 1000) {
        CopyDigest sum;
        for (std::size_t at = 0; at < text.size(); at += step) sum.add(as_bytes(text.substr(at, step)));
        return std::to_string(sum.rows()) + " " + sum.text();
    };
    const std::string rows = digest("1\ta\n2\tb\n3\tc\n");
    EXPECT_EQ(digest("3\tc\n1\ta\n2\tb\n"), rows);
    for (std::size_t step = 1; step < 12; ++step) EXPECT_EQ(digest("1\ta\n2\tb\n3\tc\n\\.\n\n\n", step), rows);
    // Lost, doubled, changed, and cells that changed places.
    for (const char* other : {"1\ta\n2\tb\n", "1\ta\n2\tb\n3\tc\n3\tc\n", "1\ta\n2\tb\n2\tb\n", "1\ta\n2\tb\n3\td\n",
                              "1\tb\n2\ta\n3\tc\n", "1\ta\n2\tb\n\n3\tc\n"})
        EXPECT_NE(digest(other), rows) << other;
    EXPECT_EQ(digest(""), "0 copy:0000000000000000:0000000000000000");
    EXPECT_EQ(digest("\n\n").substr(0, 7), "2 copy:");    // rows without columns
    EXPECT_TRUE(is_copy_digest(rows.substr(2)));
    EXPECT_FALSE(is_copy_digest("12:-34"));
}

TEST(CopyDigest, KnowsWhetherTheRowsWereEnded) {
    CopyDigest sum;
    sum.add(as_bytes("1\n\\"));
    EXPECT_FALSE(sum.ended());
    sum.add(as_bytes(".\nafter\n"));
    EXPECT_TRUE(sum.ended());
    EXPECT_EQ(sum.rows(), 1u);
}

}    // namespace
}    // namespace holdfast::db
