// The journal on a disk that keeps what was synced and no more: after any crash, what was durable is there, in its order.

#include "holdfast/trade/journal_log.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "holdfast/testing/sim_disk.hpp"
#include "holdfast/trade/journal_reader.hpp"
#include "holdfast/trade/state_snapshot.hpp"

namespace holdfast::trade {
namespace {

using testing::SimDisk;

/// Small enough that segments change all the time.
JournalOptions small_segments() { return {"desk-1", ledger::k_segment_header_size + 2048, 1024, 64 * 1024, 4711}; }

std::string payload(Sequence sequence) {
    return fmt::format("record {}{}", sequence, std::string(sequence * 37 % 300, 'x'));
}

/// Reads all, and expects the sequences from `first` on, each with its own content. The last one.
Sequence read_all(const JournalDisk& disk, Sequence first) {
    auto reader = JournalReader::open(disk, first);
    if (!reader) {
        ADD_FAILURE() << reader.error().message;
        return 0;
    }
    Sequence last = first - 1;
    for (;;) {
        const auto record = reader->next();
        if (!record) {
            ADD_FAILURE() << record.error().message;
            return last;
        }
        if (!*record) return last;
        EXPECT_EQ((*record)->sequence, ++last);
        EXPECT_EQ(as_text((*record)->payload), payload(last));
    }
}

Status write_out(JournalLog& log) {
    while (log.begin()) {
        const auto written = log.write();
        log.finish();
        HF_DO(written);
    }
    return {};
}

/// What one engine does: batches, seals, snapshots and releases, until the power fails or it is done.
struct Engine {
    std::vector<std::string>& said;    // [sequence - 1]; what is not durable in the end is taken back
    int life = 0;
    Sequence acknowledged = 0;    // somebody was told that it is durable

