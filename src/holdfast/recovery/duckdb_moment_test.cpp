// A DuckDB database as it was between two backups, out of the later one.

#include "holdfast/recovery/duckdb_moment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/capture_fixture_test.hpp"
#include "holdfast/source/duckdb_keeper.hpp"
#include "holdfast/testing/duckdb_writer.hpp"

namespace holdfast::recovery {
namespace {

using namespace std::chrono_literals;
using testing::check_writer_copy;
using testing::DuckDbWriter;
using ::testing::HasSubstr;

class DuckDbMoments : public ::testing::Test {
protected:
    void SetUp() override {
        repository_ = source::make_test_repository(folder_.path() + "/vault", clock_);
        ASSERT_TRUE(repository_);
        config_.name = "live";
        config_.path = file_;
    }
    void back_up() {
        std::optional<source::EarlierCopy> earlier;
        if (!facts_.is_null()) earlier = source::EarlierCopy{snapshot_.snapshot.tree, facts_};
        const auto captured = source::capture_alone(
            *repository_, clock_, "duckdb", folder_.path() + "/scratch",
            [&](source::CaptureContext& context) { return source::capture_duckdb(config_, context); }, earlier);
        ASSERT_TRUE(captured) << captured.error().message;
        facts_ = captured->facts;
        snapshot_ = captured->snapshot;
    }
    // Into a place of its own; what the writer's lanes hold then.
    Result<std::map<int, std::int64_t>> lanes_at(Timestamp time) {
        policy::DuckDbConfig config = config_;
        config.path = folder_.path() + "/then.duckdb";
        HF_DO(os::remove_tree(config.path));
        RestoreContext context{*repository_,
                               snapshot_,
                               facts_,
                               clock_,
                               "duckdb",
                               folder_.path() + "/scratch",
                               WhenExisting::refuse,
                               [](std::string_view) {}};
        context.time = time;
        HF_TRY([[maybe_unused]] const auto plan, plan_duckdb(config, context));
        HF_TRY([[maybe_unused]] const auto restored, restore_duckdb(config, context));
        EXPECT_FALSE(os::exists(config.path + ".wal"));    // one file, as any restore leaves it
        return check_writer_copy(config.path);
    }

    os::SystemClock clock_;
    os::TempFolder folder_ = *os::TempFolder::create("hf-duckdb-moments-");
    const std::string file_ = folder_.path() + "/live.duckdb";
    std::unique_ptr<vault::Repository> repository_;
    policy::DuckDbConfig config_;
    vault::SnapshotEntry snapshot_;
    json::Value facts_;
};

// DD-02, DD-03, DD-08
TEST_F(DuckDbMoments, AnyMomentBetweenTwoBackupsComesBack) {
    auto writer = DuckDbWriter::start(file_, DuckDbWriter::Load::mixed, {"checkpoint_threshold=1MB"});
    ASSERT_TRUE(writer) << writer.error().message;
    auto keeping = source::DuckDbKeeper::open(
        {.path = file_, .folder = source::duckdb_states_folder(file_), .scratch = {}}, clock_);
    ASSERT_TRUE(keeping);
    ASSERT_TRUE((*keeping)->take());
    ASSERT_TRUE((*keeping)->verify(db::DuckDbCheck::Depth::count));
    back_up();
    struct Moment {
        std::map<int, std::int64_t> before, after;    // acknowledged
        Timestamp at;
    };
    std::vector<Moment> moments;
    for (unsigned looks = 0; looks < 200 && moments.size() < 24; ++looks) {
        Moment moment;
        moment.before = writer->acknowledged();
        const auto taken = (*keeping)->take();
        if (!taken && taken.error().code == ErrorCode::changed) continue;
        ASSERT_TRUE(taken) << taken.error().message;
        moment.at = taken->state.at;
        clock_.sleep(20ms);
        if (taken->kind == source::DuckDbKeeper::Taken::Kind::nothing) continue;
        moment.after = writer->acknowledged();
        moments.push_back(std::move(moment));
    }
    ASSERT_GE(moments.size(), 10u);
    writer->kill();
    ASSERT_TRUE((*keeping)->take());
    ASSERT_TRUE((*keeping)->verify(db::DuckDbCheck::Depth::count));
    back_up();
    const auto last = check_writer_copy(file_);
    ASSERT_TRUE(last) << last.error().message;
    ASSERT_GE(facts_["states"]["moments"].natural(), moments.size());
    for (std::size_t i = 0; i < moments.size(); i += 4) {
        const auto then = lanes_at(moments[i].at);
        ASSERT_TRUE(then) << then.error().message;
        for (const auto& [lane, sequence] : moments[i].before) EXPECT_GE(then->at(lane), sequence) << i;
        EXPECT_LT(then->at(0), last->at(0)) << i;    // and not the newest
    }
    // Just before a moment is the one before it.
    const auto earlier = lanes_at(Timestamp{moments[8].at.nanoseconds - 1});
    ASSERT_TRUE(earlier) << earlier.error().message;
    EXPECT_LE(earlier->at(0), lanes_at(moments[8].at)->at(0));
    EXPECT_GE(earlier->at(0), moments[7].before.at(0));

    const auto too_early = lanes_at(Timestamp{clock_.now().nanoseconds - 3'600'000'000'000});
    ASSERT_FALSE(too_early);
    EXPECT_EQ(too_early.error().code, ErrorCode::not_found);
    EXPECT_THAT(too_early.error().message, HasSubstr("the first moment of live in snapshot"));
}

TEST_F(DuckDbMoments, ASnapshotWithoutMomentsSaysSo) {
    ASSERT_TRUE(testing::run_duckdb(file_, "CREATE TABLE t AS SELECT 1 AS i"));
    back_up();
    const auto moment = find_duckdb_moment(*repository_, snapshot_, "duckdb", "live", clock_.now());
    ASSERT_FALSE(moment);
    EXPECT_EQ(moment.error().code, ErrorCode::not_found);
    EXPECT_THAT(moment.error().hint, HasSubstr("holdfast duckdb watch"));
}

}    // namespace
}    // namespace holdfast::recovery
