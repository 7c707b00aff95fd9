#include "holdfast/db/rdb_writer.hpp"

#include <gtest/gtest.h>

#include "holdfast/db/rdb.hpp"

namespace holdfast::db {
namespace {

using namespace std::string_literals;

TEST(RdbWriter, MakesAnRdbOfParts) {
    const auto folder = os::TempFolder::create("hf-rdb-writer-");
    ASSERT_TRUE(folder);
    const std::string path = folder->path() + "/rdb", large(3 << 20, 'x');
    auto writer = RdbWriter::create(path, 10);
    ASSERT_TRUE(writer);
    const auto write = [&](const std::string& part) { EXPECT_TRUE(writer->write(as_bytes(part))); };
    write("\xfe\x00"s + "\x00\x01"s + "a" + "\x01"s + "1");
    EXPECT_TRUE(writer->select(300));
    write("\x00\x01"s + "b" + "\x80\x00\x30\x00\x00"s + large);    // 3 MiB, more than is held back
    EXPECT_TRUE(writer->select(0));
    write("\x00\x01"s + "c" + "\x01"s + "3");
    ASSERT_TRUE(writer->finish());
    const auto summary = read_rdb_file(path);
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_TRUE(summary->has_checksum);
    EXPECT_EQ(summary->databases.at(0).keys, 2u);
    EXPECT_EQ(summary->databases.at(300).keys, 1u);
}

}    // namespace
}    // namespace holdfast::db
