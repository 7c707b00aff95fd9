#pragma once
// A live DuckDB writer in a process of its own (holdfast-duckdb-writer, beside the test program), and the judge of
// copies of its file. src/main/duckdb_writer.cpp says what it writes and which invariants hold.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::testing {

class DuckDbWriter {
public:
    enum class Load { mixed, inserts };
    /// Returns once the tables are there and the first commits are acknowledged. `settings`: "checkpoint_threshold=1MB".
    static Result<DuckDbWriter> start(const std::string& file, Load load,
                                      const std::vector<std::string>& settings = {});
    DuckDbWriter(DuckDbWriter&&) noexcept;
    ~DuckDbWriter();

    /// The last sequence that each lane had acknowledged by now.
    std::map<int, std::int64_t> acknowledged() const;
    int pid() const;
    /// SIGKILL. What it had not checkpointed stays in the log.
    void kill();

private:
    struct State;
    explicit DuckDbWriter(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// Opens the file read-only in a child, checks every invariant, and returns the last sequence of each lane.
Result<std::map<int, std::int64_t>> check_writer_copy(const std::string& file);

/// Runs SQL on a file in a child process (through the library that the product uses) and waits for its clean close.
/// This process then never opens the file.
Status run_duckdb(const std::string& file, const std::string& sql, const std::vector<std::string>& settings = {});

}    // namespace holdfast::testing
