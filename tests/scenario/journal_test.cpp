// A trading engine's journal, looked at by its owner: listed, read, verified, exported, also while it is written.

#include "holdfast/trade/journal.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "holdfast/ledger/fact.hpp"
#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace ledger;

constexpr std::string_view k_first = "0190b5a8-7c11-7abc-8def-0123456789ab";
constexpr std::string_view k_second = "0190b5a8-7c12-7abc-8def-0123456789ab";

class JournalCommands : public Scenario {
protected:
    std::unique_ptr<trade::Journal> open() const {
        trade::Journal::Options options;
        options.log.account = "desk-1";
        options.log.segment_size = 256 * 1024;
        return trade::Journal::open(at("journal"), options).value();
    }
    static void note(trade::Journal& journal, FactData data, std::int64_t second = 0) {
        Bytes payload;
        append_fact(payload, {{(1'795'000'000 + second) * 1'000'000'000}, std::move(data)});
        ASSERT_TRUE(journal.append(payload).has_value());
    }
    static Uuid id(std::string_view text) { return *Uuid::parse(text); }
    /// Two orders: one is executed, the other one rejected.
    void make_journal() const {
        const auto journal = open();
        note(*journal, SessionStarted{"host-1", 7, false});
        for (const std::string_view order : {k_first, k_second}) {
            Signal signal;
            signal.id = id(order);
            signal.symbol = "EURUSD";
            signal.quantity = Decimal::parse("2.5").value();
            signal.strategy = "says \"buy\", twice";
            note(*journal, SignalAccepted{signal}, 10);
            note(*journal, OrderIntended{id(order), 1, 0, {}, {}}, 11);
        }
        note(*journal,
             OrderExecuted{{"E-1",
                            id(k_first),
                            id(k_first),
                            "EURUSD",
                            Side::buy,
                            Decimal::parse("2.5").value(),
                            Decimal::parse("1.08512").value(),
                            {1'795'000'020'000'000'000}}},
             20);
        note(*journal, OrderClosed{id(k_second), OrderState::rejected, "no margin"}, 21);
        ASSERT_TRUE(journal->close().has_value());
    }
    Answer journal(std::vector<std::string> words) const {
        words.insert(words.begin(), "journal");
        words.push_back("--journal");
        words.push_back(at("journal"));
        return holdfast_bare(words);
    }
    static std::size_t lines(const std::string& text) {
        return static_cast<std::size_t>(std::ranges::count(text, '\n'));
    }
};

TEST_F(JournalCommands, TellTheLifeOfAnOrder) {    // EA-16
    make_journal();
    const Answer all = journal({"cat"});
    EXPECT_EQ(all.exit, 0) << all.errors;
    EXPECT_EQ(lines(all.output), 7u);
    EXPECT_THAT(all.output, HasSubstr(R"("kind":"session_started","instance":"host-1","token":7)"));

    const Answer one = journal({"cat", "--order", std::string(k_first)});
    EXPECT_EQ(lines(one.output), 3u);
    EXPECT_THAT(one.output, HasSubstr(R"("quantity":"2.5","price":"1.08512","executed_at":"2026-)"));
    EXPECT_THAT(one.output, Not(HasSubstr(std::string(k_second))));

    EXPECT_EQ(lines(journal({"cat", "--from", "2", "--to", "4"}).output), 3u);
    const std::string time = to_rfc3339({1'795'000'020'000'000'000});
    EXPECT_EQ(lines(journal({"cat", "--from", time}).output), 2u);
    EXPECT_EQ(lines(journal({"cat", "--to", time}).output), 6u);
}

TEST_F(JournalCommands, ExportForASpreadsheet) {
    make_journal();
    const Answer csv = journal({"export", "--output", at("facts.csv")});
    EXPECT_EQ(csv.exit, 0) << csv.errors;
    const std::string text = os::read_text(at("facts.csv")).value();
    EXPECT_EQ(lines(text), 8u);
    EXPECT_TRUE(text.starts_with("sequence,at,kind,order,")) << text;
    EXPECT_THAT(text, HasSubstr(R"(,"says ""buy"", twice",)"));
    EXPECT_EQ(os::status_of(at("facts.csv"))->st_mode & 0777, 0600u);

    const Answer jsonl = journal({"export", "--format", "jsonl", "--output", at("facts"), "--json"});
    EXPECT_EQ(jsonl.json()["facts"].integer(), 7);
    EXPECT_EQ(os::read_text(at("facts")).value(), journal({"cat"}).output);
}

TEST_F(JournalCommands, AreUsedBesideTheEngine) {    // EA-16
    make_journal();
    const auto engine = open();
    note(*engine, TradingSwitched{false, "ops"});
    engine->commit();
    ASSERT_TRUE(engine->wait(8, std::chrono::seconds(60)).value());
    EXPECT_EQ(lines(journal({"cat"}).output), 8u);
    const Answer verified = journal({"verify", "--json"});
    EXPECT_EQ(verified.exit, 0) << verified.errors;
    EXPECT_TRUE(verified.json()["in_use"].boolean());
    EXPECT_EQ(verified.json()["records"].integer(), 8);
    const Answer listed = journal({"ls"});
    EXPECT_EQ(listed.exit, 0) << listed.errors;
    EXPECT_THAT(listed.output, HasSubstr("account desk-1, sequences 1 to 8"));
    EXPECT_THAT(listed.output, HasSubstr("an engine writes to it now"));
}

TEST_F(JournalCommands, TellDamageFromATornTail) {    // EA-16
    make_journal();
    const Answer good = journal({"verify"});
    EXPECT_EQ(good.exit, 0) << good.errors;
    EXPECT_THAT(good.output, HasSubstr("7 records, sequences 1 to 7, in 1 segments, and 0 state snapshots: no damage"));

    const std::string path = at("journal") + "/" + trade::segment_name(1);
    const std::string whole = os::read_text(path).value();
    const auto used =
        static_cast<std::size_t>(journal({"ls", "--json"}).json()["segments"].items()[0]["used"].integer());
    // What a crash leaves: bytes that are no record.
    std::string torn = whole;
    torn.replace(used + 64, 4, "torn");
    write(path, torn);
    const Answer cut = journal({"verify"});
    EXPECT_EQ(cut.exit, 0) << cut.errors;
    EXPECT_THAT(cut.output, HasSubstr("torn tail: after offset " + std::to_string(used)));

    // The last record lost one bit. It had been acknowledged.
    std::string damaged = whole;
    damaged[used - 40] ^= 1;
    write(path, damaged);
    const Answer refused = journal({"verify"});
    EXPECT_EQ(refused.exit, 1);
    EXPECT_THAT(refused.errors, HasSubstr(trade::segment_name(1) + ": the record at offset "));
    EXPECT_THAT(refused.errors, HasSubstr("had been durable and does not match its checksum"));
    EXPECT_EQ(refused.output, "");
    // What comes before is told all the same.
    const Answer told = journal({"cat"});
    EXPECT_EQ(told.exit, 1);
    EXPECT_EQ(lines(told.output), 6u);
}

TEST_F(JournalCommands, AJournalIsBackedUpWhileItIsWrittenAndComesBackMarked) {    // EA-16
    make_cheap_repository();
    write(at("holdfast.toml"), "stack = \"desk\"\n[[journal]]\npath = \"" + at("journal") + "\"\n");
    const Environment configured = {{"HOLDFAST_CONFIG", at("holdfast.toml")}};
    auto engine = open();
    std::atomic<bool> stop = false;
    Sequence before = 0;
    {
        std::jthread trading([&] {
            while (!stop) {
                note(*engine, TradingSwitched{true, std::string(300, 'x')});
                engine->commit();
            }
        });
        while (before < 3000) before = engine->durable();
        const Answer saved = holdfast({"backup"}, configured);
        stop = true;
        EXPECT_EQ(saved.exit, 0) << saved.errors;
    }
    // Not under a running engine.
    const Answer refused = holdfast({"restore", "latest", "--yes", "--replace"}, configured);
    EXPECT_NE(refused.exit, 0);
    EXPECT_THAT(refused.output + refused.errors, HasSubstr("an engine writes the journal in " + at("journal")));
    ASSERT_TRUE(engine->close().has_value());
    const Sequence last = engine->durable();
    const std::string identity = engine->identity().uuid;
    engine.reset();

    const Answer restored = holdfast({"restore", "latest", "--yes", "--replace"}, configured);
    ASSERT_EQ(restored.exit, 0) << restored.output << restored.errors;
    const Answer verified = journal({"verify", "--json"});
    EXPECT_EQ(verified.exit, 0) << verified.errors;
    EXPECT_GE(verified.json()["last"].natural(), before);
    EXPECT_LE(verified.json()["last"].natural(), last);
    engine = open();
    EXPECT_TRUE(engine->recovery().restored);
    EXPECT_NE(engine->identity().uuid, identity);
    ASSERT_TRUE(engine->settle_restored().has_value());
    ASSERT_TRUE(engine->close().has_value());
    engine.reset();
    EXPECT_FALSE(open()->recovery().restored);
}

TEST_F(JournalCommands, SayWhatIsMissing) {
    EXPECT_EQ(holdfast_bare({"journal", "ls"}).exit, 2);
    const Answer none = journal({"cat"});
    EXPECT_EQ(none.exit, 1);
    EXPECT_THAT(none.errors, HasSubstr("journal"));
    ASSERT_TRUE(os::make_folders(at("journal")).has_value());
    EXPECT_THAT(journal({"ls"}).errors, HasSubstr("there is no journal in"));
    const Answer nowhere = holdfast_bare({"journal", "ls", "--journal", at("nowhere")});
    EXPECT_EQ(nowhere.exit, 1);
    EXPECT_THAT(nowhere.errors, HasSubstr("there is no folder " + at("nowhere")));
    EXPECT_THAT(nowhere.errors, HasSubstr("--journal names the folder"));
    EXPECT_EQ(journal({"cat", "--order", "7"}).exit, 2);
    EXPECT_EQ(journal({"cat", "--from", "yesterday"}).exit, 2);
}

}    // namespace
}    // namespace holdfast::scenario
