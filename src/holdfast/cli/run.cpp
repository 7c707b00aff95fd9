#include "holdfast/cli/run.hpp"

#include <cstdio>

#include "holdfast/base/log.hpp"
#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/invocation.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"

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
    options.sink = print_log_line;
    set_log(std::move(options));
}

Result<int> dispatch(Invocation& invocation, Clock& clock) {
    if (invocation.internal) return run_internal(*invocation.internal);
    if (invocation.command) return invocation.command->run({invocation.global, clock});
    print(invocation.text);
    return 0;
}

}    // namespace

int run(std::vector<std::string> arguments, Clock& clock) {
    bool json = false;
    Result<Invocation> invocation = parse_arguments(std::move(arguments), json);
    if (!invocation) return report_error(invocation.error(), json);
    set_up_log(invocation->global, clock);
    const Result<int> status = dispatch(*invocation, clock);
    const int exit = status ? *status : report_error(status.error(), json);
    // A result that did not reach its reader (a full disk, a closed pipe) is no success.
    if ((std::fflush(stdout) != 0 || std::ferror(stdout) != 0) && exit == 0)
        return report_error(Error{ErrorCode::io, "cannot write to standard output", ""}, false);
    return exit;
}

}    // namespace holdfast::cli
