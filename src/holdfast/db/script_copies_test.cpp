#include "holdfast/db/script_copies.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace holdfast::db {
namespace {

constexpr std::string_view k_rows = "--\n-- Data for Name: x; Type: TABLE DATA; Schema: public; Owner: o\n--\n\n";
const std::string k_script = fmt::format(
    "SET x = 1;\n\n{0}COPY public.child (b, extra, a) FROM stdin;\nCOPY public.child (q) FROM stdin;\t1\t2\n"
    "COPY public.other (q) FROM stdin;\n\\.\n\n{0}COPY public.\"select\" (\"A b\") FROM stdin;\n\\.\n"
    "{0}-- Name: f(); Type: FUNCTION\nCOPY public.other (q) FROM stdin;\n"
    "{0}COPY \"Odd \"\"One\".\"Child\" (x) FROM stdin;\n1\n\\.\nCOPY public.other (q) FROM stdin;\n"
    "{0}COPY public.bare () FROM stdin;\n\n\\.\n",
    k_rows);

void expect_all(const ScriptCopies& copies) {
    EXPECT_EQ(copies.size(), 4u);
    ASSERT_TRUE(copies.find("public", "child"));
    EXPECT_EQ(copies.find("public", "child")->columns, "(b, extra, a)");
    ASSERT_TRUE(copies.find("public", "select"));
    EXPECT_EQ(copies.find("public", "select")->columns, "(\"A b\")");
    ASSERT_TRUE(copies.find("Odd \"One", "Child"));
    EXPECT_EQ(copies.find("Odd \"One", "Child")->table, "\"Odd \"\"One\".\"Child\"");
    ASSERT_TRUE(copies.find("public", "bare"));
    EXPECT_EQ(copies.find("public", "bare")->columns, "");
    EXPECT_FALSE(copies.find("public", "other"));    // a row, a line of a function, and one that nobody announced
    EXPECT_FALSE(copies.find("public", "CHILD"));
}

TEST(ScriptCopies, AreFoundHoweverTheScriptIsCut) {
    for (std::size_t step = 1; step <= k_script.size(); ++step) {
        ScriptCopies copies;
        for (std::size_t at = 0; at < k_script.size(); at += step)
            copies.add(as_bytes(std::string_view(k_script).substr(at, step)));
        expect_all(copies);
    }
}

TEST(ScriptCopies, ALineWithoutEndTakesNoMemory) {
    ScriptCopies copies;
    const std::string much(300 << 10, 'x');
    copies.add(as_bytes(std::string(k_rows) + "COPY public.long ("));
    for (int i = 0; i < 4; ++i) copies.add(as_bytes(much));
    copies.add(as_bytes(") FROM stdin;\n"));
    EXPECT_EQ(copies.size(), 0u);
    copies.add(as_bytes(k_script));
    expect_all(copies);
}

}    // namespace
}    // namespace holdfast::db
