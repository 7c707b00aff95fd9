// Changes out of a real journal, against a fold from its beginning.

#include "holdfast/trade/journal_changes.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <thread>

#include "holdfast/os/file.hpp"
#include "holdfast/trade/history_test.hpp"

namespace holdfast::trade {
namespace {

using ledger::Change;
using ledger::Sequence;
using namespace std::chrono_literals;

constexpr Duration k_soon = 60s;

// All of it, to compare by.
std::string text_of(const Change& change) {
    Bytes bytes;
    ledger::append_fact(bytes, change.fact);
    if (change.order) ledger::append_fact(bytes, {change.fact.at, ledger::OrderFound{*change.order, {}, {}}});
    return fmt::format("{} {} {}", change.sequence, change.version, as_text(bytes));
}

class JournalChangesTest : public ::testing::Test {
protected:
    JournalChangesTest() { open(); }
    void open() {
        Journal::Options options;
        options.log.account = "demo-1";
        options.log.segment_size = 16 * 1024;
        options.log.zero_ahead = 4096;
        journal_ = Journal::open(folder_.path() + "/journal", std::move(options)).value();
    }

    /// What of the history the journal does not have yet.
    void append_new() {
        for (Sequence sequence = written_ + 1; sequence <= history_.last(); ++sequence) {
            const Change& change = history_.changes()[sequence - 1];
            Bytes payload;
            ledger::append_fact(payload, change.fact);
            ASSERT_EQ(journal_->append(payload).value(), sequence);
            state_.apply(sequence, change.fact);
            written_ = sequence;
        }
        journal_->commit();
        ASSERT_TRUE(journal_->wait(written_, k_soon).value());
    }
    void save_snapshot() {
        Bytes state;
        state_.append_snapshot(state);
        ASSERT_TRUE(journal_->save_snapshot(written_, state));
    }
    /// Orders, with a snapshot after each `every` of them.
    void fill(std::uint64_t count, std::uint64_t every) {
        for (std::uint64_t n = 1; n <= count; ++n) {
            if (n % 20 == 1) history_.note(ledger::SessionStarted{"a", 1'764'000'000'000 + n, false});
            history_.order(n);
            if (n % every != 0) continue;
            append_new();
            save_snapshot();
        }
        append_new();
    }
    std::vector<Sequence> snapshots() const { return snapshots_of(journal_->disk().list().value()); }
    std::vector<Sequence> segments() const { return segments_of(journal_->disk().list().value()); }
    std::unique_ptr<ChangeSource> source() { return journal_changes(*journal_); }

    /// Reads from there to the end and compares with the history.
    void expect_from(ChangeSource& source, Sequence after, std::size_t max) {
        while (after < journal_->durable()) {
            const auto changes = source.read(after, max);
            ASSERT_TRUE(changes) << changes.error().message;
            ASSERT_FALSE(changes->empty());
            ASSERT_LE(changes->size(), max);
            for (const Change& change : *changes)
                ASSERT_EQ(text_of(change), text_of(history_.changes()[after++])) << "at " << after;
        }
    }

    /// From a place that has been released: the orders that were open at the oldest snapshot, then all facts after it.
    void expect_what_is_left(ChangeSource& source, Sequence after) {
        const Sequence base = snapshots().front();
        ledger::Book book;
        for (const Change& change : history_.part(0, base)) book.apply(change.fact);
        ASSERT_GT(book.open().size(), 3u);
        Sequence next = base - book.open().size() + 1;
        EXPECT_EQ(source.oldest()->sequence, base + 1);
        ASSERT_LT(after, next);
        std::set<ledger::Uuid> told;
        while (next <= base) {
            const auto changes = source.read(after, 3);
            ASSERT_TRUE(changes) << changes.error().message;
            for (const Change& change : *changes) {
                ASSERT_EQ(change.sequence, next++);
                after = change.sequence;
                if (after > base) {
                    ASSERT_EQ(text_of(change), text_of(history_.changes()[after - 1]));
                    continue;
                }
                ASSERT_TRUE(told.insert(change.order->id).second);
                ASSERT_TRUE(book.find(change.order->id));
                EXPECT_EQ(change.order->changed_at, book.find(change.order->id)->changed_at);
                EXPECT_EQ(change.order->filled, book.find(change.order->id)->filled);
                EXPECT_LE(change.version, history_.changes()[base].version);
                EXPECT_GE(change.version, history_.changes()[after - 1].version);
            }
        }
        EXPECT_EQ(told.size(), book.open().size());
        expect_from(source, after, 50);
    }

