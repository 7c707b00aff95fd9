#include "holdfast/db/postgres_script.hpp"

#include <gmock/gmock.h>

namespace holdfast::db {
namespace {

using ::testing::ElementsAre;
using Kind = GlobalStatement::Kind;

TEST(PostgresScript, SplitsAtSemicolonsOutsideOfQuotesAndComments) {
    const auto statements = split_script(
        "-- it's a comment;\n\nSET a = on;\nCREATE ROLE \"a;\"\"b\";\n"
        "COMMENT ON ROLE x IS 'it''s; two\n-- lines';ALTER ROLE y SET z TO E'\\';';\n");
    ASSERT_TRUE(statements) << statements.error().message;
    EXPECT_THAT(*statements,
                ElementsAre("SET a = on;", "CREATE ROLE \"a;\"\"b\";", "COMMENT ON ROLE x IS 'it''s; two\n-- lines';",
                            "ALTER ROLE y SET z TO E'\\';';"));
}

TEST(PostgresScript, BackslashesOfPlainTextDoNotEscape) {
    const auto statements = split_script("COMMENT ON ROLE x IS 'C:\\';SET b = 1;");
    ASSERT_TRUE(statements);
    EXPECT_EQ(statements->size(), 2u);
}

TEST(PostgresScript, RestrictLinesAreNoStatements) {
    const auto statements = split_script("--\n-- dump\n--\n\n\\restrict aB3x\n\nSET a = on;\n\\unrestrict aB3x\n");
    ASSERT_TRUE(statements) << statements.error().message;
    EXPECT_THAT(*statements, ElementsAre("SET a = on;"));
    EXPECT_FALSE(split_script("\\restricted x\n"));
}

TEST(PostgresScript, OfNothingIsNothing) {
    const auto statements = split_script("-- only words\n \n--");
    ASSERT_TRUE(statements);
    EXPECT_TRUE(statements->empty());
}

TEST(PostgresScript, RefusesWhatDoesNotEnd) {
    for (const char* torn :
         {"SET a = on", "COMMENT ON ROLE x IS 'open;\n", "CREATE ROLE \"open;", "\\connect postgres\n"}) {
        const auto statements = split_script(torn);
        ASSERT_FALSE(statements) << torn;
        EXPECT_EQ(statements.error().code, ErrorCode::corrupt);
    }
}

TEST(PostgresGlobals, KnowWhatAStatementIsAbout) {
    const auto expect = [](const char* statement, Kind kind, const char* name) {
        const auto found = classify_global(statement);
        EXPECT_EQ(found.kind, kind) << statement;
        EXPECT_EQ(found.name, name) << statement;
    };
    expect("CREATE ROLE desk;", Kind::create_role, "desk");
    expect("CREATE ROLE \"odd \"\"name;\";", Kind::create_role, "odd \"name;");
    expect("ALTER ROLE desk WITH NOSUPERUSER PASSWORD 'SCRAM-SHA-256$4096:x';", Kind::about_role, "desk");
    expect("COMMENT ON ROLE desk IS 'a';", Kind::about_role, "desk");
    expect("CREATE TABLESPACE fast OWNER desk LOCATION '/x';", Kind::create_tablespace, "fast");
    expect("GRANT CREATE ON TABLESPACE \"f t\" TO desk;", Kind::about_tablespace, "f t");
    expect("REVOKE ALL ON TABLESPACE fast FROM postgres;", Kind::about_tablespace, "fast");
    expect("GRANT pg_read_all_data TO desk GRANTED BY postgres;", Kind::membership, "");
    expect("GRANT \"ON\" TO desk;", Kind::membership, "");
    expect("SET client_encoding = 'UTF8';", Kind::other, "");
    expect("", Kind::other, "");
    expect("CREATE ROLE \"", Kind::create_role, "");
}

}    // namespace
}    // namespace holdfast::db
