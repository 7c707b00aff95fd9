#include "holdfast/db/clickhouse_text.hpp"

#include <gtest/gtest.h>

namespace holdfast::db::clickhouse {

TEST(ClickHouseText, QuotesNamesThatTryToEnd) {
    EXPECT_EQ(quoted_name("a`b\\c"), "`a\\`b\\\\c`");
    EXPECT_EQ(quoted_name("d", "t 1"), "`d`.`t 1`");
    EXPECT_EQ(quoted_text("it's\n\\"), "'it\\'s\\n\\\\'");
}

TEST(ClickHouseText, NamesOfFilesNeverLeaveTheirFolder) {
    EXPECT_EQ(file_name_of("trades_1"), "trades_1");
    EXPECT_EQ(file_name_of(".."), "%2E%2E");
    EXPECT_EQ(file_name_of("a/b"), "a%2Fb");
    EXPECT_EQ(file_name_of(".inner.mv"), "%2Einner%2Emv");
    EXPECT_EQ(file_name_of(std::string_view("\0", 1)), "%00");
    EXPECT_NE(file_name_of(""), "");
}

TEST(ClickHouseText, ReadsEscapedRows) {
    const auto rows = parse_rows("a\\tb\t\\N\n\\\\\tx\\ny\n\t\n");
    ASSERT_EQ(rows.size(), 3u);
    EXPECT_EQ(rows[0], (std::vector<std::string>{"a\tb", "\\N"}));
    EXPECT_EQ(rows[1], (std::vector<std::string>{"\\", "x\ny"}));
    EXPECT_EQ(rows[2], (std::vector<std::string>{"", ""}));
    EXPECT_TRUE(parse_rows("").empty());
}

TEST(ClickHouseText, ReadsBothGenerationsOfErrors) {
    const Error old = server_error(
        404, 0, "Code: 60, e.displayText() = DB::Exception: Table t.x doesn't exist., e.what() = DB::Exception\n");
    EXPECT_EQ(old.code, ErrorCode::not_found);
    EXPECT_EQ(old.message, "ClickHouse says: Table t.x doesn't exist (code 60)");
    const Error modern = server_error(
        500, 82, "Code: 82. DB::Exception: Database d already exists. (DATABASE_ALREADY_EXISTS) (version 26.5.1.1)");
    EXPECT_EQ(modern.code, ErrorCode::exists);
    EXPECT_EQ(server_error(401, 0, "Code: 193, e.displayText() = DB::Exception: Wrong password for user x").code,
              ErrorCode::denied);
    EXPECT_EQ(server_error(403, 0, "<html>").code, ErrorCode::denied);
    EXPECT_EQ(server_error(500, 243, "no space").code, ErrorCode::disk_full);
    EXPECT_EQ(server_error(500, 0, "").code, ErrorCode::store);
}

}    // namespace holdfast::db::clickhouse
