// A program of the tests: a live DuckDB writer whose commits carry invariants, and the judge of copies of its file.
//
//   holdfast-duckdb-writer FILE mixed|inserts [KEY=VALUE...]   commits until it is killed; each commit is said after it
//                                                              was acknowledged: "<lane> <sequence>\n"
//   holdfast-duckdb-writer FILE check                          opens FILE (which must be nobody's) and prints
//                                                              "<lane> <last sequence>\n" per lane, or exits 1 with why
//   holdfast-duckdb-writer FILE sql [KEY=VALUE...]             runs what stdin says, prints the last statement's rows
//
// Invariants: the sequences of a lane have no gap and no double; balances sum up to zero and equal the transfers; a
// batch is there whole or not at all. A copy that mixes two moments breaks one of them. ballast_mib=N among KEY=VALUE puts
// that much before it all, so that a copy takes as long as one of a grown database.

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

#include "holdfast/db/duckdb_library.hpp"

namespace {
using namespace holdfast;

constexpr int k_accounts = 64;
constexpr std::int64_t k_batch_rows = 20000;

void say(int lane, std::int64_t sequence) {
    const std::string line = fmt::format("{} {}\n", lane, sequence);
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) std::_Exit(0);
}

Status make_tables(db::DuckDb& database, std::uint64_t ballast_mib) {
    if (ballast_mib > 0)
        HF_DO(database.run(
            fmt::format("CREATE TABLE ballast AS SELECT i, hash(i) AS h, hash(i + 1) AS g FROM range({}) r(i); "
                        "CHECKPOINT",
                        ballast_mib * 65536)));
    HF_DO(
        database.run("CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, balance BIGINT NOT NULL);"
                     "CREATE TABLE IF NOT EXISTS transfers (lane INTEGER, seq BIGINT, source INTEGER, target INTEGER, "
                     "amount BIGINT CHECK (amount > 0), note VARCHAR);"
                     "CREATE TABLE IF NOT EXISTS batches (batch BIGINT, row_count BIGINT);"
                     "CREATE TABLE IF NOT EXISTS bulk (batch BIGINT, i BIGINT, payload VARCHAR)"));
    return database.run(
        fmt::format("INSERT INTO accounts SELECT i, 0 FROM range({}) r(i) "
                    "WHERE NOT EXISTS (FROM accounts)",
                    k_accounts));
}

std::string transfer(int lane, std::int64_t seq, int source, int target, int amount) {
    return fmt::format("INSERT INTO transfers VALUES ({}, {}, {}, {}, {}, 'order {} of lane {}');", lane, seq, source,
                       target, amount, seq, lane);
}

std::string batch(std::int64_t number) {
    return fmt::format(
        "INSERT INTO batches VALUES ({0}, {1}); INSERT INTO bulk SELECT {0}, i, md5(({0} * 7 + i)::VARCHAR) "
        "FROM range({1}) r(i);",
        number, k_batch_rows);
}

// Transfers with two updates each; now and then a batch comes, goes, or is rolled back, and a checkpoint is forced.
Status write_mixed(db::DuckDb& database) {
    std::mt19937 random(1);
    std::int64_t batches = 0, oldest = 0;
    for (std::int64_t seq = 1;; ++seq) {
        const int source = static_cast<int>(random() % k_accounts), amount = 1 + static_cast<int>(random() % 1000);
        const int target = (source + 1 + static_cast<int>(random() % (k_accounts - 1))) % k_accounts;
        HF_DO(
            database.run(fmt::format("BEGIN; UPDATE accounts SET balance = balance - {2} WHERE id = {0};"
                                     "UPDATE accounts SET balance = balance + {2} WHERE id = {1};{3} COMMIT",
                                     source, target, amount, transfer(0, seq, source, target, amount))));
        say(0, seq);
        if (seq % 40 == 0) HF_DO(database.run("BEGIN;" + batch(batches++) + "COMMIT"));
        if (seq % 70 == 0) HF_DO(database.run("BEGIN;" + batch(1000000 + seq) + "ROLLBACK"));
        if (seq % 90 == 0) HF_DO(database.run("FORCE CHECKPOINT"));
        if (batches - oldest > 8) {
            HF_DO(
                database.run(fmt::format("BEGIN; DELETE FROM batches WHERE batch = {0}; DELETE FROM bulk WHERE "
                                         "batch = {0}; COMMIT",
                                         oldest)));
            ++oldest;
        }
    }
}

// Two lanes that only insert, so that checkpoints start while a transaction is open: its commit goes to .wal.checkpoint.
Status insert_lane(db::DuckDb& database, int lane) {
    std::mt19937 random(static_cast<unsigned>(lane));
    for (std::int64_t seq = 1;; ++seq) {
        HF_DO(database.run("BEGIN;" + transfer(lane, seq, 0, 1, 1)));
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
        if (seq % 100 == 0) HF_DO(database.run(batch(seq * 10 + lane)));
        HF_DO(database.run("COMMIT"));
        say(lane, seq);
    }
}

