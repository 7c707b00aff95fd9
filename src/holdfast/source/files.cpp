#include <fmt/core.h>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/source/capture.hpp"

namespace holdfast::source {

// A file that cannot be read does not take the others with it: the facts list it, and the run counts as incomplete.
Result<json::Value> capture_files(const policy::FilesConfig& config, CaptureContext& context) {
    vault::PathOptions options;
    options.excludes = config.exclude;
    options.under = context.folder;
    if (config.newer_than_days > 0)
        options.newer_than = context.clock.now() - std::chrono::hours(24) * config.newer_than_days;

    json::Value paths = json::Value::array(), unreadable = json::Value::array();
    std::uint64_t files = 0, folders = 0, bytes = 0, unchanged = 0, taken = 0;
    std::optional<Error> missing;
    const auto not_read = [&](const std::string& path, const Error& error) {
        unreadable.push(
            json::Value::object({{"path", path}, {"code", facts(error.code).name}, {"message", error.message}}));
    };
    for (const std::string& given : config.paths) {
        const std::string path = os::absolute_path(given);
        const auto summary = context.backup.add_path(path, options);
        if (!summary) {
            const ErrorCode code = summary.error().code;
            // The path's own trouble is told and the rest goes on; the repository's or the user's ends it all.
            if (code != ErrorCode::not_found && code != ErrorCode::denied) return fail(summary.error());
            missing = summary.error();
            not_read(path, summary.error());
            continue;
        }
        ++taken;
        paths.push(path);
        files += summary->files;
        folders += summary->folders;
        bytes += summary->bytes;
        unchanged += summary->files_unchanged;
        for (const auto& [bad, error] : summary->unreadable) not_read(bad, error);
    }
    if (taken == 0 && missing) return fail(*std::move(missing));
    return json::Value::object({{"paths", std::move(paths)},
                                {"files", files},
                                {"folders", folders},
                                {"bytes", bytes},
                                {"files_unchanged", unchanged},
                                {"unreadable", std::move(unreadable)}});
}

}    // namespace holdfast::source
