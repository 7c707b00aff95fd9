// The journal with its thread, on a real folder.

#include "holdfast/trade/journal.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <random>
#include <set>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::trade {
namespace {

constexpr Duration k_patience = std::chrono::seconds(60);

Journal::Options options(std::uint64_t segment_size = 32 * 1024) {
    Journal::Options made;
    made.log.account = "desk-1";
    made.log.segment_size = segment_size;
    made.log.zero_ahead = 4096;
    made.seal_after = std::chrono::milliseconds(1);
    return made;
}

std::string payload(Sequence sequence) {
    return fmt::format("record {}{}", sequence, std::string(sequence * 37 % 300, 'x'));
}

/// When all before is durable.
Status append_and_wait(Journal& journal, int records) {
    Sequence last = journal.durable();
    for (int i = 0; i < records; ++i) {
        HF_TRY(last, journal.append(as_bytes(payload(last + 1))));
    }
    journal.commit();
    HF_TRY(const bool done, journal.wait(last, k_patience));
    return done ? Status() : fail(ErrorCode::io, "it takes too long");
}

/// All records from `first` on, each with its own content. The last one.
Sequence read_all(const std::string& folder, Sequence first = 1) {
    const auto disk = JournalFolder::look(folder).value();
    auto reader = JournalReader::open(*disk, first);
    EXPECT_TRUE(reader.has_value());
    for (Sequence last = first - 1;;) {
        const auto record = reader->next();
        EXPECT_TRUE(record.has_value()) << record.error().message;
        if (!record || !*record) return last;
        EXPECT_EQ((*record)->sequence, ++last);
        EXPECT_EQ(as_text((*record)->payload), payload(last));
    }
}

class JournalTest : public ::testing::Test {
protected:
    os::TempFolder folder_ = os::TempFolder::create("hf-journal").value();
    std::string path_ = folder_.path() + "/journal";
};

TEST_F(JournalTest, KeepsWhatItSaidToBeDurable) {
    // Requirement: EA-16
    {
        auto journal = Journal::open(path_, options()).value();
        EXPECT_EQ(journal->durable(), 0u);
        ASSERT_TRUE(append_and_wait(*journal, 500).has_value());
        EXPECT_EQ(journal->durable(), 500u);
        EXPECT_EQ(read_all(path_), 500u);
    }
    auto journal = Journal::open(path_, options()).value();
    EXPECT_EQ(journal->durable(), 500u);
    EXPECT_FALSE(journal->recovery().torn_at.has_value());
    ASSERT_TRUE(append_and_wait(*journal, 1).has_value());
    // Written by close(), without a commit.
    ASSERT_TRUE(journal->append(as_bytes(payload(502))).has_value());
    ASSERT_TRUE(journal->close().has_value());
    EXPECT_EQ(read_all(path_), 502u);
    const auto files = os::list_folder(path_).value();
    for (const std::string& name : files) EXPECT_EQ(os::status_of(path_ + '/' + name)->st_mode & 0777, 0600u) << name;
}

TEST_F(JournalTest, HasAnIdentityUntilItIsRestored) {
    // Requirement: HA-05
    const auto open = [&] { return Journal::open(path_, options()).value()->identity(); };
    const auto first = open();
    EXPECT_EQ(first.uuid.size(), 36u);
    EXPECT_EQ(first.first, 1u);
    EXPECT_EQ(open().uuid, first.uuid);
    std::set<std::string> all{first.uuid};
    for (int restore = 0; restore < 2; ++restore) {
        // Over the old folder, in which the old identity still lies.
        ASSERT_TRUE(os::write_file(path_ + "/restored", as_bytes("0\n")).has_value());
        const auto given = open();
        EXPECT_TRUE(all.insert(given.uuid).second) << "no watermark of the old identity counts";
        EXPECT_EQ(open().uuid, given.uuid) << "and all opens until it is settled mean the same one";
        auto journal = Journal::open(path_, options()).value();
        EXPECT_TRUE(journal->recovery().restored);
        ASSERT_TRUE(journal->settle_restored().has_value());
        EXPECT_EQ(journal->identity().uuid, given.uuid);
        journal = nullptr;
        EXPECT_EQ(open().uuid, given.uuid);
    }
    ASSERT_TRUE(os::write_file(path_ + "/identity", as_bytes("something else\n")).has_value());
    const auto damaged = Journal::open(path_, options());
    ASSERT_FALSE(damaged.has_value());
    EXPECT_EQ(damaged.error().code, ErrorCode::corrupt);
}

TEST_F(JournalTest, OneSyncServesAllThatWait) {
    // Requirement: EA-16
    auto journal = Journal::open(path_, options(1 << 20)).value();
    ASSERT_TRUE(append_and_wait(*journal, 1000).has_value());
    ASSERT_TRUE(append_and_wait(*journal, 1000).has_value());
    ASSERT_TRUE(journal->close().has_value());
    // Each record tells what was durable when it was written: there were two writes.
    const auto disk = JournalFolder::look(path_).value();
    auto reader = JournalReader::open(*disk, 1).value();
    std::set<Sequence> synced;
    for (auto record = reader.next(); *record; record = reader.next()) synced.insert((*record)->synced);
    EXPECT_EQ(synced, (std::set<Sequence>{0, 1000}));
}

TEST_F(JournalTest, SealsTheLastRecordsAfterAnIdleMomentAndWhenItCloses) {
    // Requirement: EA-16
    const auto sealed = [&] {
        const auto disk = JournalFolder::look(path_).value();
        auto segment = SegmentReader::open(*disk, 1).value();
        while (segment.next().value()) {
        }
        return segment.synced();
    };
    auto journal = Journal::open(path_, options()).value();
    ASSERT_TRUE(append_and_wait(*journal, 3).has_value());
    const auto give_up = std::chrono::steady_clock::now() + k_patience;
    while (sealed() < 3 && std::chrono::steady_clock::now() < give_up)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(sealed(), 3u);
    ASSERT_TRUE(journal->close().has_value());
    auto patient = options();
    patient.seal_after = std::chrono::hours(1);
    journal = nullptr;
    journal = Journal::open(path_, patient).value();
    const std::string more = payload(4);
    ASSERT_TRUE(journal->append(as_bytes(more)).has_value());
    ASSERT_TRUE(journal->close().has_value());
    EXPECT_EQ(sealed(), 4u);
    EXPECT_EQ(read_all(path_), 4u);
}

TEST_F(JournalTest, IsWrittenByOneProcessAtATime) {
    // Requirement: HA-04
    auto journal = Journal::open(path_, options()).value();
    const auto second = Journal::open(path_, options());
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, ErrorCode::locked);
    EXPECT_NE(second.error().message.find(path_), std::string::npos);
    journal = nullptr;
    EXPECT_TRUE(Journal::open(path_, options()).has_value());
}

