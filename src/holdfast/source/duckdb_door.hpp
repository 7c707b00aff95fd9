#pragma once
// Where states of a DuckDB database are kept, and the door there: its owner asks for a look right now, around a checkpoint.
//
//   shape     a Unix socket "door" in the folder of the states. To connect is to ask; one byte is the answer: '+' a state with all that
//             was committed before is kept, '-' it could not be. Whoever may write into that folder may ask
//   errors    those of the system; an owner must never wait long, nor fail, because of a keeper
//   threads   one per object

#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::source {

/// "/srv/.holdfast/trades.duckdb" for "/srv/trades.duckdb"; with `root`, "ROOT/trades.duckdb-HASH", by the path's hash.
std::string duckdb_states_folder(std::string_view path, std::string_view root = {});

/// The keeper's side.
class DuckDbDoor {
public:
    static Result<DuckDbDoor> open(const std::string& folder);
    DuckDbDoor(DuckDbDoor&&) noexcept = default;
    ~DuckDbDoor();

    /// Waits that long at most for somebody to ask. True: somebody did, and waits for the next answer().
    bool wait(Duration patience);
    /// To all who asked before the look began.
    void answer(bool kept);

private:
    DuckDbDoor(std::string folder, os::Fd listening) : folder_(std::move(folder)), listening_(std::move(listening)) {}
    std::string folder_;
    os::Fd listening_;
    std::vector<os::Fd> asking_;
};

enum class DoorAnswer {
    kept,
    nobody,    // no keeper is at work
    failed,    // it could not keep a state
    late,    // no answer in time; it may still come to it
};
/// The owner's side, and a backup's.
DoorAnswer ask_duckdb_keeper(const std::string& folder, Duration patience);

}    // namespace holdfast::source
