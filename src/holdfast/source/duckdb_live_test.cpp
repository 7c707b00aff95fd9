// A checkpoint put exactly where it hurts: while the log, or the blocks, are taken.

#include "holdfast/source/duckdb_live.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/testing/duckdb_writer.hpp"

namespace holdfast::source {
namespace {

class LiveMoment : public ::testing::Test {
protected:
    void SetUp() override {
        ASSERT_TRUE(
            testing::run_duckdb(file_, "CREATE TABLE t AS SELECT i, hash(i) AS h FROM range(200000) r(i); CHECKPOINT"));
        taker_.log = [&](const db::DuckDbHeaders& headers, const LiveDuckDb::Log&) -> Status {
            iteration_ = headers.iteration;
            if (when_ == When::log) checkpoint();
            return {};
        };
        taker_.blocks = [&](int file, const DuckDbHeaderBytes& start, std::uint64_t size) -> Result<bool> {
            bytes_.assign(start.begin(), start.end());
            bytes_.resize(static_cast<std::size_t>(size));
            const std::size_t half = start.size() + (bytes_.size() - start.size()) / 2;
            const auto part = [&](std::size_t from, std::size_t to) {
                return os::pread_full(file, ByteSpan(bytes_).subspan(from, to - from), from).value_or(0) == to - from;
            };
            if (!part(start.size(), half)) return false;
            if (when_ == When::blocks) checkpoint();
            return part(half, bytes_.size());
        };
    }
    // Once: another process opens the database, changes much of it, and writes its headers anew.
    void checkpoint() {
        when_ = When::never;
        ASSERT_TRUE(testing::run_duckdb(
            file_, "UPDATE t SET h = hash(h); INSERT INTO t SELECT i, i FROM range(100) r(i); CHECKPOINT"));
    }
    void expect_the_file_as_it_is() {
        EXPECT_TRUE(bytes_ == os::read_file(file_).value());
        EXPECT_EQ(iteration_, db::parse_duckdb_headers(bytes_, file_)->iteration);
    }

    enum class When { never, log, blocks } when_ = When::never;
    os::TempFolder folder_ = os::TempFolder::create("hf-duckdb-live-").value();
    os::SystemClock clock_;
    std::string file_ = folder_.path() + "/x.duckdb";
    LiveDuckDb live_{file_, folder_.path() + "/reading", clock_};
    LiveDuckDb::Taker taker_;
    Bytes bytes_;
    std::uint64_t iteration_ = 0;
};

TEST_F(LiveMoment, OneTryIsEnoughWhenNothingHappens) {
    EXPECT_EQ(live_.take(taker_, 5).value_or(0), 1u);
    expect_the_file_as_it_is();
}

TEST_F(LiveMoment, ACheckpointBetweenLogAndBlocksMeansAnotherTry) {    // DD-10
    when_ = When::log;
    EXPECT_EQ(live_.take(taker_, 5).value_or(0), 2u);
    expect_the_file_as_it_is();
}

TEST_F(LiveMoment, ACheckpointAmongTheBlocksMeansAnotherTry) {    // DD-10
    when_ = When::blocks;
    EXPECT_EQ(live_.take(taker_, 5).value_or(0), 2u);
    expect_the_file_as_it_is();
}

TEST_F(LiveMoment, WhenThereIsNoQuietMomentItSaysSo) {
    taker_.blocks = [&, blocks = taker_.blocks](int file, const DuckDbHeaderBytes& start, std::uint64_t size) {
        when_ = When::blocks;
        return blocks(file, start, size);
    };
    const auto taken = live_.take(taker_, 3);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ErrorCode::changed);
}

TEST_F(LiveMoment, ALogUnderOtherHeadersIsNotTaken) {
    const os::Fd fd = os::open_file(file_, O_RDONLY).value();
    const DuckDbHeaderBytes known = LiveDuckDb::read_header_bytes(fd.get()).value();
    bool told = false;
    const auto log = [&](const db::DuckDbHeaders&, const LiveDuckDb::Log&) -> Status {
        told = true;
        return {};
    };
    EXPECT_TRUE(live_.take_log(known, log).value_or(false));
    EXPECT_TRUE(told);
    checkpoint();
    told = false;
    EXPECT_FALSE(live_.take_log(known, log).value_or(true));
    EXPECT_FALSE(told);
}

}    // namespace
}    // namespace holdfast::source
