// A keeper killed at each of its steps, and an owner killed while it is copied: what was told is there, and nothing half.

#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>

#include <cstdlib>
#include <thread>

#include "holdfast/db/duckdb_library.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/source/duckdb_keeper.hpp"
#include "holdfast/testing/duckdb_writer.hpp"

namespace holdfast::source {
namespace {

using namespace std::chrono_literals;

std::string file_in(const std::string& folder) { return folder + "/x.duckdb"; }

void note(const std::string& folder, const std::string& line) {
    const auto file = os::open_file(folder + "/told", O_WRONLY | O_CREAT | O_APPEND);
    ASSERT_TRUE(file && os::write_all(file->get(), as_bytes(line + "\n")));
}

// What the test below kills. With no time to keep, each step of expiry comes up, too.
TEST(DuckDbKeeperChild, Keeps) {
    const char* named = std::getenv("HF_CHILD_DUCKDB");
    const os::TempFolder own = os::TempFolder::create("hf-duckdb-").value();
    const std::string folder = named ? named : own.path(), file = file_in(folder);
    os::SystemClock clock;
    const auto keeper =
        DuckDbKeeper::open({.path = file, .folder = duckdb_states_folder(file), .keep = 0s, .scratch = {}}, clock);
    if (!named) return;
    ASSERT_TRUE(keeper) << keeper.error().message;
    for (int i = 1; i <= 6; ++i) {
        // Commits in the log, and every other time a checkpoint.
        ASSERT_TRUE(testing::run_duckdb(
            file, fmt::format("PRAGMA disable_checkpoint_on_shutdown; INSERT INTO t SELECT {} FROM range(1000); {}", i,
                              i % 3 == 0 ? "CHECKPOINT" : "")));
        const auto taken = (*keeper)->take();
        ASSERT_TRUE(taken) << taken.error().message;
        note(folder, fmt::format("{} {}", taken->state.name(), i));
        if (i == 4) {
            ASSERT_TRUE((*keeper)->verify(db::DuckDbCheck::Depth::count));
            note(folder, fmt::format("verified {} {}", taken->state.name(), i));
        }
    }
}

std::string rows_of(const std::string& file) {
    auto database = db::DuckDb::open(file, db::DuckDb::Mode::read_only);
    if (!database) return database.error().message;
    const auto rows = database->query("SELECT count(*), max(i) FROM t");
    return rows ? rows->rows[0][0].value_or("") + "/" + rows->rows[0][1].value_or("") : rows.error().message;
}

TEST(DuckDbKeeperCrash, WhatWasToldIsThereAtEveryStep) {    // DD-03, DD-10
    const os::TempFolder scratch = os::TempFolder::create("hf-duckdb-").value();
    const std::string first = file_in(scratch.path());
    ASSERT_TRUE(testing::run_duckdb(first, "CREATE TABLE t AS SELECT 0 AS i FROM range(1000); CHECKPOINT"));
    int kills = 0;
    bool ended = false;
    for (int count = 1; !ended && count < 200 && !HasFailure(); ++count) {
        SCOPED_TRACE(fmt::format("place {}", count));
        const std::string folder = fmt::format("{}/{}", scratch.path(), count);
        ASSERT_TRUE(os::make_folders(folder));
        ASSERT_TRUE(os::write_file(file_in(folder), os::read_file(first).value()));
        os::Command again;
        again.arguments = {os::own_program(), "--gtest_filter=DuckDbKeeperChild.Keeps"};
        again.environment = {{"HF_CHILD_DUCKDB", folder}, {"HOLDFAST_CRASH_POINT", fmt::format("*:{}", count)}};
        again.without_environment = {"GTEST_OUTPUT"};
        const auto run = os::run(std::move(again));
        ASSERT_TRUE(run.has_value());
        ended = run->status.ok();
        kills += run->status.signal == SIGKILL;
        ASSERT_TRUE(ended || run->status.signal == SIGKILL) << run->status.text() << run->output << run->errors;

        const DuckDbStates states(duckdb_states_folder(file_in(folder)));
        const auto list = states.list();
        ASSERT_TRUE(list);
        EXPECT_EQ(list->damaged, 0u);
        // Each state that is listed can be had, and the last one that was told is among them.
        const std::string copy = folder + "/copy.duckdb";
        for (const KeptStates& kept : list->states) {
            ASSERT_TRUE(states.write({kept.generation.number, kept.commits(), {}}, copy, false));
            EXPECT_TRUE(rows_of(copy).find('/') != std::string::npos) << rows_of(copy);
            for (const char* suffix : {"", ".wal"}) (void)os::remove_tree(copy + suffix);
        }
        const std::string told = os::read_text(folder + "/told").value_or("");
        std::string last, verified;
        int rows = 0;
        for (std::size_t at = 0; at < told.size();) {
            const std::size_t end = told.find('\n', at);
            std::string line = told.substr(at, end - at);
            at = end + 1;
            const bool is_verified = line.starts_with("verified ");
            if (is_verified) line = line.substr(9);
            const std::size_t space = line.find(' ');
            (is_verified ? verified : last) = line.substr(0, space);
            if (!is_verified) rows = std::atoi(line.c_str() + space);
        }
        if (!last.empty()) {
            // It, or the one that was being told.
            const auto state = states.find(std::nullopt);
            ASSERT_TRUE(state) << state.error().message << " of " << told;
            ASSERT_TRUE(states.write(*state, copy, false));
            const std::string found = rows_of(copy);
            EXPECT_TRUE(found == fmt::format("{}/{}", 1000 * (rows + 1), rows) ||
                        found == fmt::format("{}/{}", 1000 * (rows + 2), rows + 1))
                << found << " after " << told;
        }
        if (!verified.empty()) {
            EXPECT_TRUE(states.find_verified()) << told;
        }
        // The next keeper goes on.
        os::SystemClock clock;
        const auto keeper =
            DuckDbKeeper::open({.path = file_in(folder), .folder = states.folder(), .keep = 0s, .scratch = {}}, clock);
        ASSERT_TRUE(keeper);
        const auto taken = (*keeper)->take();
        ASSERT_TRUE(taken) << taken.error().message;
        const auto names = os::list_folder(states.folder()).value();
        for (const std::string& name : names) EXPECT_EQ(name.find("-tmp"), name.npos) << name;
    }
    EXPECT_TRUE(ended);
    EXPECT_GE(kills, 10);
}

// A disk that is full, again and again: what was told stays, older states make room, and with room it goes on.
TEST(DuckDbKeeperFullDisk, KeepsTheNewestAndTheVerifiedState) {
    const os::TempFolder folder = os::TempFolder::create("hf-duckdb-").value();
    const std::string file = file_in(folder.path()), copy = folder.path() + "/copy.duckdb";
    const DuckDbStates states(folder.path() + "/states");
    ASSERT_TRUE(os::make_folders(states.folder()));
    ASSERT_EQ(::mount("tmpfs", states.folder().c_str(), "tmpfs", 0, "size=24m"), 0)
        << "this suite mounts: it runs as root";
    const auto unmount = [](const std::string* at) { ::umount2(at->c_str(), MNT_DETACH); };
    const std::unique_ptr<const std::string, decltype(unmount)> mounted(&states.folder(), unmount);
    ASSERT_TRUE(
        testing::run_duckdb(file, "CREATE TABLE t AS SELECT 0 AS i, hash(r) AS h FROM range(500000) x(r); CHECKPOINT"));
    os::SystemClock clock;
    const auto keeper =
        DuckDbKeeper::open({.path = file, .folder = states.folder(), .scratch = folder.path()}, clock).value();
    ASSERT_TRUE(keeper->take());
    const auto verified = keeper->verify(db::DuckDbCheck::Depth::count);
    ASSERT_TRUE(verified) << verified.error().message;
    unsigned full = 0, kept = 0;
    for (int i = 1; i <= 12; ++i) {
        ASSERT_TRUE(testing::run_duckdb(file, fmt::format("UPDATE t SET i = {0}, h = hash(h); CHECKPOINT", i)));
        auto taken = keeper->take();
        if (!taken) {
            ASSERT_EQ(taken.error().code, ErrorCode::disk_full) << taken.error().message;
            ++full;
            taken = keeper->take();    // there is room now
        }
        ASSERT_TRUE(taken) << taken.error().message;
        ++kept;
        ASSERT_TRUE(states.write(taken->state, copy, false));
        EXPECT_EQ(rows_of(copy), fmt::format("500000/{}", i));
        EXPECT_EQ(states.find_verified()->generation, 1u);
    }
    EXPECT_GT(full, 0u);
    EXPECT_EQ(kept, 12u);
}

// DD-08: the owner dies with kill -9 in the middle, again and again; the next one goes on with the same file.
TEST(DuckDbOwnerCrash, AStateTakenWhileTheOwnerIsKilledIsWhole) {
    const os::TempFolder folder = os::TempFolder::create("hf-duckdb-").value();
    const std::string file = file_in(folder.path()), copy = folder.path() + "/copy.duckdb";
    os::SystemClock clock;
    for (int round = 0; round < 12; ++round) {
        SCOPED_TRACE(round);
        const std::string own = fmt::format("{}.{}", file, round);
        auto writer =
            testing::DuckDbWriter::start(own, testing::DuckDbWriter::Load::inserts, {"checkpoint_threshold=50KB"});
        ASSERT_TRUE(writer) << writer.error().message;
        const DuckDbStates kept(duckdb_states_folder(own));
        auto one = DuckDbKeeper::open({.path = own, .folder = kept.folder(), .scratch = {}}, clock);
        ASSERT_TRUE(one);
        std::map<int, std::int64_t> before;
        std::jthread killer([&] {
            clock.sleep(std::chrono::milliseconds(20 + 13 * round));
            before = writer->acknowledged();
            writer->kill();
        });
        for (int i = 0; i < 20; ++i) {
            const auto taken = (*one)->take();
            ASSERT_TRUE(taken || taken.error().code == ErrorCode::changed) << taken.error().message;
        }
        killer.join();
        // What it had acknowledged when it died is in the last state, and DuckDB finds the same when it opens the file itself.
        const auto last = (*one)->take();
        ASSERT_TRUE(last) << last.error().message;
        ASSERT_TRUE(kept.write(last->state, copy, false));
        const auto lanes = testing::check_writer_copy(copy), there = testing::check_writer_copy(own);
        ASSERT_TRUE(lanes && there) << (lanes ? there : lanes).error().message;
        EXPECT_EQ(*lanes, *there);
        for (const auto& [lane, sequence] : before) EXPECT_GE(lanes->contains(lane) ? lanes->at(lane) : 0, sequence);
        for (const char* suffix : {"", ".wal"}) (void)os::remove_tree(copy + suffix);
    }
}

}    // namespace
}    // namespace holdfast::source
