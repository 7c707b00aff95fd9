// States kept while another process writes: each must be one that was acknowledged, whatever happened meanwhile.

#include "holdfast/source/duckdb_keeper.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/testing/duckdb_writer.hpp"

namespace holdfast::source {
namespace {

using namespace std::chrono_literals;
using testing::DuckDbWriter;
using ::testing::HasSubstr;
using Kind = DuckDbKeeper::Taken::Kind;

class KeptDuckDb : public ::testing::Test {
protected:
    // Expects that the state opens, keeps the writer's invariants, and lacks nothing that was acknowledged `before`.
    void expect_whole(const DuckDbState& state, const std::map<int, std::int64_t>& before, std::string_view what) {
        const auto written = states_.write(state, copy_, false);
        ASSERT_TRUE(written) << what << ": " << written.error().message;
        EXPECT_EQ(os::exists(copy_ + ".wal"), state.commits > 0);
        const auto lanes = testing::check_writer_copy(copy_);
        ASSERT_TRUE(lanes) << what << " " << state.name() << ": " << lanes.error().message;
        for (const auto& [lane, sequence] : before)
            EXPECT_GE(lanes->contains(lane) ? lanes->at(lane) : 0, sequence) << what << " " << state.name();
        remove_copy();
    }
    void remove_copy() {
        for (const char* suffix : {"", ".wal"}) (void)os::remove_tree(copy_ + suffix);
    }
    std::unique_ptr<DuckDbKeeper> keeper(Duration keep = 1h) {
        auto made =
            DuckDbKeeper::open({.path = file_, .folder = states_.folder(), .keep = keep, .scratch = {}}, clock_);
        EXPECT_TRUE(made) << made.error().message;
        return made ? *std::move(made) : nullptr;
    }
    // The database as it lies there, in the same bytes.
    void expect_as_the_file_is(const DuckDbState& state) {
        ASSERT_TRUE(states_.write(state, copy_, false));
        EXPECT_TRUE(*os::read_file(copy_) == *os::read_file(file_));
        remove_copy();
    }
    std::uint64_t bytes_kept() {
        std::uint64_t sum = 0;
        const auto names = *os::list_folder(states_.folder());
        for (const std::string& name : names)
            sum += static_cast<std::uint64_t>(os::status_of(states_.folder() + "/" + name)->st_size);
        return sum;
    }
    void change_byte(const std::string& path, std::size_t at) {
        Bytes bytes = *os::read_file(path);
        ASSERT_LT(at, bytes.size());
        bytes[at] ^= std::byte{0x40};
        ASSERT_TRUE(os::write_file(path, bytes));
    }

