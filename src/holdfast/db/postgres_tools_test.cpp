#include "holdfast/db/postgres_tools.hpp"

#include <gmock/gmock.h>

#include "holdfast/os/file.hpp"

namespace holdfast::db {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

TEST(PostgresTool, MatchesTheServersMajorVersion) {
    const auto tool = find_postgres_tool("pg_dump", 15, "");
    ASSERT_TRUE(tool) << tool.error().message;
    EXPECT_EQ(tool->major, 15);
    EXPECT_EQ(tool->path, "/usr/lib/postgresql/15/bin/pg_dump");
    EXPECT_TRUE(tool->version.starts_with("15."));
}

TEST(PostgresTool, ThatIsTooOldIsUnsupportedWithWhatToInstall) {
    const auto tool = find_postgres_tool("pg_dump", 99, "");
    ASSERT_FALSE(tool);
    EXPECT_EQ(tool.error().code, ErrorCode::unsupported);
    EXPECT_THAT(tool.error().message, HasSubstr("version 15."));
    EXPECT_THAT(tool.error().hint, HasSubstr("postgresql-client-99"));
}

TEST(PostgresTool, IsLookedForOnlyInTheFolderThatIsNamed) {
    const auto folder = os::TempFolder::create("bin");
    ASSERT_TRUE(folder);
    EXPECT_FALSE(find_postgres_tool("pg_dump", 15, folder->path()));
    EXPECT_TRUE(find_postgres_tool("pg_dump", 15, "/usr/lib/postgresql/15/bin"));
}

TEST(PostgresTool, TakesANewerOneThanTheServer) {
    const auto folder = os::TempFolder::create("bin");
    const std::string script = "#!/bin/sh\necho 'pg_dump (PostgreSQL) 17.2'\n";
    ASSERT_TRUE(os::write_file(folder->path() + "/pg_dump", as_bytes(script), 0755));
    const auto tool = find_postgres_tool("pg_dump", 15, folder->path());
    ASSERT_TRUE(tool) << tool.error().message;
    EXPECT_EQ(tool->version, "17.2");
    EXPECT_EQ(tool->major, 17);
}

TEST(PostgresTool, GetsItsPasswordByTheEnvironmentAndNotInArguments) {
    const auto command =
        postgres_command({"/x/pg_dump", "15.20", 15}, {"h", 5433, "u", "d"}, Secret("hunter2"), {"--list"});
    EXPECT_THAT(command.arguments, Not(Contains(HasSubstr("hunter2"))));
    EXPECT_THAT(command.environment, Contains(Pair("PGPASSWORD", "hunter2")));
    EXPECT_EQ(command.arguments.back(), "--list");
}

TEST(PostgresTool, FailuresThatHaveARemedyAreKnown) {
    os::ExitStatus one;
    one.code = 1;
    EXPECT_EQ(postgres_tool_error("pg_restore", one, "could not extend file: No space left on device").code,
              ErrorCode::disk_full);    // NS-17
    EXPECT_EQ(postgres_tool_error("pg_dump", one, "ERROR:  permission denied for table t").code, ErrorCode::denied);
    EXPECT_EQ(postgres_tool_error("pg_dump", one, "canceling statement due to lock timeout").code, ErrorCode::changed);
    EXPECT_EQ(postgres_tool_error("pg_dump", one, "server closed the connection").code, ErrorCode::store);
}

}    // namespace
}    // namespace holdfast::db
