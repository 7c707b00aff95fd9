#include "holdfast/db/postgres_tools.hpp"

#include <fmt/core.h>

#include <charconv>

namespace holdfast::db {
namespace {

// "pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"
Result<PostgresTool> look_at(const std::string& path) {
    os::Command command;
    command.arguments = {path, "--version"};
    HF_TRY(const auto done, os::run(std::move(command), {}, std::chrono::seconds(30), 4096));
    const std::size_t at = done.output.find("(PostgreSQL) ");
    if (!done.status.ok() || at == done.output.npos)
        return fail(ErrorCode::unsupported, fmt::format("{} does not tell its version", path));
    PostgresTool tool;
    tool.path = path;
    tool.version = done.output.substr(at + 13);
    tool.version.resize(std::min(tool.version.find_first_of(" \n"), tool.version.size()));
    std::from_chars(tool.version.data(), tool.version.data() + tool.version.size(), tool.major);
    return tool;
}

// libpq reads these, too; what we do not set ourselves must not change what a tool does.
const std::vector<std::string> k_unwanted = {"PGDATABASE",       "PGHOSTADDR", "PGOPTIONS",  "PGSERVICE",
                                             "PGCLIENTENCODING", "PGTZ",       "PGDATESTYLE"};

}    // namespace

Result<PostgresTool> find_postgres_tool(const std::string& name, int major, const std::string& bin_folder) {
    std::string seen;
    std::vector<std::string> candidates;
    if (!bin_folder.empty()) {
        candidates = {bin_folder + '/' + name};
    } else {
        candidates = {fmt::format("/usr/lib/postgresql/{}/bin/{}", major, name)};
        if (std::string in_path = os::find_program(name); !in_path.empty()) candidates.push_back(std::move(in_path));
    }
    for (const std::string& candidate : candidates) {
        auto tool = look_at(candidate);
        if (!tool) continue;
        if (tool->major >= major) return tool;
        seen = fmt::format("; {} is of version {}", candidate, tool->version);
    }
    return fail(ErrorCode::unsupported,
                fmt::format("no {} of version {} or newer{}{}", name, major,
                            bin_folder.empty() ? "" : " in " + bin_folder, seen),
                fmt::format("install postgresql-client-{}, or set bin_folder in the configuration to where {} lies",
                            major, name));
}

os::Command postgres_command(const PostgresTool& tool, const PostgresAddress& address, const Secret& password,
                             const std::vector<std::string>& arguments) {
    os::Command command;
    command.arguments = {tool.path, "--no-password", fmt::format("--port={}", address.port)};
    if (!address.host.empty()) command.arguments.push_back("--host=" + address.host);
    if (!address.user.empty()) command.arguments.push_back("--username=" + address.user);
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    const auto timeout = std::chrono::ceil<std::chrono::seconds>(address.connect_timeout).count();
    command.environment = {{"PGCONNECT_TIMEOUT", std::to_string(timeout)}, {"PGAPPNAME", "holdfast"}, {"LC_ALL", "C"}};
    if (!password.empty()) command.environment.emplace_back("PGPASSWORD", password.reveal());
    command.without_environment = k_unwanted;
    return command;
}

Error postgres_tool_error(const std::string& tool, const os::ExitStatus& status, const std::string& errors) {
    Error error{ErrorCode::store, fmt::format("{} failed with {}: {}", tool, status.text(), errors), {}};
    if (errors.find("No space left on device") != errors.npos) {
        error.code = ErrorCode::disk_full;
        error.hint = "free space on the server's disk and start again";
    } else if (errors.find("permission denied") != errors.npos || errors.find("must be superuser") != errors.npos) {
        error.code = ErrorCode::denied;
        error.hint = "use a superuser, or grant the role what it lacks";
    } else if (errors.find("lock timeout") != errors.npos ||
               (errors.find("statement timeout") != errors.npos && errors.find("LOCK TABLE") != errors.npos)) {
        error.code = ErrorCode::changed;
        error.hint = "a table is being altered or locked; try again when that has ended";
    }
    return error;
}

}    // namespace holdfast::db