Status write_inserts(db::DuckDb& database) {
    HF_TRY(db::DuckDb second, database.connect());
    HF_TRY(db::DuckDb third, database.connect());
    const auto ended = [](const Status& status) {
        fmt::print(stderr, "{}\n", status.error().message);
        std::_Exit(1);
    };
    std::thread one([&] { ended(insert_lane(database, 1)); });
    std::thread two([&] { ended(insert_lane(second, 2)); });
    while (true) {
        // Refused whenever an open transaction stands in its way: that is the load's own rhythm.
        (void)third.run("CHECKPOINT");
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

// Takes our own key out of DuckDB's.
std::uint64_t take_ballast(db::DuckDb::Settings& settings) {
    const auto found =
        std::find_if(settings.begin(), settings.end(), [](const auto& s) { return s.first == "ballast_mib"; });
    if (found == settings.end()) return 0;
    const std::uint64_t size = std::strtoull(found->second.c_str(), nullptr, 10);
    settings.erase(found);
    return size;
}

Status write(const std::string& path, std::string_view mode, db::DuckDb::Settings settings) {
    const std::uint64_t ballast_mib = take_ballast(settings);
    HF_TRY(db::DuckDb database, db::DuckDb::open(path, db::DuckDb::Mode::read_write, settings));
    HF_DO(make_tables(database, ballast_mib));
    say(0, 0);    // the tables are there
    return mode == "mixed" ? write_mixed(database) : write_inserts(database);
}

Status expect_none(db::DuckDb& database, const char* what, const std::string& sql) {
    HF_TRY(const db::DuckDbRows rows, database.query(sql));
    if (rows.rows.empty()) return {};
    std::string row;
    for (const auto& value : rows.rows[0]) row += " " + value.value_or("NULL");
    return fail(ErrorCode::mismatch, fmt::format("{}:{}", what, row));
}

Status check(const std::string& path) {
    HF_TRY(db::DuckDb database, db::DuckDb::open(path, db::DuckDb::Mode::read_only));
    HF_DO(expect_none(database, "lane with gaps or doubles",
                      "SELECT lane, count(*), count(DISTINCT seq), min(seq), max(seq) FROM transfers GROUP BY lane "
                      "HAVING count(*) <> max(seq) OR count(DISTINCT seq) <> max(seq) OR min(seq) <> 1"));
    HF_DO(expect_none(database, "note of another row",
                      "SELECT lane, seq, note FROM transfers WHERE note <> format('order {} of lane {}', seq, lane)"));
    HF_DO(expect_none(
        database, "batch that is not whole",
        "SELECT batch, b.row_count, k.n, k.total FROM batches b FULL JOIN (SELECT batch, count(*) AS n, "
        "sum(i) AS total, bool_and(payload = md5((batch * 7 + i)::VARCHAR)) AS equal FROM bulk GROUP BY ALL) k "
        "USING (batch) WHERE b.row_count IS DISTINCT FROM k.n OR NOT k.equal "
        "OR k.total <> k.n * (k.n - 1) / 2"));
    HF_DO(expect_none(database, "balance that its transfers do not explain",
                      "SELECT id, balance, t.total FROM accounts LEFT JOIN (SELECT account, sum(amount) AS total FROM ("
                      "SELECT source AS account, -amount AS amount FROM transfers WHERE lane = 0 UNION ALL "
                      "SELECT target, amount FROM transfers WHERE lane = 0) GROUP BY account) t ON id = account "
                      "WHERE balance <> coalesce(total, 0) OR (SELECT sum(balance) FROM accounts) <> 0"));
    HF_TRY(const db::DuckDbRows lanes,
           database.query("SELECT lane, max(seq) FROM transfers GROUP BY lane ORDER BY lane"));
    for (const auto& row : lanes.rows) fmt::print("{} {}\n", row[0].value_or(""), row[1].value_or(""));
    return {};
}

Status run_sql(const std::string& path, const db::DuckDb::Settings& settings) {
    std::string sql;
    char buffer[4096];
    while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, stdin)) sql.append(buffer, got);
    HF_TRY(db::DuckDb database, db::DuckDb::open(path, db::DuckDb::Mode::read_write, settings));
    HF_TRY(const db::DuckDbRows rows, database.query(sql));
    for (const auto& row : rows.rows) {
        std::string line;
        for (const auto& value : row) line += (line.empty() ? "" : "\t") + value.value_or("NULL");
        fmt::print("{}\n", line);
    }
    return {};
}

}    // namespace

int main(int count, char** arguments) {
    if (count < 3) {
        fmt::print(stderr, "usage: {} FILE mixed|inserts|check|sql [KEY=VALUE...]\n", arguments[0]);
        return 2;
    }
    const std::string path = arguments[1], mode = arguments[2];
    db::DuckDb::Settings settings;
    for (int i = 3; i < count; ++i) {
        const std::string pair = arguments[i];
        const std::size_t equals = pair.find('=');
        if (equals != pair.npos) settings.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
    }
    const Status status = mode == "check" ? check(path)
                          : mode == "sql" ? run_sql(path, settings)
                                          : write(path, mode, settings);
    if (!status) fmt::print(stderr, "{}\n", status.error().message);
    return status ? 0 : 1;
}
