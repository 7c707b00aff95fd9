#include "holdfast/db/redis_log.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "holdfast/db/redis_replica.hpp"

namespace holdfast::db {
namespace {

using ::testing::HasSubstr;

std::string command(std::initializer_list<std::string_view> arguments) {
    std::string text = fmt::format("*{}\r\n", arguments.size());
    for (const std::string_view argument : arguments) text += fmt::format("${}\r\n{}\r\n", argument.size(), argument);
    return text;
}

struct Read {
    std::string file;
    Status status;
};
Read read(RedisLogReader& reader, std::string_view stream, std::size_t piece) {
    Read result;
    for (; !stream.empty() && result.status; stream.remove_prefix(std::min(piece, stream.size())))
        result.status = reader.feed(as_bytes(stream.substr(0, piece)), [&](ByteView kept) -> Status {
            result.file += as_text(kept);
            return {};
        });
    return result;
}

// EA-09
TEST(RedisLog, KeepsCommandsAndLeavesOutWhatOnlyTheLineNeeds) {
    const std::string value = std::string("\0\r\n*1\r\n$4\r\nPING\r\n", 18) + std::string(100'000, 'x');
    const std::string kept = command({"SELECT", "3"}) + command({"SET", "k", value}) + command({"DEL", ""}) +
                             command({"MULTI"}) + command({"SELECT", "1"}) + command({"INCR", "n"}) + command({"EXEC"});
    const std::string stream = command({"PING"}) + command({"SELECT", "3"}) + command({"SET", "k", value}) +
                               command({"REPLCONF", "GETACK", "*"}) + command({"DEL", ""}) + command({"ping"}) +
                               command({"MULTI"}) + command({"SELECT", "1"}) + command({"INCR", "n"}) +
                               command({"EXEC"});
    for (const std::size_t piece : {std::size_t(1), std::size_t(7), std::size_t(4096), stream.size()}) {
        RedisLogReader reader;
        const Read result = read(reader, stream, piece);
        ASSERT_TRUE(result.status) << result.status.error().message;
        EXPECT_TRUE(result.file == kept) << piece;
        EXPECT_TRUE(reader.at_boundary());
        EXPECT_EQ(reader.commands(), 7u);
        EXPECT_EQ(reader.bytes_kept(), kept.size());
        EXPECT_EQ(reader.bytes_read(), stream.size());
        EXPECT_EQ(reader.database(), 1u);
        EXPECT_EQ(reader.database_max(), 3u);
    }
}

TEST(RedisLog, BeginsWithTheDatabaseThatIsSelected) {
    const std::string set = command({"SET", "a", "b"}), transaction = command({"MULTI"}) + set + command({"EXEC"});
    RedisLogReader plain(12), in_transaction(0), chooses(5), quiet(7), unknown, unknown_transaction;
    EXPECT_EQ(read(plain, command({"PING"}) + set + set, 5).file, command({"SELECT", "12"}) + set + set);
    EXPECT_EQ(plain.commands(), 3u);
    EXPECT_EQ(read(in_transaction, transaction, 999).file, command({"SELECT", "0"}) + transaction);
    EXPECT_EQ(read(chooses, command({"SELECT", "2"}) + set, 999).file, command({"SELECT", "2"}) + set);
    EXPECT_EQ(read(quiet, command({"PING"}), 999).file, "");
    EXPECT_EQ(quiet.commands(), 0u);
    EXPECT_EQ(quiet.database(), 7u);
    // Nobody knows it: the file would go into database 0 without a word.
    EXPECT_EQ(read(unknown, set, 999).status.error().code, ErrorCode::unsupported);
    EXPECT_EQ(read(unknown_transaction, transaction, 999).status.error().code, ErrorCode::unsupported);
}

TEST(RedisLog, KnowsWhereAFileMayEnd) {
    const std::string stream =
        command({"SELECT", "0"}) + command({"MULTI"}) + command({"INCR", "n"}) + command({"EXEC"});
    const std::size_t select = command({"SELECT", "0"}).size();
    for (std::size_t cut = 1; cut <= stream.size(); ++cut) {
        RedisLogReader reader;
        ASSERT_TRUE(read(reader, stream.substr(0, cut), 999).status);
        EXPECT_EQ(reader.at_boundary(), cut == select || cut == stream.size()) << cut;
    }
}

TEST(RedisLog, RefusesWhatIsNoStream) {
    for (const std::string_view bad :
         {"+PONG\r\n", "*0\r\n", "*-1\r\n", "*1\n$4\r\nPING\r\n", "*1\r\n:4\r\n", "*1\r\n$-1\r\n", "*1\r\n$3\r\nDELxx",
          "\n*1\r\n", "*99999999999999999999999999999999\r\n", "*1\r\n$9999999999999999\r\n",
          "*2\r\n$6\r\nSELECT\r\n$1\r\nx\r\n", "*1\r\n$6\r\nSELECT\r\n", "*2\r\n$6\r\nSELECT\r\n$30\r\n0",
          "*1\r\n$4\r\nEXEC\r\n", "*1\r\n$5\r\nMULTI\r\n*1\r\n$5\r\nMULTI\r\n"}) {
        RedisLogReader reader(0);
        const Status status = read(reader, bad, 3).status;
        ASSERT_FALSE(status) << bad;
        EXPECT_EQ(status.error().code, ErrorCode::corrupt) << bad;
    }
}

TEST(RedisLog, AnswersOfPsyncAreReadExactly) {
    const std::string id(40, 'a');
    EXPECT_EQ(parse_continue("+CONTINUE"), "");
    EXPECT_EQ(parse_continue("+CONTINUE " + id), id);
    for (const std::string& line : {"+CONTINUE " + id + "b", std::string("+CONTINUED"), "+FULLRESYNC " + id + " 1"})
        EXPECT_FALSE(parse_continue(line)) << line;
}

}    // namespace
}    // namespace holdfast::db
