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

/// "X.holdfast-restore-<id>": where the new one is made.
std::string staged_duckdb(const std::string& target, std::string_view id);

}    // namespace holdfast::recovery
