#include "holdfast/testing/trades_writer.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>

#include "holdfast/os/file.hpp"
#include "holdfast/testing/trades_duckdb.hpp"

namespace holdfast::testing {
namespace {

constexpr std::uint64_t k_batch_rows = 50;
constexpr auto k_pause = std::chrono::milliseconds(10);

void say(std::string_view line) {
    // A closed pipe means that nobody listens any more.
    if (!os::write_all(STDOUT_FILENO, as_bytes(line))) _exit(0);
}

Status commit_batches(TradesDuckDb& db, std::uint64_t seed, std::uint64_t base_rows) {
    // Small, so that DuckDB rewrites its file now and then while a backup reads it.
    HF_DO(db.execute("SET checkpoint_threshold = '256KB'"));
    for (std::uint64_t batch = 1;; ++batch) {
        const std::uint64_t begin = base_rows + batch * k_batch_rows;
        HF_DO(
            db.execute(fmt::format("BEGIN; INSERT INTO executions SELECT {}::BIGINT, * FROM ({}); "
                                   "INSERT INTO commits VALUES ({}, {}); COMMIT",
                                   batch, select_executions(seed, begin, begin + k_batch_rows), batch, k_batch_rows)));
        say(fmt::format("commit {}\n", batch));
        pollfd input{STDIN_FILENO, POLLIN, 0};
        if (::poll(&input, 1, static_cast<int>(k_pause.count())) == 0) continue;
        char buffer[64];
        if (::read(STDIN_FILENO, buffer, sizeof buffer) <= 0) return {};
        HF_DO(db.execute("UPDATE executions SET quantity = quantity + 1000 WHERE batch = 0 AND id % 100 = 7"));
        say("changed\n");
    }
}

}    // namespace

int run_trades_writer(const std::string& path, std::uint64_t seed, std::uint64_t base_rows) {
    auto db = TradesDuckDb::open(path);
    const Status done = db ? commit_batches(*db, seed, base_rows) : Status(std::unexpected(db.error()));
    if (done) return 0;
    fmt::print(stderr, "DuckDB writer: {}\n", done.error().message);
    return 1;
}

Status create_trades_file(const std::string& path, std::uint64_t seed, std::uint64_t base_rows) {
    HF_TRY(TradesDuckDb db, TradesDuckDb::open(path));
    HF_DO(db.execute("CREATE TABLE executions AS SELECT 0::BIGINT AS batch, * FROM (" +
                     select_executions(seed, 0, base_rows) +
                     "); CREATE TABLE commits (batch BIGINT, row_count BIGINT)"));
    return db.execute(fmt::format("INSERT INTO commits VALUES (0, {}); CHECKPOINT", base_rows));
}

Result<std::vector<BatchProof>> prove_trades_file(const std::string& path) {
    HF_TRY(TradesDuckDb db, TradesDuckDb::open(path));
    HF_TRY(const auto rows,
           db.query("SELECT batch, count(*), sum(hash(id, executed_at, symbol, side, quantity, price, "
                    "order_id, venue_ref, client_ref)) FROM executions GROUP BY batch ORDER BY batch"));
    HF_TRY(const auto commits, db.query("SELECT batch, row_count FROM commits ORDER BY batch"));
    if (commits.size() != rows.size())
        return fail(ErrorCode::mismatch,
                    fmt::format("{} holds {} batches but {} commit rows", path, rows.size(), commits.size()));
    std::vector<BatchProof> proofs;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i][0] != fmt::to_string(i) || commits[i][0] != rows[i][0] || commits[i][1] != rows[i][1])
            return fail(ErrorCode::mismatch, fmt::format("{}: batch {} is torn or missing", path, i));
        proofs.push_back({std::stoull(rows[i][1]), rows[i][2]});
    }
    return proofs;
}

Result<std::unique_ptr<TradesWriter>> TradesWriter::start(const std::string& path, std::uint64_t seed,
                                                          std::uint64_t base_rows) {
    os::Command command;
    command.arguments = {os::own_program(), "--duckdb-writer", path, fmt::to_string(seed), fmt::to_string(base_rows)};
    command.input = os::Stream::pipe;
    HF_TRY(os::Process process, os::Process::start(command));
    std::unique_ptr<TradesWriter> writer(new TradesWriter(std::move(process)));
    while (writer->acknowledged() == 0 && writer->runs()) std::this_thread::sleep_for(k_pause);
    if (!writer->runs()) return fail(ErrorCode::store, "the DuckDB writer ended: " + writer->process_.errors());
    return writer;
}

TradesWriter::TradesWriter(os::Process process) : process_(std::move(process)), listener_([this] { listen(); }) {}
TradesWriter::~TradesWriter() { kill(); }

void TradesWriter::listen() {
    std::string pending;
    Bytes piece;
    piece.resize(4096);
    for (;;) {
        const auto n = os::read_some(process_.output(), piece);
        if (!n || *n == 0) break;
        pending += as_text(ByteView(piece).first(*n));
        for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
            const std::string line = pending.substr(0, end);
            pending.erase(0, end + 1);
            if (line.starts_with("commit "))
                acknowledged_ = std::stoull(line.substr(7));
            else if (line == "changed")
                changed_ = true;
        }
    }
    ended_ = true;
}

Status TradesWriter::change() {
    HF_DO(os::write_all(process_.input(), as_bytes("change\n")));
    while (!changed_ && runs()) std::this_thread::sleep_for(k_pause);
    if (!changed_) return fail(ErrorCode::store, "the DuckDB writer ended: " + process_.errors());
    return {};
}

void TradesWriter::kill() {
    if (!listener_.joinable()) return;
    process_.kill(SIGKILL);
    listener_.join();
    static_cast<void>(process_.wait());
}

}    // namespace holdfast::testing
