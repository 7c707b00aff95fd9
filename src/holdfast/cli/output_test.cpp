#include "holdfast/cli/output.hpp"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

TEST(Table, AlignsByTheWidestCellAndCutsTrailingBlanks) {
    Table table({"Name", "Size", "Note"}, {false, true, false});
    table.row({"größer", "12 B", ""});
    table.row({"b", "1.5 GiB", "x"});
    EXPECT_EQ(table.text(-1),
              "Name       Size  Note\n"
              "größer     12 B\n"
              "b       1.5 GiB  x\n");
}

TEST(Printable, NamesCannotPlayWithTheTerminal) {
    EXPECT_EQ(printable("plain ü 世"), "plain ü 世");
    EXPECT_EQ(printable("\x1b[31mred\n\x7f"), "\\x1b[31mred\\x0a\\x7f");
    EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
    EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");    // C1 control
}

TEST(HumanDuration, TakesTheUnitThatFits) {
    EXPECT_EQ(human_duration(0.042), "42 ms");
    EXPECT_EQ(human_duration(3.14), "3.1 s");
    EXPECT_EQ(human_duration(125), "2:05 min");
    EXPECT_EQ(human_duration(3723), "1:02:03 h");
}

TEST(HumanAge, CountsInWholeUnits) {
    using namespace std::chrono_literals;
    EXPECT_EQ(human_age(20s), "less than a minute");
    EXPECT_EQ(human_age(1min), "1 minute");
    EXPECT_EQ(human_age(119min), "119 minutes");
    EXPECT_EQ(human_age(5h), "5 hours");
    EXPECT_EQ(human_age(72h), "3 days");
}

TEST(ErrorJson, TellsCodeExitStatusAndRemedy) {
    const json::Value value = error_json(Error{ErrorCode::locked, "it is locked", "wait"});
    EXPECT_EQ(value["code"].text(), "locked");
    EXPECT_EQ(value["exit"].integer(), 11);
    EXPECT_TRUE(value["retryable"].boolean());
    EXPECT_EQ(value["hint"].text(), "wait");
}

}    // namespace
}    // namespace holdfast::cli
