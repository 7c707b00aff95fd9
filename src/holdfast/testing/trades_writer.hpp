#pragma once
// A DuckDB file that a process of its own keeps committing to, as a trading program does: every commit adds a batch of
// executions and one row that says so, and is reported only after DuckDB has acknowledged it. What a restored copy must
// then hold is exact: the batches 1 ... k whole and in order, none beyond, with k at least the last one acknowledged
// before the backup began.

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/base/result.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::testing {

/// The writer's side: never returns before it is killed or its input is closed, except by an error.
/// Lines on standard output: "commit N" and "changed" (after a line "change" on standard input).
int run_trades_writer(const std::string& path, std::uint64_t seed, std::uint64_t base_rows);

/// Makes the file with its base rows (batch 0).
Status create_trades_file(const std::string& path, std::uint64_t seed, std::uint64_t base_rows);

struct BatchProof {
    std::uint64_t rows = 0;
    std::string digest;
    bool operator==(const BatchProof&) const = default;
};
/// Batch by batch from 0; a gap, or a batch that disagrees with its commit row, is an error (mismatch).
Result<std::vector<BatchProof>> prove_trades_file(const std::string& path);

/// Starts the program `own_program --duckdb-writer PATH SEED ROWS` and listens to it.
class TradesWriter {
public:
    static Result<std::unique_ptr<TradesWriter>> start(const std::string& path, std::uint64_t seed,
                                                       std::uint64_t base_rows);
    ~TradesWriter();
    std::uint64_t acknowledged() const { return acknowledged_; }
    /// One per cent of the base rows is updated; returns once that is acknowledged.
    Status change();
    /// kill -9; returns when it is gone.
    void kill();
    bool runs() const { return !ended_; }

private:
    explicit TradesWriter(os::Process process);
    void listen();
    os::Process process_;
    std::atomic<std::uint64_t> acknowledged_ = 0;
    std::atomic<bool> changed_ = false, ended_ = false;
    std::thread listener_;
};

}    // namespace holdfast::testing
