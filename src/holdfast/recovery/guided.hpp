#pragma once
// A restore into the stores from beginning to end, so that a tired person can trust it (NS-08, NS-10, NS-11, NS-21): trading is paused,
// what uses the stores is stopped, databases, Redis, configuration and logs come back in this order, what was stopped is started, all is
// checked, and trading goes on only if everything passed.
//
//   record    each step that changes something is in a RestoreRun before it begins: killed at any instant, go_on() goes on with
//             what is missing; a component that was half done is first put back to what it was
//   undo      what was replaced takes its place again, the restored data goes aside; trading is paused meanwhile as before
//   commit    what lies aside is removed
//   errors    a step that fails ends the run (state failed, trading stays paused); it is in the record and in the result
//   threads   one

#include <functional>
#include <string>
#include <vector>

#include "holdfast/os/scratch_folder.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/recovery/put_back.hpp"
#include "holdfast/recovery/restore_run.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::recovery {

/// A trade engine of ours, as its door lets us switch it.
struct EngineSwitch {
    std::string account;
    /// Whether it lets orders leave; unreachable: none runs.
    std::function<Result<bool>()> trades;
    std::function<Status(bool on)> turn;
};

struct GuidedOptions {
    std::vector<EngineSwitch> engines;
    std::function<void(std::string_view subject, std::string_view event)> say;    // never empty
};

class GuidedRestore {
public:
    GuidedRestore(const policy::Config& config, const RunFolder& folder, std::string file, RestoreRun run, Clock& clock,
                  GuidedOptions options)
        : config_(config),
          folder_(folder),
          file_(std::move(file)),
          run_(std::move(run)),
          clock_(clock),
          options_(std::move(options)) {}

    /// From the beginning, or from where the run was. An error: this step failed, run().trouble says it too. Components and checks that
    /// fail are no errors here: see run().state.
    Status go_on(const vault::Repository& repository, const vault::SnapshotEntry& snapshot);
    Status undo();
    Status commit();

    const RestoreRun& run() const { return run_; }
    const std::string& file() const { return file_; }
    /// Seconds since the run began.
    double seconds_in_all() const;

private:
    Status pause();
    Status stop();
    Status restore_parts(const vault::Repository& repository, const vault::SnapshotEntry& snapshot);
    Status restore_part(const vault::Repository& repository, const vault::SnapshotEntry& snapshot, RunPart& part);
    Status start();
    Status check(const json::Value& manifest);
    Status resume();

    /// later: nothing is changed before the next save().
    enum class NextSave { now, later };
    Status enter(RunStep step, NextSave next = NextSave::now);
    Status save();
    Status give_up(Error error);
    Status run_command(const policy::RestoreConfig::Command& command, std::string_view what);
    Status set_flag(bool on);
    bool is_paused(const std::string& what) const;
    Status note_paused(const std::string& what);
    Result<std::string> scratch_folder();
    Result<PutBackContext> put_back_context();
    void learn_times(const vault::Repository& repository, const vault::SnapshotEntry& snapshot) const;

    const policy::Config& config_;
    const RunFolder& folder_;
    const std::string file_;
    RestoreRun run_;
    Clock& clock_;
    const GuidedOptions options_;
    std::optional<os::ScratchFolder> scratch_;
};

/// What is to be done about what was configured: for the plan. Empty when [restore] and [[trade]] ask for nothing.
std::vector<std::string> hooks_in_words(const policy::Config& config);

}    // namespace holdfast::recovery
