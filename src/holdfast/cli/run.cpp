#include "holdfast/cli/run.hpp"

#include <cstdio>

#include "holdfast/base/log.hpp"
#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"

namespace holdfast::cli {
namespace {

void set_up_log(const GlobalOptions& global, const Clock& clock) {
    LogOptions options;
    options.level = global.quiet          ? LogLevel::error
                    : global.verbose >= 2 ? LogLevel::debug
                    : global.verbose == 1 ? LogLevel::info
                                          : LogLevel::warning;
    options.json = global.json;
    if (global.verbose || global.json) options.timestamp = [&clock] { return to_rfc3339(clock.now()); };
    set_log(std::move(options));
}

Result<int> dispatch(const Invocation& invocation, Clock& clock) {
    const Session session{invocation.global, clock};
    switch (invocation.command) {
        case Invocation::Command::print:
            print(invocation.text);
            return 0;
        case Invocation::Command::init:
            return run_init(session, invocation.init);
        case Invocation::Command::backup:
            return run_backup(session, invocation.backup);
        case Invocation::Command::snapshots:
            return run_snapshots(session, invocation.snapshots);
        case Invocation::Command::ls:
            return run_ls(session, invocation.ls);
        case Invocation::Command::restore:
            return run_restore(session, invocation.restore);
        case Invocation::Command::check:
            return run_check(session, invocation.check);
        case Invocation::Command::internal:
            return run_internal(invocation.internal);
    }
    return fail(ErrorCode::internal, "no such command");
}

}    // namespace

std::string program_version() { return "holdfast " HF_VERSION; }

int run(std::vector<std::string> arguments, Clock& clock) {
    bool json = false;
    const Result<Invocation> invocation = parse_arguments(std::move(arguments), json);
    if (!invocation) return report_error(invocation.error(), json);
    set_up_log(invocation->global, clock);
    const Result<int> status = dispatch(*invocation, clock);
    const int exit = status ? *status : report_error(status.error(), json);
    // A result that did not reach its reader (a full disk, a closed pipe) is no success.
    if (std::fflush(stdout) != 0 && exit == 0)
        return report_error(Error{ErrorCode::io, "cannot write to standard output", ""}, false);
    return exit;
}

}    // namespace holdfast::cli