    Status append(JournalLog& log) {
        // The same length in each life, another content: a record of an earlier one fits where it must not be found.
        const std::string record = fmt::format("{:03} {}", life, payload(log.last() + 1));
        HF_TRY(const Sequence sequence, log.append(as_bytes(record)));
        HF_ASSERT(sequence == said.size() + 1);
        said.push_back(record);
        return {};
    }
    Status write(JournalLog& log) {
        const auto written = log.write();
        log.finish();
        acknowledged = log.durable();
        return written;
    }
    Status work(SimDisk& disk, std::mt19937_64& random, int rounds) {
        HF_TRY(const auto found, newest_state_snapshot(disk));
        HF_TRY(const auto log, JournalLog::open(disk, small_segments(), found.snapshot ? found.snapshot->sequence : 0));
        acknowledged = log->durable();
        said.resize(acknowledged);
        for (int round = 0; round < rounds; ++round) {
            for (auto n = random() % 8; n > 0; --n) HF_DO(append(*log));
            if (random() % 2 && log->begin()) {
                // More comes while the batch is written.
                for (auto n = random() % 4; n > 0; --n) HF_DO(append(*log));
                HF_DO(write(*log));
            }
            if (random() % 3 == 0) {
                log->seal();
                while (log->begin()) HF_DO(write(*log));
            }
            if (log->wants_spare() && random() % 2) {
                const auto spare = log->spare();
                log->finish();
                HF_DO(spare);
            }
            if (random() % 6 == 0 && log->durable() > 0) {
                const std::string state = fmt::format("state after {}", log->durable());
                HF_DO(save_state_snapshot(disk, log->durable(), as_bytes(state)));
            }
            if (random() % 6 == 0) {
                HF_TRY(const Sequence unneeded,
                       remove_old_snapshots(disk, random() % 2 ? log->durable() : random() % (log->durable() + 1)));
                for (const std::string& name : log->release(unneeded)) {
                    HF_DO(disk.remove(name));
                    HF_DO(disk.sync_names());
                }
            }
        }
        return {};
    }
};

TEST(JournalLog, KeepsWhatWasAcknowledgedThroughACrashAtAnyCall) {
    // Requirement: EA-16
    int cut = 0, unacknowledged = 0, clean = 0;
    for (std::uint64_t seed = 1; seed <= 1500 && !HasFailure(); ++seed) {
        SCOPED_TRACE(fmt::format("seed {}", seed));
        std::mt19937_64 random(seed);
        SimDisk disk(seed);
        std::vector<std::string> said;
        Sequence acknowledged = 0;
        // Several lives of one journal; the power fails also while it is being opened.
        for (int life = 0; life < 6 && !HasFailure(); ++life) {
            disk.fail_power_after(random() % (life % 2 ? 12 : 120));
            Engine engine{said, life};
            const Status ended = engine.work(disk, random, 30);
            ASSERT_TRUE(ended || ended.error().code == ErrorCode::cancelled) << ended.error().message;
            acknowledged = std::max(acknowledged, engine.acknowledged);
            random() % 3 ? disk.crash() : disk.kill();

            const auto found = newest_state_snapshot(disk);
            ASSERT_TRUE(found.has_value()) << found.error().message;
            EXPECT_TRUE(found->passed_over.empty());
            const Sequence proven = found->snapshot ? found->snapshot->sequence : 0;
            if (found->snapshot) {
                EXPECT_EQ(as_text(found->snapshot->state), fmt::format("state after {}", proven));
            }
            const auto log = JournalLog::open(disk, small_segments(), proven);
            ASSERT_TRUE(log.has_value()) << log.error().message;
            EXPECT_GE((*log)->durable(), acknowledged);
            EXPECT_LE((*log)->durable(), said.size());
            EXPECT_LE((*log)->first(), proven + 1);
            auto reader = JournalReader::open(disk, (*log)->first());
            ASSERT_TRUE(reader.has_value()) << reader.error().message;
            for (Sequence expected = (*log)->first(); expected <= (*log)->durable(); ++expected) {
                const auto record = reader->next();
                ASSERT_TRUE(record.has_value()) << record.error().message;
                ASSERT_TRUE(record->has_value()) << expected;
                ASSERT_EQ(as_text((*record)->payload), said[expected - 1]);
            }
            const auto none = reader->next();
            ASSERT_TRUE(none.has_value()) << none.error().message;
            EXPECT_FALSE(none->has_value());
            cut += (*log)->recovery().torn_at.has_value();
            clean += !(*log)->recovery().torn_at;
            unacknowledged += (*log)->durable() > acknowledged;
            acknowledged = (*log)->durable();
        }
    }
    // The schedules are worth something only if they reach all of this.
    EXPECT_GT(cut, 100);
    EXPECT_GT(clean, 100);
    EXPECT_GT(unacknowledged, 100);
}

TEST(JournalLog, AFailedSyncEndsItAndAcknowledgesNothing) {
    // Requirement: EA-16
    for (std::uint64_t n = 1; n <= 4; ++n) {
        SimDisk disk(n);
        auto log = JournalLog::open(disk, small_segments()).value();
        ASSERT_TRUE(log->append(as_bytes(payload(1))).has_value());
        ASSERT_TRUE(write_out(*log).has_value());
        disk.fail_sync(n);
        Sequence acknowledged = 1;
        Status written;
        while (written) {
            ASSERT_TRUE(log->append(as_bytes(payload(log->last() + 1))).has_value());
            written = write_out(*log);
            acknowledged = log->durable();
        }
        EXPECT_EQ(written.error().code, ErrorCode::io);
        // The second sync would succeed; nobody may believe it.
        EXPECT_FALSE(log->append(as_bytes("more")).has_value());
        EXPECT_FALSE(log->begin());
        ASSERT_TRUE(log->failure().has_value());
        EXPECT_EQ(log->durable(), acknowledged);
        EXPECT_LT(log->durable(), log->last());
        disk.crash();
        log = JournalLog::open(disk, small_segments()).value();
        EXPECT_GE(log->durable(), acknowledged);
        EXPECT_EQ(read_all(disk, 1), log->durable());
    }
}

TEST(JournalLog, SaysThatTheDiskIsFullBeforeItTakesARecordAndGoesOnWithRoom) {
    // Requirement: EA-16
    SimDisk disk(1);
    const std::uint64_t segment = small_segments().segment_size;
    disk.set_room(2 * segment + 100);
    auto log = JournalLog::open(disk, small_segments()).value();
    ASSERT_TRUE(log->spare().has_value());
    log->finish();
    Sequence taken = 0;
    std::optional<Error> refused;
    for (int i = 0; i < 1000 && !refused; ++i) {
        const auto sequence = log->append(as_bytes(payload(taken + 1)));
        if (!sequence) {
            refused = sequence.error();
            break;
        }
        taken = *sequence;
        ASSERT_TRUE(write_out(*log).has_value());
        if (log->wants_spare()) {
            const auto spare = log->spare();
            log->finish();
            EXPECT_FALSE(spare.has_value());
        }
    }
    ASSERT_TRUE(refused.has_value());
    EXPECT_EQ(refused->code, ErrorCode::disk_full);
    EXPECT_FALSE(log->failure().has_value());
    // All that was taken is durable, although the disk is full.
    EXPECT_EQ(log->durable(), taken);
    EXPECT_GT(taken, 10u);

    disk.set_room(3 * segment + 100);
    // Room alone is not enough: it has to be reserved.
    EXPECT_FALSE(log->append(as_bytes(payload(taken + 1))).has_value());
    ASSERT_TRUE(log->spare().has_value());
    log->finish();
    EXPECT_FALSE(log->trouble().has_value());
    EXPECT_EQ(log->append(as_bytes(payload(taken + 1))).value(), taken + 1);
    ASSERT_TRUE(write_out(*log).has_value());
    EXPECT_EQ(log->durable(), taken + 1);
    EXPECT_EQ(read_all(disk, 1), taken + 1);
}

TEST(JournalLog, KeepsABatchThatFoundNoRoomAndWritesItLater) {
    // Requirement: EA-16
    SimDisk disk(1);
    const std::uint64_t segment = small_segments().segment_size;
    disk.set_room(segment + 100);
    auto log = JournalLog::open(disk, small_segments()).value();
    // More than a segment, before anybody could know that there is no second one.
    for (Sequence i = 1; i <= 40; ++i) ASSERT_EQ(log->append(as_bytes(payload(i))).value(), i);
    const auto written = write_out(*log);
    ASSERT_FALSE(written.has_value());
    EXPECT_EQ(written.error().code, ErrorCode::disk_full);
    EXPECT_TRUE(log->stuck());
    const Sequence durable = log->durable();
    EXPECT_GT(durable, 0u);
    EXPECT_LT(durable, 40u);
    EXPECT_EQ(read_all(disk, 1), durable);
    EXPECT_EQ(log->append(as_bytes("more")).error().code, ErrorCode::disk_full);
    EXPECT_FALSE(write_out(*log).has_value());
    EXPECT_EQ(log->durable(), durable);

    disk.set_room(100 * segment);
    ASSERT_TRUE(write_out(*log).has_value());
    EXPECT_EQ(log->durable(), 40u);
    EXPECT_FALSE(log->stuck());
    EXPECT_EQ(log->append(as_bytes(payload(41))).value(), 41u);
    ASSERT_TRUE(write_out(*log).has_value());
    EXPECT_EQ(read_all(disk, 1), 41u);
}

TEST(JournalLog, RefusesDamageInWhatHadBeenDurable) {
    // Requirement: EA-16
    SimDisk disk(1);
    {
        auto log = JournalLog::open(disk, small_segments()).value();
        for (Sequence i = 1; i <= 30; ++i) {
            ASSERT_TRUE(log->append(as_bytes(payload(i))).has_value());
            ASSERT_TRUE(write_out(*log).has_value());
        }
        EXPECT_TRUE(log->needs_seal());
        ASSERT_TRUE(log->seal());
        ASSERT_TRUE(write_out(*log).has_value());
        EXPECT_FALSE(log->needs_seal());
    }
    const auto segments = segments_of(disk.list().value());
    ASSERT_GT(segments.size(), 2u);
    // The last record of each segment: the hardest to tell from a torn one.
    for (const Sequence first : segments) {
        Bytes& bytes = *disk.content(segment_name(first));
        auto reader = SegmentReader::open(disk, first).value();
        std::uint64_t last = 0;
        for (std::uint64_t at = reader.offset(); reader.next().value(); at = reader.offset()) last = at;
        bytes[last + 30] ^= std::byte{4};
        auto all = JournalReader::open(disk, 1).value();
        Result<std::optional<ledger::Record>> record;
        do record = all.next();
        while (record && *record);
        ASSERT_FALSE(record.has_value()) << first;
        EXPECT_EQ(record.error().code, ErrorCode::corrupt);
        EXPECT_NE(record.error().message.find(segment_name(first)), std::string::npos) << record.error().message;
        EXPECT_NE(record.error().message.find(fmt::format("offset {}", last)), std::string::npos)
            << record.error().message;
        // The newest segment is read at once; nothing is cut from it.
        if (first == segments.back()) {
            EXPECT_EQ(JournalLog::open(disk, small_segments()).error().code, ErrorCode::corrupt);
        }
        bytes[last + 30] ^= std::byte{4};
    }
    EXPECT_EQ(read_all(disk, 1), 30u);
    // A segment in the middle is gone.
    ASSERT_TRUE(disk.remove(segment_name(segments[1])).has_value());
    auto all = JournalReader::open(disk, 1).value();
    Result<std::optional<ledger::Record>> record;
    do record = all.next();
    while (record && *record);
    EXPECT_EQ(record.error().code, ErrorCode::corrupt);
}

TEST(JournalLog, ASnapshotProvesWhatItCovers) {
    // Requirement: EA-16
    SimDisk disk(1);
    {
        auto log = JournalLog::open(disk, small_segments()).value();
        for (Sequence i = 1; i <= 3; ++i) ASSERT_TRUE(log->append(as_bytes(payload(i))).has_value());
        ASSERT_TRUE(write_out(*log).has_value());
    }
    Bytes& bytes = *disk.content(segment_name(1));
    bytes[ledger::k_segment_header_size + 30] ^= std::byte{1};
    const auto refused = JournalLog::open(disk, small_segments(), 3);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
    // Without it: one batch, never sealed; that is what a crash leaves.
    EXPECT_EQ(JournalLog::open(disk, small_segments()).value()->durable(), 0u);
    ASSERT_TRUE(disk.remove(segment_name(1)).has_value());
    EXPECT_EQ(JournalLog::open(disk, small_segments(), 3).error().code, ErrorCode::corrupt);
}

TEST(JournalLog, BelongsToOneAccount) {
    SimDisk disk(1);
    ASSERT_TRUE(JournalLog::open(disk, small_segments()).has_value());
    auto other = small_segments();
    other.account = "desk-2";
    const auto refused = JournalLog::open(disk, other);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::config);
    EXPECT_NE(refused.error().message.find("desk-1"), std::string::npos);
}

TEST(JournalLog, TakesRecordsOfAnySizeThatThereIs) {
    SimDisk disk(1);
    auto log = JournalLog::open(disk, small_segments()).value();
    const std::string large(ledger::k_payload_max, 'x');
    for (const std::size_t size : {std::size_t(1), std::size_t(7), std::size_t(8), std::size_t(2000), large.size()}) {
        ASSERT_TRUE(log->append(as_bytes(large).first(size)).has_value());
        ASSERT_TRUE(write_out(*log).has_value());
    }
    log = JournalLog::open(disk, small_segments()).value();
    auto reader = JournalReader::open(disk, 4).value();
    EXPECT_EQ(reader.next().value()->payload.size(), 2000u);
    EXPECT_EQ(reader.next().value()->payload.size(), large.size());
    EXPECT_FALSE(reader.next().value().has_value());
    EXPECT_EQ(log->append(as_bytes("x")).value(), 6u);
}

TEST(StateSnapshot, FallsBackToTheOneBeforeWhenTheNewestDoesNotCheck) {
    SimDisk disk(1);
    for (const Sequence sequence : {10, 20, 30})
        ASSERT_TRUE(save_state_snapshot(disk, sequence, as_bytes(fmt::format("state {}", sequence))).has_value());
    EXPECT_EQ(newest_state_snapshot(disk)->snapshot->sequence, 30u);
    Bytes& newest = *disk.content(snapshot_name(30));
    for (std::size_t at = 0; at < newest.size(); ++at) {
        newest[at] ^= std::byte{16};
        const auto found = newest_state_snapshot(disk);
        newest[at] ^= std::byte{16};
        ASSERT_TRUE(found.has_value() && found->snapshot.has_value()) << at;
        EXPECT_EQ(found->snapshot->sequence, 20u) << at;
        EXPECT_EQ(as_text(found->snapshot->state), "state 20");
        EXPECT_EQ(found->passed_over.size(), 1u);
    }
}

TEST(StateSnapshot, TheNewestTwoStayAndTheNewestThatCoversWhatIsNeeded) {
    SimDisk disk(1);
    for (const Sequence sequence : {10, 20, 30, 40, 50})
        ASSERT_TRUE(save_state_snapshot(disk, sequence, as_bytes(fmt::format("state {}", sequence))).has_value());
    const auto left = [&] { return snapshots_of(disk.list().value()); };
    EXPECT_EQ(remove_old_snapshots(disk, 9).value(), 0u);
    EXPECT_EQ(left(), (std::vector<Sequence>{10, 20, 30, 40, 50}));
    EXPECT_EQ(remove_old_snapshots(disk, 29).value(), 20u);
    EXPECT_EQ(left(), (std::vector<Sequence>{20, 40, 50}));
    EXPECT_EQ(remove_old_snapshots(disk, 40).value(), 40u);
    EXPECT_EQ(left(), (std::vector<Sequence>{40, 50}));
    EXPECT_EQ(remove_old_snapshots(disk, 1000).value(), 40u);
    EXPECT_EQ(left(), (std::vector<Sequence>{40, 50}));
}

TEST(StateSnapshot, LeavesNoHalfOfItselfOnAFullDisk) {
    SimDisk disk(1);
    disk.set_room(1000);
    ASSERT_TRUE(save_state_snapshot(disk, 1, as_bytes("small")).has_value());
    EXPECT_EQ(save_state_snapshot(disk, 2, Bytes(2000, std::byte{1})).error().code, ErrorCode::disk_full);
    EXPECT_EQ(disk.list().value(), (std::vector<std::string>{snapshot_name(1)}));
    EXPECT_EQ(newest_state_snapshot(disk)->snapshot->sequence, 1u);
}

}    // namespace
}    // namespace holdfast::trade
