#pragma once
// A finished DuckDB file takes the place of a live path X, whose file and logs go aside together.
//
//   danger   a log replays into whatever file lies beside it, without a word: X must never be new while X.wal is old, nor
//            old while its log is gone, at any instant of a kill or a power failure. Two names cannot be renamed at once
//   scheme   a guard (a small text file that no DuckDB opens) stands at X while file and logs change:
//              1  guard written under the aside name "X.replaced-<time>"        X old, whole
//              2  X's logs linked beside it                                     X old, whole
//              3  X and guard exchanged, in one step                            X guard; aside old, whole
//              4  the logs' names beside X removed                              X guard
//              5  the new file renamed to X                                     X new, whole, without a log
//            each step is made durable before the next
//   again    clear_unfinished() puts in order what a killed run left, whichever step it reached
//   errors   exists (something new appeared at X), unsupported (the file system cannot exchange two names), io

#include <functional>
#include <optional>
#include <string>

#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::recovery {

struct DuckDbSwitch {
    std::string target;    // X
    std::string staged;    // the new file, in the same folder, whole and durable
    std::string aside;    // where the old one goes; must not exist
    /// For tests: called after each step; an error stops there, as a kill would.
    std::function<Status(int step)> after_step;
};

enum class DuckDbPlace { empty, guarded, taken };
/// What is at X: nothing, the guard of a killed run, or something else.
Result<DuckDbPlace> look_at_duckdb(const std::string& target);

/// Whether a log without its file, or beside a guard, lies at X.
bool has_leftover_log(const std::string& target);

/// Removes staged files and guards of killed runs, and puts logs that still lie beside a guard to the file they belong
/// to. Changes nothing of what is live. Returns the aside name when a guard stands at X: the old one is there.
Result<std::optional<std::string>> clear_unfinished_duckdb(const std::string& target);

/// Returns the aside name if something was put there.
Result<std::optional<std::string>> switch_duckdb(const DuckDbSwitch& paths);

/// The way back: what lies at `aside`, with its logs, takes its place at X, and what is at X now, with its logs, goes to `undone`.
/// A guard of another text stands at X meanwhile, which no restore takes for its own. May be killed and called again. Nothing
/// happens when `identity` (device:inode of the old file) says that X is the old one. `aside` empty: X only goes to `undone`;
/// `undone` may be there then only as what an earlier call put there.
Status put_back_duckdb(const std::string& target, const std::string& aside, const std::string& identity,
                       const std::string& undone);

/// "X.holdfast-restore-<id>": where the new one is made.
std::string staged_duckdb(const std::string& target, std::string_view id);

}    // namespace holdfast::recovery