    os::TempFolder folder_ = *os::TempFolder::create("hf-duckdb-keeper-");
    os::SystemClock clock_;
    std::string file_ = folder_.path() + "/live.duckdb";
    std::string copy_ = folder_.path() + "/copy.duckdb";
    DuckDbStates states_{duckdb_states_folder(file_)};
};

struct Load {
    const char* name;
    DuckDbWriter::Load kind;
    std::vector<std::string> settings;
};
void PrintTo(const Load& load, std::ostream* out) { *out << load.name; }

class BusyDuckDb : public KeptDuckDb, public ::testing::WithParamInterface<Load> {};

// DD-10, DD-02, DD-03, MT-03, EA-10, HA-08: a writer that never stops, and a state every few milliseconds.
TEST_P(BusyDuckDb, EachStateIsOneThatWasAcknowledged) {
    auto writer = DuckDbWriter::start(file_, GetParam().kind, GetParam().settings);
    ASSERT_TRUE(writer) << writer.error().message;
    auto keeping = keeper();
    ASSERT_TRUE(keeping);
    std::mt19937 random(7);
    std::map<Kind, unsigned> kinds;
    std::vector<std::pair<DuckDbState, std::map<int, std::int64_t>>> all;
    for (unsigned i = 0; i < 60; ++i) {
        if (i % 3 == 2) {    // a keeper that was just started reads every block, whatever is going on
            keeping.reset();
            keeping = keeper();
            ASSERT_TRUE(keeping);
        }
        const auto before = writer->acknowledged();
        const auto taken = keeping->take();
        if (!taken && taken.error().code == ErrorCode::changed) continue;    // no quiet moment: the next one will do
        ASSERT_TRUE(taken) << taken.error().message;
        ++kinds[taken->kind];
        all.emplace_back(taken->state, before);
        clock_.sleep(std::chrono::milliseconds(random() % 30));
    }
    EXPECT_GE(all.size(), 50u);
    EXPECT_GT(kinds[Kind::log], 0u);
    EXPECT_GT(kinds[Kind::blocks], 0u);
    writer->kill();
    for (const auto& [state, before] : all) expect_whole(state, before, "as told");
    // Any commit in between is a state, too.
    const auto kept = states_.list();
    ASSERT_TRUE(kept);
    for (unsigned i = 0; i < 10; ++i) {
        const KeptStates& one = kept->states[random() % kept->states.size()];
        const std::uint64_t first = one.frames.front().commits;
        expect_whole({one.generation.number, first + random() % (one.commits() - first + 1), {}}, {}, "in between");
    }
}

INSTANTIATE_TEST_SUITE_P(
    Loads, BusyDuckDb,
    ::testing::Values(Load{"Mixed", DuckDbWriter::Load::mixed, {"checkpoint_threshold=200KB"}},
                      Load{"MixedGrown", DuckDbWriter::Load::mixed, {"checkpoint_threshold=4MB", "ballast_mib=32"}},
                      Load{"Inserts", DuckDbWriter::Load::inserts, {"checkpoint_threshold=50KB"}},
                      Load{"InsertsV15",
                           DuckDbWriter::Load::inserts,
                           {"checkpoint_threshold=50KB", "storage_compatibility_version=v1.5.0"}}),
    [](const auto& load) { return std::string(load.param.name); });

constexpr const char* k_big =
    "CREATE TABLE t AS SELECT i, hash(i) AS h, hash(i + 1) AS g FROM range(1500000) r(i); CHECKPOINT";

// DD-02: the cost follows what changed.
TEST_F(KeptDuckDb, StoresWhatChangedAndNothingElse) {
    ASSERT_TRUE(testing::run_duckdb(file_, k_big));
    const auto keeping = keeper();
    const auto first = keeping->take();
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(first->kind, Kind::blocks);
    EXPECT_GT(first->blocks, 60u);
    const std::uint64_t kept = bytes_kept();
    for (int i = 0; i < 3; ++i) {
        const auto same = keeping->take();
        ASSERT_TRUE(same);
        EXPECT_EQ(same->kind, Kind::nothing);
        EXPECT_EQ(same->state.name(), first->state.name());
    }
    EXPECT_EQ(bytes_kept(), kept);
    ASSERT_TRUE(testing::run_duckdb(file_, "UPDATE t SET g = 1 WHERE i BETWEEN 700000 AND 715000; CHECKPOINT"));
    const auto second = keeping->take();
    ASSERT_TRUE(second);
    EXPECT_EQ(second->kind, Kind::blocks);
    EXPECT_LT(second->blocks, first->blocks / 4);
    expect_as_the_file_is(second->state);
    // Both can be had, and so after a restart of the keeper, which stores nothing anew.
    ASSERT_TRUE(states_.write(first->state, copy_, false));
    remove_copy();
}

TEST_F(KeptDuckDb, ACommitCostsItsBytes) {
    auto writer = DuckDbWriter::start(file_, DuckDbWriter::Load::mixed, {"checkpoint_threshold=1GB", "ballast_mib=32"});
    ASSERT_TRUE(writer);
    const auto keeping = keeper();
    unsigned logs = 0;
    for (unsigned i = 0; i < 40; ++i) {
        const auto taken = keeping->take();
        ASSERT_TRUE(taken) << taken.error().message;
        if (taken->kind != Kind::log) continue;
        ++logs;
        EXPECT_LT(taken->bytes, 4u << 20);
        EXPECT_EQ(taken->blocks, 0u);
    }
    EXPECT_GT(logs, 0u);
}

// A log begins with an entry of its own, which may be there before the first commit is.
TEST_F(KeptDuckDb, ALogThatHasOnlyBegunIsTakenWithItsBeginning) {
    auto writer = DuckDbWriter::start(file_, DuckDbWriter::Load::mixed, {"checkpoint_threshold=1GB"});
    ASSERT_TRUE(writer);
    writer->kill();
    const Bytes log = *os::read_file(file_ + ".wal");
    const std::uint64_t begin = *db::duckdb_log_size(log, 0, file_), half = *db::duckdb_log_size(log, 12, file_);
    const auto keeping = keeper();
    DuckDbState state;
    for (const std::uint64_t size : {begin, begin + 5, half, half + 20, log.size()}) {
        const os::Fd fd = *os::open_file(file_ + ".wal", O_WRONLY);
        ASSERT_TRUE(os::write_all(fd.get(), ByteView(log).first(size)));
        ASSERT_EQ(::ftruncate(fd.get(), static_cast<off_t>(size)), 0);
        const auto taken = keeping->take();
        ASSERT_TRUE(taken) << taken.error().message;
        EXPECT_EQ(taken->state.generation, 1u);
        state = taken->state;
    }
    expect_whole(state, {}, "all of it");
    expect_whole({1, 12, {}}, {}, "twelve commits");
}

// DuckDB's own block checksum does not see the order of words: ours must.
TEST_F(KeptDuckDb, SeesTwoSwappedWordsInABlock) {
    ASSERT_TRUE(testing::run_duckdb(file_, k_big));
    const auto keeping = keeper();
    ASSERT_TRUE(keeping->take());
    Bytes bytes = *os::read_file(file_);
    const std::size_t at = db::k_duckdb_headers_size + 5 * 262144 + 4096;
    std::swap_ranges(bytes.begin() + at, bytes.begin() + at + 8, bytes.begin() + at + 64);
    ASSERT_TRUE(os::write_file(file_, bytes));
    ASSERT_TRUE(testing::run_duckdb(file_, "CREATE TABLE u AS SELECT 1; CHECKPOINT"));
    const auto taken = keeping->take();
    ASSERT_TRUE(taken);
    expect_as_the_file_is(taken->state);
}

TEST_F(KeptDuckDb, ARestartedKeeperGoesOnFromWhatIsThere) {
    ASSERT_TRUE(testing::run_duckdb(file_, k_big));
    const auto first = keeper()->take();
    ASSERT_TRUE(first);
    const auto again = keeper()->take();
    ASSERT_TRUE(again);
    EXPECT_EQ(again->kind, Kind::blocks);
    EXPECT_EQ(again->blocks, 0u);
    EXPECT_GT(again->state.generation, first->state.generation);
    expect_as_the_file_is(again->state);
}

TEST_F(KeptDuckDb, OneKeeperForADatabase) {
    ASSERT_TRUE(testing::run_duckdb(file_, k_big));
    const auto one = keeper();
    const auto other = DuckDbKeeper::open({.path = file_, .folder = states_.folder(), .scratch = {}}, clock_);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, ErrorCode::locked);
}

TEST_F(KeptDuckDb, AnotherFileInItsPlaceIsAnotherGeneration) {
    ASSERT_TRUE(testing::run_duckdb(file_, k_big));
    const auto keeping = keeper();
    ASSERT_TRUE(keeping->take());
    Bytes bytes = *os::read_file(file_);
    bytes.back() ^= std::byte{1};    // in the last block: the headers are the same
    ASSERT_TRUE(os::write_file(file_, bytes));
    const auto taken = keeping->take();
    ASSERT_TRUE(taken);
    expect_as_the_file_is(taken->state);
}

// The last verified state never expires; all others do, and their files go.
TEST_F(KeptDuckDb, ExpiresAllButTheNewestAndTheNewestVerified) {
    ASSERT_TRUE(testing::run_duckdb(file_, k_big));
    const auto keeping = keeper(0s);
    const auto first = keeping->take();
    ASSERT_TRUE(first);
    const auto verified = keeping->verify(db::DuckDbCheck::Depth::digest);
    ASSERT_TRUE(verified) << verified.error().message;
    EXPECT_EQ((*verified)["facts"]["tables"].items().at(0)["rows"].natural(), 1500000u);
    DuckDbState last;
    for (int i = 0; i < 6; ++i) {
        ASSERT_TRUE(testing::run_duckdb(file_, fmt::format("UPDATE t SET g = {0} WHERE i % 8 = {0}; CHECKPOINT", i)));
        const auto taken = keeping->take();
        ASSERT_TRUE(taken);
        last = taken->state;
    }
    const auto list = states_.list();
    ASSERT_TRUE(list);
    ASSERT_EQ(list->states.size(), 2u);
    EXPECT_EQ(list->states[0].generation.number, first->state.generation);
    EXPECT_EQ(states_.find_verified()->generation, first->state.generation);
    expect_as_the_file_is(last);
    ASSERT_TRUE(states_.write(first->state, copy_, false));
    remove_copy();
    // The next verified one lets the old one go, and the space that it took.
    ASSERT_TRUE(keeping->verify(db::DuckDbCheck::Depth::count));
    for (int i = 0; i < 24; ++i) {
        ASSERT_TRUE(testing::run_duckdb(file_, fmt::format("UPDATE t SET g = {} WHERE i < 10; CHECKPOINT", i + 10)));
        ASSERT_TRUE(keeping->take());
    }
    EXPECT_EQ(states_.list()->states.size(), 2u);
    EXPECT_LT(bytes_kept(), 4 * static_cast<std::uint64_t>(os::status_of(file_)->st_size));
    EXPECT_FALSE(states_.write(first->state, copy_, false));
}

// DD-01, DD-02, MT-03: by count, however old they are.
TEST_F(KeptDuckDb, TheNewestStatesAndTheNewestVerifiedOnesStayHoweverOldTheyAre) {
    auto keeping = DuckDbKeeper::open(
        {.path = file_, .folder = states_.folder(), .keep = 0s, .keep_last = 3, .keep_verified = 2, .scratch = {}},
        clock_);
    ASSERT_TRUE(keeping) << keeping.error().message;
    const auto numbers = [&] {
        std::vector<std::uint32_t> all;
        const auto kept = states_.list();
        for (const KeptStates& one : kept->states) all.push_back(one.generation.number);
        return all;
    };
    const auto next = [&](int i, bool verify) {
        ASSERT_TRUE(testing::run_duckdb(file_, fmt::format("CREATE TABLE t{} AS SELECT 1 AS i", i)));
        ASSERT_TRUE((*keeping)->take());
        if (verify) {
            ASSERT_TRUE((*keeping)->verify(db::DuckDbCheck::Depth::count));
        }
    };
    for (int i = 1; i <= 9; ++i) next(i, i == 1 || i == 3 || i == 5);
    // 3 and 5 were the last that were verified, 7 to 9 are the newest.
    EXPECT_THAT(numbers(), ::testing::ElementsAre(3u, 5u, 7u, 8u, 9u));
    // A keeper that begins anew knows it from the files.
    keeping->reset();
    keeping = DuckDbKeeper::open(
        {.path = file_, .folder = states_.folder(), .keep = 0s, .keep_last = 2, .keep_verified = 1, .scratch = {}},
        clock_);
    ASSERT_TRUE(keeping);
    next(10, false);
    EXPECT_THAT(numbers(), ::testing::ElementsAre(5u, 9u, 10u));
}

TEST_F(KeptDuckDb, AStateOfATimeIsTheLastOneBeforeIt) {
    ASSERT_TRUE(testing::run_duckdb(file_, k_big));
    const auto keeping = keeper();
    const auto first = keeping->take();
    ASSERT_TRUE(first);
    ASSERT_TRUE(testing::run_duckdb(file_, "DROP TABLE t; CHECKPOINT"));
    const auto second = keeping->take();
    ASSERT_TRUE(second);
    EXPECT_EQ(states_.find(std::optional(second->state.at))->name(), second->state.name());
    EXPECT_EQ(states_.find(std::optional(second->state.at - Duration(1)))->name(), first->state.name());
    EXPECT_EQ(states_.find(std::nullopt)->name(), second->state.name());
    const auto before = states_.find(std::optional(first->state.at - Duration(1)));
    ASSERT_FALSE(before);
    EXPECT_THAT(before.error().message, HasSubstr("the oldest state"));
    EXPECT_EQ(states_.find("99").error().code, ErrorCode::not_found);
    EXPECT_EQ(states_.find("1+7").error().code, ErrorCode::not_found);
    EXPECT_EQ(states_.find("x").error().code, ErrorCode::usage);
}

// MT-18: damage of what is kept never comes back as a state.
TEST_F(KeptDuckDb, NeverGivesOutWhatIsDamaged) {
    auto writer = DuckDbWriter::start(file_, DuckDbWriter::Load::mixed, {"checkpoint_threshold=1GB", "ballast_mib=2"});
    ASSERT_TRUE(writer);
    const auto keeping = keeper();
    DuckDbState state;
    for (int i = 0; i < 5; ++i) {
        const auto taken = keeping->take();
        ASSERT_TRUE(taken);
        state = taken->state;
        clock_.sleep(20ms);
    }
    writer->kill();
    ASSERT_GT(state.commits, 0u);
    expect_whole(state, {}, "undamaged");
    ASSERT_TRUE(states_.write(state, copy_, false));
    const Bytes file = *os::read_file(copy_), log = *os::read_file(copy_ + ".wal");
    std::mt19937 random(3);
    for (const char* suffix : {".blocks", ".log"}) {
        const std::string path = generation_file(states_.folder(), state.generation, suffix);
        const std::size_t size = os::read_file(path)->size();
        for (int i = 0; i < 60; ++i) {
            const std::size_t at = i < 20 ? size - 1 - random() % 64 : random() % size;
            change_byte(path, at);
            remove_copy();
            // Padding that nothing uses may differ; what comes out must not.
            if (states_.write(state, copy_, false)) {
                EXPECT_TRUE(*os::read_file(copy_) == file && *os::read_file(copy_ + ".wal") == log)
                    << suffix << " " << at;
            }
            change_byte(path, at);
        }
    }
    // A keeper that learns of it stores every block anew.
    const std::string blocks = generation_file(states_.folder(), state.generation, ".blocks");
    change_byte(blocks, 5000);
    const auto verified = keeping->verify(db::DuckDbCheck::Depth::count);
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().code, ErrorCode::corrupt);
    const auto anew = keeping->take();
    ASSERT_TRUE(anew);
    EXPECT_GT(anew->blocks, 0u);
    EXPECT_GT(anew->state.generation, state.generation);
    EXPECT_TRUE(keeping->verify(db::DuckDbCheck::Depth::digest));
}

}    // namespace
}    // namespace holdfast::source
