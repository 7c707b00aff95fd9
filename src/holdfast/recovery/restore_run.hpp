#pragma once
// One restore into the stores, as it is remembered: what it shall do, how far it is, what it put aside. Written anew, whole and
// durable, before and after each step, so that one that is killed says where it was and can go on, or be undone.
//
//   shape     <state folder>/restores/<stack>/<time>.json, JSON, mode 0600; <time>.txt beside it is the report for people;
//             times.json: how long each component took before
//   errors    corrupt (no such document, or one of another version), io, disk_full; locked when another one is at work
//   threads   one
//   source    docs/formats/restore-run.md

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/os/fd.hpp"
#include "holdfast/recovery/restore_store.hpp"

namespace holdfast::recovery {

enum class RunState {
    running,    // at work, or interrupted
    failed,    // came to its end, and not everything passed; trading stays paused
    passed,    // came to its end; the old data is kept aside
    undoing,
    undone,
    committing,
    committed,    // what was kept aside is removed
};
std::string_view to_text(RunState state);

enum class RunStep { pause, stop, restore, start, check, resume, done };
std::string_view to_text(RunStep step);

enum class PartState { waiting, restoring, restored, failed };
std::string_view to_text(PartState state);

struct RunPart {
    std::string name, kind;
    PartState state = PartState::waiting;
    double seconds = 0;
    std::optional<Error> error;
    json::Value result;
    std::vector<Replacement> replaced;
};

struct RunCheck {
    enum class State { passed, failed, skipped } state = State::passed;
    std::string component;    // empty: of the whole
    std::string name, text;
};
std::string_view to_text(RunCheck::State state);

/// What was kept aside in files is, or is being, removed because its disk was short.
struct MadeRoom {
    Timestamp time;
    std::uint64_t free_bytes = 0;    // at that time
    /// "removed on 2026-11-28T01:50:00Z because only 312.0 MiB was free"
    std::string text() const;
};

struct RestoreRun {
    std::string stack, snapshot;    // hexadecimal
    Timestamp snapshot_time, started, changed;
    bool replace = false;
    std::optional<TableChoice> tables;    // only these
    Expiry expiry = Expiry::as_now;
    std::optional<Timestamp> time = {};    // DuckDB as it was then
    RunState state = RunState::running;
    RunStep step = RunStep::pause;
    std::vector<RunPart> parts;
    std::vector<std::string> paused;    // "command", "flag", "engine desk-1": what this run paused and has not resumed
    std::vector<std::string> stopped;    // numbers of the stop_commands that have run
    std::vector<RunCheck> checks;
    std::optional<Error> trouble;    // of a step that is no component's
    std::optional<MadeRoom> room;    // no undo since then

    bool is_over() const {
        return state != RunState::running && state != RunState::undoing && state != RunState::committing;
    }
    /// Something lies aside that nobody uses.
    bool keeps() const;
    bool keeps_files() const;
    /// "restoring redis (2 of 4 components are restored)"
    std::string where() const;
};

std::string encode(const RestoreRun& run);
/// `what` names the document in errors.
Result<RestoreRun> decode_restore_run(std::string_view text, const std::string& what);

/// The runs of one stack. While it lives, no other process works on them.
class RunFolder {
public:
    /// locked: another restore, undo or commit of this stack is at work.
    static Result<RunFolder> enter(const std::string& state_folder, const std::string& stack);
    /// Without keeping others out: for those who only look.
    static RunFolder look(const std::string& state_folder, const std::string& stack);

    struct Entry {
        std::string file;    // its name, without folder
        RestoreRun run;
    };
    /// Oldest first; empty when there is no folder.
    Result<std::vector<Entry>> list() const;
    /// A name for a new one.
    std::string new_name(Timestamp now) const;
    Status save(const std::string& file, const RestoreRun& run) const;
    Status save_report(const std::string& file, std::string_view text) const;
    std::string path_of(const std::string& file) const { return path_ + "/" + file; }

    struct Measured {
        double seconds = 0;
        std::uint64_t bytes = 0;
    };
    /// How long a component took when it was last restored. A file that is lost or damaged counts as empty.
    std::map<std::string, Measured> times() const;
    Status save_times(const std::map<std::string, Measured>& times) const;

private:
    RunFolder(std::string path, os::Fd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
    std::string path_;
    os::Fd lock_;
};

}    // namespace holdfast::recovery
