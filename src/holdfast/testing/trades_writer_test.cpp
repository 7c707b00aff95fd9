#include "holdfast/testing/trades_writer.hpp"

#include <gmock/gmock.h>

#include "holdfast/os/file.hpp"
#include "holdfast/testing/trades_duckdb.hpp"

namespace holdfast::testing {
namespace {

using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Ne;
using ::testing::SizeIs;

class TradesFile : public ::testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(create_trades_file(path_, 9, 1000)); }
    void run(const std::string& sql) {
        auto db = TradesDuckDb::open(path_);
        ASSERT_TRUE(db);
        const Status done = db->execute(sql);
        ASSERT_TRUE(done) << done.error().message;
    }
    void add_batch(int batch, int rows) {
        run("INSERT INTO executions SELECT " + std::to_string(batch) + "::BIGINT, * FROM (" +
            select_executions(9, 5000 + batch * 100, 5000 + batch * 100 + rows) + ")");
    }
    os::TempFolder folder_ = os::TempFolder::create("trades").value();
    std::string path_ = folder_.path() + "/trades.duckdb";
};

TEST_F(TradesFile, IsProvenBatchByBatch) {
    add_batch(1, 50);
    run("INSERT INTO commits VALUES (1, 50)");
    const auto proof = prove_trades_file(path_);
    ASSERT_TRUE(proof) << proof.error().message;
    ASSERT_THAT(*proof, SizeIs(2));
    EXPECT_THAT((*proof)[0].rows, Eq(1000u));
    EXPECT_THAT((*proof)[1].rows, Eq(50u));
}

TEST_F(TradesFile, WithABatchThatLacksARowIsRefused) {
    add_batch(1, 49);
    run("INSERT INTO commits VALUES (1, 50)");
    const auto proof = prove_trades_file(path_);
    ASSERT_FALSE(proof);
    EXPECT_THAT(proof.error().code, Eq(ErrorCode::mismatch));
    EXPECT_THAT(proof.error().message, HasSubstr("batch 1 is torn"));
}

TEST_F(TradesFile, WithoutTheRowOfACommitIsRefused) {
    add_batch(1, 50);
    const auto proof = prove_trades_file(path_);
    ASSERT_FALSE(proof);
    EXPECT_THAT(proof.error().code, Eq(ErrorCode::mismatch));
}

TEST_F(TradesFile, WithAGapBetweenBatchesIsRefused) {
    add_batch(2, 50);
    run("INSERT INTO commits VALUES (2, 50)");
    ASSERT_FALSE(prove_trades_file(path_));
}

TEST_F(TradesFile, WithOneValueChangedHasAnotherDigest) {
    const auto before = prove_trades_file(path_);
    run("UPDATE executions SET price = price + 1 WHERE id = 500");
    const auto after = prove_trades_file(path_);
    ASSERT_TRUE(before && after);
    EXPECT_THAT((*after)[0].rows, Eq((*before)[0].rows));
    EXPECT_THAT((*after)[0].digest, Ne((*before)[0].digest));
}

TEST(TradesDuckDb, SaysWhatDuckDbSays) {
    const auto folder = os::TempFolder::create("trades").value();
    auto db = TradesDuckDb::open(folder.path() + "/x.duckdb");
    ASSERT_TRUE(db);
    const Status done = db->execute("SELEKT 1");
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().code, Eq(ErrorCode::store));
    EXPECT_THAT(done.error().message, HasSubstr("SELEKT"));
}

}    // namespace
}    // namespace holdfast::testing