    const os::TempFolder folder_ = os::TempFolder::create("hf-changes").value();
    std::unique_ptr<Journal> journal_;
    History history_;
    ledger::State state_;
    Sequence written_ = 0;
};

TEST_F(JournalChangesTest, EveryPlaceGivesWhatAFoldFromTheBeginningGives) {
    // Requirement: DD-09
    fill(90, 25);
    ASSERT_GE(segments().size(), 4u);
    ASSERT_EQ(snapshots().size(), 3u);
    for (Sequence after = 0; after <= history_.last() && !HasFailure(); ++after) expect_from(*source(), after, 57);
    EXPECT_EQ(source()->oldest()->sequence, 1u);
    EXPECT_FALSE(source()->oldest()->released);
    EXPECT_TRUE(source()->read(history_.last(), 10)->empty());
    EXPECT_TRUE(source()->read(history_.last() + 7, 10)->empty());
}

TEST_F(JournalChangesTest, GoesBackAndForthInOneSource) {
    // Requirement: HA-04
    fill(90, 25);
    const auto one = source();
    std::mt19937 random(7);
    for (int i = 0; i < 200 && !HasFailure(); ++i) {
        const Sequence after = random() % history_.last();
        const auto changes = one->read(after, 1 + random() % 20);
        ASSERT_TRUE(changes);
        Sequence next = after;
        for (const Change& change : *changes) ASSERT_EQ(text_of(change), text_of(history_.changes()[next++]));
    }
}

TEST_F(JournalChangesTest, APlaceThatAllStoresHaveReachedCanAlwaysBeFolded) {
    // Requirement: EA-16, HA-04
    fill(120, 10);
    const auto all = snapshots();
    ASSERT_EQ(all.size(), 12u);
    ASSERT_TRUE(journal_->release(all.front() - 1));
    EXPECT_EQ(segments().front(), 1u) << "before the first snapshot everything is needed";
    for (Sequence confirmed = all.front(); confirmed <= history_.last() && !HasFailure(); confirmed += 13) {
        SCOPED_TRACE(confirmed);
        ASSERT_TRUE(journal_->release(confirmed));
        expect_from(*source(), confirmed, 1000);
        const auto kept = snapshots();
        EXPECT_LE(kept.size(), 3u);
        EXPECT_EQ(kept.back(), all.back());
        const auto oldest = source()->oldest();
        ASSERT_TRUE(oldest);
        EXPECT_LE(oldest->sequence, confirmed + 1);
    }
    EXPECT_EQ(snapshots(), (std::vector<Sequence>{all[10], all[11]}));
    EXPECT_GT(segments().front(), 1u);
}

TEST_F(JournalChangesTest, WhatHasBeenReleasedIsToldAndTheRestIsRead) {
    fill(120, 10);
    const auto behind = source();
    ASSERT_EQ(behind->read(0, 5)->size(), 5u);
    ASSERT_TRUE(journal_->release(history_.last()));
    // It stands in a segment that is gone: the file can be read to its end, and no further.
    Sequence after = 5;
    Result<std::vector<Change>> changes;
    while ((changes = behind->read(after, 50))) {
        ASSERT_FALSE(changes->empty());
        after = changes->back().sequence;
        ASSERT_LT(after, history_.last());
    }
    EXPECT_EQ(changes.error().code, ErrorCode::changed) << changes.error().message;
    const auto oldest = behind->oldest();
    ASSERT_TRUE(oldest);
    EXPECT_TRUE(oldest->released);
    expect_what_is_left(*behind, after);
    expect_what_is_left(*source(), 0);
    // A place just before it: what changed after that.
    const Sequence base = snapshots().front(), place = base - 18;
    const auto rest = source()->read(place, 18);
    ASSERT_TRUE(rest) << rest.error().message;
    std::set<ledger::Uuid> told, changed;
    for (const Change& change : *rest) told.insert(change.order->id);
    ledger::Book book;
    for (const Change& change : history_.part(0, base)) book.apply(change.fact);
    for (const Change& change : history_.part(place, base))
        if (change.order && book.find(change.order->id)) changed.insert(change.order->id);
    EXPECT_FALSE(changed.empty());
    EXPECT_TRUE(std::includes(told.begin(), told.end(), changed.begin(), changed.end()));
}

TEST_F(JournalChangesTest, ARestoredJournalLacksNothingThatWasReleasedBefore) {
    // Requirement: HA-05
    fill(120, 10);
    ASSERT_TRUE(journal_->release(snapshots()[6]));
    ASSERT_TRUE(journal_->close());
    const std::string first = journal_->identity().uuid;
    journal_ = nullptr;
    ASSERT_TRUE(os::write_file(folder_.path() + "/journal/restored", as_bytes("1\n")));
    open();
    EXPECT_NE(journal_->identity().uuid, first);
    EXPECT_FALSE(source()->oldest()->released) << "every store had it";
    expect_what_is_left(*source(), 0);
    ASSERT_TRUE(journal_->release(history_.last()));
    EXPECT_TRUE(source()->oldest()->released);
}

TEST_F(JournalChangesTest, ADamagedSnapshotIsPassedOver) {
    fill(60, 10);
    const auto all = snapshots();
    const std::string path = folder_.path() + "/journal/";
    const auto damage = [&](Sequence snapshot) {
        Bytes bytes = os::read_file(path + snapshot_name(snapshot)).value();
        bytes.back() ^= std::byte{1};
        ASSERT_TRUE(os::write_file(path + snapshot_name(snapshot), bytes));
    };
    damage(all[3]);
    expect_from(*source(), all[3] + 2, 50);
    ASSERT_TRUE(journal_->release(all[4]));
    ASSERT_GT(segments().front(), 1u);
    damage(all[4]);
    EXPECT_EQ(source()->oldest()->sequence, all[5] + 1);
    damage(all[5]);
    EXPECT_EQ(source()->oldest().error().code, ErrorCode::corrupt);
    EXPECT_EQ(source()->read(all[4] + 1, 10).error().code, ErrorCode::corrupt);
}

TEST_F(JournalChangesTest, WaitingEndsWithTheNextFactAndWithAWake) {
    const auto one = source();
    std::thread writer([&] {
        history_.order(1);
        append_new();
    });
    one->wait(0, k_soon);
    EXPECT_GE(one->durable(), 1u);
    writer.join();
    for (const Sequence after : {history_.last(), ~Sequence{0}}) {
        const auto began = std::chrono::steady_clock::now();
        std::thread waker([&] { one->wake(); });
        one->wait(after, k_soon);
        EXPECT_LT(std::chrono::steady_clock::now() - began, k_soon);
        waker.join();
    }
    one->wait(history_.last(), 1ms);    // ends by itself
}

TEST_F(JournalChangesTest, SeveralSourcesFollowTheWriterWhileItReleases) {
    // Requirement: DD-09, EA-16
    constexpr std::uint64_t k_orders = 600;
    {
        History whole;
        whole.note(ledger::SessionStarted{"a", 1'764'000'000'000, false});
        whole.orders(1, k_orders);
        history_ = whole;
    }
    std::array<std::atomic<Sequence>, 3> marks{};
    std::vector<std::thread> followers;
    for (std::size_t i = 0; i < marks.size(); ++i)
        followers.emplace_back([&, i] {
            const auto one = source();
            std::mt19937 random(static_cast<unsigned>(i));
            Sequence read = 0;
            while (read < history_.last()) {
                // Now and then the store has gone back to what it had confirmed.
                if (random() % 16 == 0) read = marks[i];
                const auto changes = one->read(read, 1 + random() % 60);
                ASSERT_TRUE(changes) << changes.error().message;
                if (changes->empty()) one->wait(read, k_soon);
                for (const Change& change : *changes) ASSERT_EQ(text_of(change), text_of(history_.changes()[read++]));
                if (random() % 4 == 0) marks[i] = read;
            }
        });
    for (Sequence sequence = 1; sequence <= history_.last(); ++sequence) {
        Bytes payload;
        ledger::append_fact(payload, history_.changes()[sequence - 1].fact);
        ASSERT_EQ(journal_->append(payload).value(), sequence);
        state_.apply(sequence, history_.changes()[sequence - 1].fact);
        written_ = sequence;
        if (sequence % 5 == 0) journal_->commit();
        if (sequence % 100 != 0) continue;
        journal_->commit();
        ASSERT_TRUE(journal_->wait(sequence, k_soon).value());
        save_snapshot();
        ASSERT_TRUE(journal_->release(std::min({marks[0].load(), marks[1].load(), marks[2].load()})));
    }
    journal_->commit();
    for (std::thread& follower : followers) follower.join();
}

}    // namespace
}    // namespace holdfast::trade
