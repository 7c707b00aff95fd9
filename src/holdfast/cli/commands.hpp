#pragma once
// One function a command. Each prints its result and returns the exit status; what it returns as an error is printed by
// run(), as text or JSON.

#include "holdfast/base/result.hpp"
#include "holdfast/cli/invocation.hpp"
#include "holdfast/cli/session.hpp"

namespace holdfast::cli {

Result<int> run_init(const Session& session, const InitArguments& arguments);
Result<int> run_backup(const Session& session, const BackupArguments& arguments);
Result<int> run_snapshots(const Session& session, const SnapshotsArguments& arguments);
Result<int> run_ls(const Session& session, const LsArguments& arguments);
Result<int> run_restore(const Session& session, const RestoreArguments& arguments);
Result<int> run_check(const Session& session, const CheckArguments& arguments);
/// `holdfast internal errors`: docs/errors.md, from the error table.
Result<int> run_internal(const std::vector<std::string>& arguments);

std::string program_version();    // "holdfast 0.1.0"

}    // namespace holdfast::cli