TEST_F(JournalTest, IsFollowedByReadersUpToWhatIsDurable) {
    // Requirement: DD-09
    constexpr Sequence k_records = 3000;
    auto journal = Journal::open(path_, options()).value();
    std::vector<std::thread> readers;
    std::atomic<int> whole = 0;
    for (int i = 0; i < 3; ++i)
        readers.emplace_back([&] {
            auto reader = journal->reader(0).value();
            for (Sequence last = 0; last < k_records;) {
                const Sequence durable = journal->durable();
                const auto record = reader.next(durable);
                ASSERT_TRUE(record.has_value()) << record.error().message;
                if (!*record) {
                    ASSERT_EQ(last, durable);
                    ASSERT_TRUE(journal->wait(last + 1, k_patience).has_value());
                    continue;
                }
                ASSERT_EQ((*record)->sequence, ++last);
                ASSERT_EQ(as_text((*record)->payload), payload(last));
            }
            ++whole;
        });
    for (Sequence sequence = 1; sequence <= k_records; ++sequence) {
        ASSERT_EQ(journal->append(as_bytes(payload(sequence))).value(), sequence);
        if (sequence % 7 == 0) journal->commit();
        if (sequence % 500 == 0) {
            ASSERT_TRUE(journal->wait(sequence - 7, k_patience).value());
        }
    }
    journal->commit();
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(whole, 3);
    EXPECT_GT(segments_of(os::list_folder(path_).value()).size(), 5u);
}

TEST_F(JournalTest, TellsWhoeverWaitsByACall) {
    std::atomic<int> calls = 0;
    auto made = options();
    made.on_change = [&] { ++calls; };
    auto journal = Journal::open(path_, made).value();
    ASSERT_TRUE(append_and_wait(*journal, 3).has_value());
    ASSERT_TRUE(journal->close().has_value());
    EXPECT_GE(calls, 1);
}

