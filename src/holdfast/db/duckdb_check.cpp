#include "holdfast/db/duckdb_check.hpp"

#include <fmt/core.h>
#include <poll.h>

#include <cstdio>

#include "holdfast/db/duckdb_inspect.hpp"
#include "holdfast/db/duckdb_library.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::db {
namespace {

constexpr std::string_view k_program = "holdfast-duckdb-verify";
constexpr std::size_t k_answer_max = std::size_t(256) << 20;

std::string_view depth_name(DuckDbCheck::Depth depth) {
    switch (depth) {
        case DuckDbCheck::Depth::catalog:
            return "--catalog";
        case DuckDbCheck::Depth::count:
            return "--count";
        case DuckDbCheck::Depth::digest:
            return "--digest";
    }
    return "";
}

ErrorCode code_named(std::string_view name) {
#define HF_NAMED(code, exit, retry, meaning) \
    if (name == #code) return ErrorCode::code;
    HF_ERRORS(HF_NAMED)
#undef HF_NAMED
    return ErrorCode::internal;
}

// Whatever a copy makes DuckDB say while it is opened and read is the copy's fault, except for what is named here.
Error as_damage(Error error) {
    switch (error.code) {
        case ErrorCode::unsupported:
        case ErrorCode::disk_full:
        case ErrorCode::not_found:
        case ErrorCode::locked:
        case ErrorCode::corrupt:
            return error;
        default:
            break;
    }
    const bool out_of_memory = error.message.find("Out of Memory") != std::string::npos;
    error.code = out_of_memory ? ErrorCode::store : ErrorCode::corrupt;
    return error;
}

// The child's own limits: what does not fit is spilled beside the copy.
const DuckDb::Settings k_settings = {{"memory_limit", "1GB"}, {"preserve_insertion_order", "false"}};

Status settle(const std::string& path) {
    {
        HF_TRY(DuckDb database, DuckDb::open(path, DuckDb::Mode::read_write, k_settings));
        HF_DO(database.run("CHECKPOINT"));
    }
    for (const std::string suffix : {".wal", ".wal.checkpoint", ".wal.recovery"}) {
        if (os::exists(path + suffix))
            return fail(ErrorCode::corrupt, fmt::format("DuckDB left {}{} behind a checkpoint", path, suffix));
    }
    return {};
}

// In the storage format of the damaged one, so that the same programs open it.
Status copy_tables(const std::string& path, const std::string& to) {
    HF_TRY(DuckDb database, DuckDb::open(":memory:", DuckDb::Mode::read_write, k_settings));
    HF_DO(database.run(fmt::format("ATTACH {} AS damaged (READ_ONLY)", quote_duckdb_text(path))));
    const auto version = database.query(
        "SELECT rtrim(tags['storage_version'], '+') FROM duckdb_databases() WHERE "
        "database_name = 'damaged'");
    const std::string stored = !version || version->rows.empty() ? "" : version->rows[0][0].value_or("");
    HF_DO(database.run(
        fmt::format("ATTACH {} AS made{}", quote_duckdb_text(to),
                    stored.empty() ? "" : fmt::format(" (STORAGE_VERSION {})", quote_duckdb_text(stored)))));
    return database.run("COPY FROM DATABASE damaged TO made (SCHEMA); CHECKPOINT made; DETACH made");
}

Result<json::Value> inspect_file(const std::string& path, const DuckDbCheck& check) {
    if (!os::exists(path)) return fail(ErrorCode::not_found, path + " does not exist");
    if (!check.tables_to.empty()) {
        HF_DO(copy_tables(path, check.tables_to));
        return json::Value::object({});
    }
    if (check.settle) HF_DO(settle(path));
    HF_TRY(DuckDb database, DuckDb::open(path, DuckDb::Mode::read_only, k_settings));
    return inspect_duckdb(database, check.depth);
}

}    // namespace

int duckdb_verify_main(int count, const char* const* arguments) {
    DuckDbCheck check;
    std::string path;
    for (int i = 1; i < count; ++i) {
        const std::string_view argument = arguments[i];
        if (argument == "--settle")
            check.settle = true;
        else if (argument == "--tables-to" && i + 1 < count)
            check.tables_to = arguments[++i];
        else if (argument == "--catalog")
            check.depth = DuckDbCheck::Depth::catalog;
        else if (argument == "--count")
            check.depth = DuckDbCheck::Depth::count;
        else if (argument == "--digest")
            check.depth = DuckDbCheck::Depth::digest;
        else
            path = argument;
    }
    if (path.empty()) {
        fmt::print(stderr,
                   "usage: {} [--settle] [--tables-to FILE] [--catalog|--count|--digest] FILE\n"
                   "Opens a DuckDB file (with its .wal) read-only, reads it and prints what is in it as JSON.\n"
                   "--settle folds the .wal into the file first. No other process may have the file open.\n"
                   "--tables-to FILE makes a new file with its tables and no rows instead.\n",
                   k_program);
        return facts(ErrorCode::usage).exit_status;
    }
    const Result<json::Value> found = inspect_file(path, check);
    if (found) {
        fmt::print("{}\n", dump(*found, 0));
        return 0;
    }
    const Error error = as_damage(found.error());
    fmt::print("{}\n", dump(json::Value::object({{"error", std::string(facts(error.code).name)},
                                                 {"message", error.message},
                                                 {"hint", error.hint}}),
                            0));
    return facts(error.code).exit_status;
}

std::string_view to_text(DuckDbCheck::Depth depth) {
    return depth == DuckDbCheck::Depth::digest ? "digest" : depth == DuckDbCheck::Depth::count ? "count" : "none";
}

Result<DuckDbChecker> DuckDbChecker::start(const std::string& path, const DuckDbCheck& check) {
    const std::string program = os::parent_folder(os::own_program()) + "/" + std::string(k_program);
    if (!os::exists(program))
        return fail(ErrorCode::unsupported, fmt::format("{} is missing, so DuckDB copies cannot be checked", program),
                    "install it beside holdfast; it is part of the same build");
    os::Command command;
    command.arguments = {program, std::string(depth_name(check.depth))};
    if (check.settle) command.arguments.push_back("--settle");
    if (!check.tables_to.empty()) command.arguments.insert(command.arguments.end(), {"--tables-to", check.tables_to});
    command.arguments.push_back(path);
    HF_TRY(os::Process process, os::Process::start(command));
    return DuckDbChecker(std::move(process), path);
}

Result<json::Value> DuckDbChecker::finish() {
    std::string answer;
    Bytes buffer(64 << 10);
    while (true) {
        pollfd waiting{process_.output(), POLLIN, 0};
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while checking " + path_);
        if (::poll(&waiting, 1, 200) <= 0) continue;
        HF_TRY(const std::size_t got, os::read_some(process_.output(), buffer));
        if (got == 0) break;
        if (answer.size() < k_answer_max) answer += as_text(ByteView(buffer).first(got));
    }
    HF_TRY(const os::ExitStatus status, process_.wait());
    if (os::stop_requested())
        return fail(ErrorCode::cancelled, "stopped while checking " + path_);    // Ctrl-C hit both
    if (status.signal != 0)
        return fail(ErrorCode::corrupt, fmt::format("DuckDB crashed on {} ({})", path_, status.text()),
                    process_.errors());
    HF_TRY(json::Value said, json::parse(answer, "the answer of " + std::string(k_program)));
    if (!said["error"].is_null())
        return fail(code_named(said["error"].text()), said["message"].text(), said["hint"].text());
    if (!status.ok())
        return fail(ErrorCode::internal, fmt::format("{} ended with {}", k_program, status.text()), process_.errors());
    return said;
}

}    // namespace holdfast::db
