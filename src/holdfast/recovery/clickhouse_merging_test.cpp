// A writer that never stops, merges all the time, tables that come and go: every backup is the state of one instant, and restores.

#include <atomic>
#include <filesystem>
#include <thread>

#include "holdfast/recovery/clickhouse_fixture_test.hpp"

namespace holdfast::recovery {
namespace {

class ClickHouseMerging : public ClickHouseRestore {
protected:
    ClickHouseMerging() { config_.databases = {"d"}; }    // not what was restored beside
    db::clickhouse::Client another() const {
        db::clickhouse::Server server;
        server.url = engine_->url();
        return db::clickhouse::Client::connect(std::move(server)).value();
    }
};

INSTANTIATE_TEST_SUITE_P(Generations, ClickHouseMerging,
                         ::testing::Values(ClickHouseGeneration::v18, ClickHouseGeneration::v26),
                         [](const auto& p) { return p.param == ClickHouseGeneration::v18 ? "v18" : "v26"; });

// EA-06, EA-11, DD-10: batches of 100 consecutive numbers over three partitions' worth of days, one insert each: an acknowledged state
// holds the first k of them, whole. 50 backups, each restored beside and judged by the server's own CHECK TABLE.
TEST_P(ClickHouseMerging, FiftyBackupsOfATableThatIsWrittenAndMergedAllTheTime) {
    run("CREATE TABLE d.t (n UInt64, s String) ENGINE = MergeTree ORDER BY n");
    std::atomic<bool> stop = false;
    std::atomic<int> begun = 0, acknowledged = 0;
    std::thread writer([&, client = another()]() mutable {
        while (!stop) {
            const int batch = begun++;
            if (!client.execute(fmt::format(
                    "INSERT INTO d.t SELECT number + {}, toString(number) FROM system.numbers LIMIT 100", batch * 100)))
                break;
            ++acknowledged;
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    });
    std::thread merger([&, client = another()]() mutable {
        while (!stop) {
            (void)client.execute("OPTIMIZE TABLE d.t FINAL");
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
        }
    });
    while (acknowledged < 10) std::this_thread::yield();
    std::size_t reused = 0;
    for (int i = 0; i < 50 && !HasFatalFailure(); ++i) {
        const int before = acknowledged;
        back_up_on_top();
        const int after = begun;
        if (HasFatalFailure()) break;
        reused += facts_["parts_reused"].natural();
        const TableChoice choice{{"d.t"}, "", {{"d.t", "check.t"}}};
        run("CREATE DATABASE IF NOT EXISTS check");
        run("DROP TABLE IF EXISTS check.t");
        const auto restored = restore_clickhouse(config_, context(WhenExisting::refuse, &choice));
        EXPECT_TRUE(restored) << i << restored.error().message;
        if (!restored) break;
        EXPECT_EQ((*restored)["tables"].items()[0]["proof"].text(), "digest");
        const auto rows =
            client_->rows("SELECT count(), uniqExact(n), max(n), countIf(s != toString(n % 100)) FROM check.t");
        ASSERT_TRUE(rows) << rows.error().message;
        const int count = std::stoi((*rows)[0][0]);
        EXPECT_EQ(count % 100, 0) << i;
        EXPECT_GE(count, before * 100) << i;    // nothing acknowledged before the start is missing
        EXPECT_LE(count, after * 100) << i;
        EXPECT_EQ((*rows)[0][1], (*rows)[0][0]) << i;    // once each
        EXPECT_EQ(std::stoi((*rows)[0][2]), count - 1) << i;    // no hole
        EXPECT_EQ((*rows)[0][3], "0") << i;
        if (modern()) {
            EXPECT_EQ(value("CHECK TABLE check.t SETTINGS check_query_single_value_result = 1"), "1") << i;
        }
    }
    stop = true;
    writer.join();
    merger.join();
    RecordProperty("parts_reused", static_cast<int>(reused));
}

// A table that goes while the server is read is not in the copy, and no reason to have none.
TEST_P(ClickHouseMerging, TablesThatAreDroppedMeanwhileAreLeftOut) {
    run("CREATE TABLE d.a_stays (n UInt64) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.a_stays SELECT number FROM system.numbers LIMIT 1000");
    const std::string stays = content("d.a_stays");
    for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < 20; ++i) {
            run(fmt::format("CREATE TABLE d.t{} (n UInt64) ENGINE = MergeTree ORDER BY n", i));
            run(fmt::format("INSERT INTO d.t{} SELECT number FROM system.numbers LIMIT 1000", i));
        }
        std::thread dropper([client = another()]() mutable {
            for (int i = 19; i >= 0; --i) (void)client.execute(fmt::format("DROP TABLE d.t{}", i));
        });
        back_up_on_top();
        dropper.join();
        if (HasFatalFailure()) return;
        const TableChoice choice{{}, "", {{"d", fmt::format("check{}", round)}}};
        const auto restored = restore_clickhouse(config_, context(WhenExisting::refuse, &choice));
        ASSERT_TRUE(restored) << restored.error().message;
        EXPECT_EQ(content(fmt::format("check{}.a_stays", round)), stays);
    }
}

// Planted damage: every file of the vault that holds rows, one flipped bit. Nothing live is replaced by what does not prove itself.
TEST_P(ClickHouseMerging, AFlippedBitInTheVaultIsFoundBeforeAnythingIsReplaced) {
    run("CREATE TABLE d.t (n UInt64, s String) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.t SELECT number, toString(cityHash64(number)) FROM system.numbers LIMIT 50000");
    back_up();
    run("INSERT INTO d.t VALUES (99, 'newer')");
    const std::string live = content("d.t");
    int damaged = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path() + "/vault/data")) {
        if (!entry.is_regular_file()) continue;
        const std::string pack = entry.path().string();
        auto bytes = os::read_file(pack);
        if (!bytes || bytes->size() < 20'000) continue;
        for (const std::size_t at : {bytes->size() / 3, bytes->size() / 2}) {
            (*bytes)[at] ^= std::byte{0x10};
            ASSERT_TRUE(os::write_file(pack, *bytes));
            const auto result = restore(WhenExisting::switch_over);
            (*bytes)[at] ^= std::byte{0x10};
            ASSERT_TRUE(os::write_file(pack, *bytes));
            ASSERT_FALSE(result);
            EXPECT_EQ(result.error().code, ErrorCode::corrupt) << result.error().message;
            EXPECT_EQ(content("d.t"), live);
            expect_no_leftovers();
            ++damaged;
        }
    }
    EXPECT_GE(damaged, 2);
    expect_restored(WhenExisting::switch_over);
    EXPECT_EQ(value("SELECT count() FROM d.t"), "50000");
}

}    // namespace
}    // namespace holdfast::recovery