TEST_F(JournalTest, ReleasesOnlyWhatNoReplayNeeds) {
    // Requirement: EA-16
    auto journal = Journal::open(path_, options()).value();
    ASSERT_TRUE(append_and_wait(*journal, 1000).has_value());
    const auto segments = segments_of(os::list_folder(path_).value());
    ASSERT_GT(segments.size(), 4u);
    // Without a snapshot everything is needed.
    ASSERT_TRUE(journal->release(900).has_value());
    EXPECT_EQ(segments_of(os::list_folder(path_).value()), segments);
    ASSERT_TRUE(journal->save_snapshot(500, as_bytes("five hundred")).has_value());
    ASSERT_TRUE(journal->save_snapshot(900, as_bytes("nine hundred")).has_value());
    ASSERT_TRUE(journal->release(1000).has_value());
    const auto left = segments_of(os::list_folder(path_).value());
    EXPECT_LE(left.front(), 501u);
    EXPECT_LT(left.size(), segments.size());
    EXPECT_EQ(journal->reader(1).error().code, ErrorCode::not_found);
    ASSERT_TRUE(append_and_wait(*journal, 100).has_value());
    ASSERT_TRUE(journal->close().has_value());
    journal = nullptr;

    journal = Journal::open(path_, options()).value();
    const auto found = journal->take_snapshot();
    ASSERT_TRUE(found.snapshot.has_value());
    EXPECT_EQ(found.snapshot->sequence, 900u);
    EXPECT_EQ(as_text(found.snapshot->state), "nine hundred");
    EXPECT_EQ(journal->recovery().last, 1100u);
    EXPECT_EQ(read_all(path_, 501), 1100u);
}

TEST_F(JournalTest, GoesOnWhenAFullDiskHasRoomAgain) {
    // Requirement: EA-16
    ASSERT_TRUE(os::make_folders(path_).has_value());
    ASSERT_EQ(::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=200k"), 0) << "this test mounts: it runs as root";
    {
        auto journal = Journal::open(path_, options(64 * 1024)).value();
        Sequence taken = 0;
        std::optional<Error> refused;
        while (!refused) {
            const auto sequence = journal->append(as_bytes(payload(taken + 1)));
            if (sequence)
                taken = *sequence;
            else
                refused = sequence.error();
            // Slow enough for the journal to learn of the disk in time.
            journal->commit();
            if (taken > 0 && !refused && !journal->trouble()) {
                ASSERT_TRUE(journal->wait(taken, std::chrono::seconds(1)).has_value());
            }
        }
        EXPECT_EQ(refused->code, ErrorCode::disk_full);
        EXPECT_FALSE(journal->failure().has_value());
        EXPECT_EQ(::mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT, "size=4m"), 0);
        // Nothing that was taken is lost, and soon more is taken.
        EXPECT_TRUE(journal->wait(taken, k_patience).value());
        const auto give_up = std::chrono::steady_clock::now() + k_patience;
        for (const Sequence goal = taken + 300; taken < goal && std::chrono::steady_clock::now() < give_up;) {
            const auto sequence = journal->append(as_bytes(payload(taken + 1)));
            if (sequence)
                taken = *sequence;
            else
                std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        EXPECT_TRUE(journal->close().has_value());
        EXPECT_EQ(read_all(path_), taken);
    }
    EXPECT_EQ(::umount2(path_.c_str(), MNT_DETACH), 0);
}

// Killed from outside or at a crash point: writes, tells what is durable, snapshots, releases.
TEST(JournalChild, Writes) {
    const char* folder = std::getenv("HF_CHILD_JOURNAL");
    const os::TempFolder own = os::TempFolder::create("hf-journal").value();
    auto journal = Journal::open(folder ? folder : own.path(), options(8 * 1024)).value();
    const auto tell = [](std::string_view word, Sequence sequence) {
        const std::string line = fmt::format("{} {}\n", word, sequence);
        ASSERT_EQ(::write(STDOUT_FILENO, line.data(), line.size()), static_cast<ssize_t>(line.size()));
    };
    const int rounds = std::getenv("HF_CHILD_ENDLESS") ? 1'000'000 : 12;
    Sequence last = journal->durable();
    for (int round = 0; round < rounds; ++round) {
        for (int i = 0; i < 8; ++i) last = journal->append(as_bytes(payload(last + 1))).value();
        journal->commit();
        ASSERT_TRUE(journal->wait(last, k_patience).value());
        tell("durable", journal->durable());
        if (round % 4 == 3) {
            ASSERT_TRUE(journal->save_snapshot(last, as_bytes(fmt::format("state {}", last))).has_value());
            tell("snapshot", last);
            ASSERT_TRUE(journal->release(last).has_value());
        }
    }
    ASSERT_TRUE(journal->close().has_value());
}

struct Told {
    Sequence durable = 0, snapshot = 0;
};

Told told(const std::string& output) {
    Told last;
    for (std::size_t at = 0; at < output.size();) {
        const std::size_t end = output.find('\n', at);
        if (end == std::string::npos) break;
        const std::string line = output.substr(at, end - at);
        if (line.starts_with("durable ")) last.durable = std::stoull(line.substr(8));
        if (line.starts_with("snapshot ")) last.snapshot = std::stoull(line.substr(9));
        at = end + 1;
    }
    return last;
}

os::Command child(const std::string& folder) {
    os::Command again;
    again.arguments = {os::own_program(), "--gtest_filter=JournalChild.Writes"};
    again.environment = {{"HF_CHILD_JOURNAL", folder}};
    again.without_environment = {"GTEST_OUTPUT"};
    return again;
}

void expect_all_there(const std::string& folder, const Told& told) {
    auto journal = Journal::open(folder, options(8 * 1024));
    ASSERT_TRUE(journal.has_value()) << journal.error().message;
    EXPECT_GE((*journal)->durable(), told.durable);
    const auto found = (*journal)->take_snapshot();
    EXPECT_TRUE(found.passed_over.empty());
    const Sequence snapshot = found.snapshot ? found.snapshot->sequence : 0;
    EXPECT_GE(snapshot, told.snapshot);
    if (found.snapshot) {
        EXPECT_EQ(as_text(found.snapshot->state), fmt::format("state {}", snapshot));
    }
    EXPECT_LE((*journal)->recovery().first, snapshot + 1);
    EXPECT_EQ(read_all(folder, (*journal)->recovery().first), (*journal)->durable());
    // And it works on.
    const Sequence next = (*journal)->append(as_bytes(payload((*journal)->durable() + 1))).value();
    (*journal)->commit();
    EXPECT_TRUE((*journal)->wait(next, k_patience).value());
}

TEST_F(JournalTest, LosesNothingWhenKilledAtAnyStep) {
    // Requirement: EA-16
    int kills = 0;
    bool ended = false;
    for (int count = 1; !ended && count < 1000 && !HasFailure(); ++count) {
        SCOPED_TRACE(fmt::format("place {}", count));
        const std::string folder = fmt::format("{}/{}", folder_.path(), count);
        os::Command again = child(folder);
        again.environment.emplace_back("HOLDFAST_CRASH_POINT", fmt::format("*:{}", count));
        const auto run = os::run(std::move(again));
        ASSERT_TRUE(run.has_value());
        ended = run->status.ok();
        kills += run->status.signal == SIGKILL;
        ASSERT_TRUE(ended || run->status.signal == SIGKILL) << run->status.text() << run->output << run->errors;
        expect_all_there(folder, told(run->output));
    }
    EXPECT_TRUE(ended);
    EXPECT_GT(kills, 30);
}

TEST_F(JournalTest, LosesNothingWhenKilledAtAnyMoment) {
    // Requirement: EA-16
    std::mt19937 random(7);
    for (int round = 0; round < 20 && !HasFailure(); ++round) {
        SCOPED_TRACE(fmt::format("round {}", round));
        os::Command again = child(path_);
        again.environment.emplace_back("HF_CHILD_ENDLESS", "1");
        auto process = os::Process::start(again).value();
        // After some acknowledgements, in the middle of whatever comes then.
        std::string output;
        std::array<std::byte, 4096> some;
        const std::size_t enough = 1 + random() % 400;
        while (output.size() < enough || told(output).durable == 0) {
            const auto n = os::read_some(process.output(), some);
            ASSERT_TRUE(n.has_value() && *n > 0) << output;
            output += as_text(ByteView(some).first(*n));
        }
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
        process.kill(SIGKILL);
        for (;;) {
            const auto n = os::read_some(process.output(), some);
            if (!n || *n == 0) break;
            output += as_text(ByteView(some).first(*n));
        }
        ASSERT_EQ(process.wait(k_patience)->signal, SIGKILL);
        expect_all_there(path_, told(output));
    }
}

}    // namespace
}    // namespace holdfast::trade
