#include "holdfast_duckdb.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>

#include "guarded.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/source/duckdb_door.hpp"

namespace {

using namespace holdfast;

constexpr const char* k_attached = "\"holdfast copy\"";
constexpr std::size_t k_error_size = 2048;
constexpr std::size_t k_owner_least = offsetof(hfd_owner, states_folder) + sizeof(const char*);

thread_local std::string t_error;

hfd_code failed(hfd_code code, std::string text) {
    t_error = std::move(text);
    return code;
}

template <class Call>
hfd_code guarded(Call&& call) {
    return capi::guarded(HFD_INTERNAL, t_error, call);
}

hfd_code check(const hfd_owner* owner, bool needs_run) {
    if (!owner || owner->size < k_owner_least) return failed(HFD_USAGE, "hfd_owner.size is not set");
    if (needs_run && !owner->run) return failed(HFD_USAGE, "hfd_owner.run is not set: nothing runs SQL");
    return HFD_OK;
}

hfd_code run(const hfd_owner& owner, const std::string& sql) {
    char said[k_error_size] = "";
    if (owner.run(owner.context, sql.c_str(), said, sizeof said) == 0) return HFD_OK;
    said[sizeof said - 1] = 0;
    return failed(HFD_SQL, fmt::format("{}: {}", sql, said[0] ? said : "it failed"));
}

hfd_code ask(const hfd_owner& owner, unsigned timeout_ms) {
    if (!owner.file) return HFD_NOBODY;
    if (owner.file[0] != '/' || (owner.states_folder && owner.states_folder[0] != '/'))
        return failed(HFD_USAGE, "file and states_folder are absolute paths");
    const std::string folder = source::duckdb_states_folder(owner.file, owner.states_folder ? owner.states_folder : "");
    switch (source::ask_duckdb_keeper(folder, std::chrono::milliseconds(timeout_ms))) {
        case source::DoorAnswer::kept:
            return HFD_OK;
        case source::DoorAnswer::nobody:
            return HFD_NOBODY;
        case source::DoorAnswer::late:
            return failed(HFD_LATE,
                          fmt::format("the keeper of {} did not answer within {} ms", owner.file, timeout_ms));
        case source::DoorAnswer::failed:
            break;
    }
    return failed(HFD_FAILED, fmt::format("the keeper of {} could not keep a state: it says why", owner.file));
}

std::string quoted(std::string_view text, char quote) {
    std::string out(1, quote);
    for (const char c : text) out.append(c == quote ? 2 : 1, c);
    return out + quote;
}

hfd_code io_error(const std::string& what) {
    return failed(HFD_IO, fmt::format("{}: {}", what, errno_error(errno, "").message));
}

// Closed by DuckDB, with nothing left in a log: only then is it one file.
hfd_code publish(const std::string& made, const std::string& to) {
    if (os::exists(made + ".wal")) return failed(HFD_IO, "DuckDB left a log beside the copy");
    {
        const auto file = os::open_file(made, O_RDONLY);
        if (!file) return failed(HFD_IO, file.error().message);
        if (const auto synced = os::sync_fd(file->get(), made); !synced) return failed(HFD_IO, synced.error().message);
    }
    if (::rename(made.c_str(), to.c_str()) != 0) return io_error("cannot put the copy at " + to);
    const auto synced = os::sync_folder(os::parent_folder(to));
    return synced ? HFD_OK : failed(HFD_IO, synced.error().message);
}

hfd_code copy(const hfd_owner& owner, const std::string& database, const std::string& to) {
    if (os::exists(to + ".wal"))
        return failed(
            HFD_IO,
            fmt::format(
                "{0}.wal is there, and would be replayed into the new copy: close what has {0} open, or remove it",
                to));
    const std::string made = to + ".holdfast-copy";
    // Of one that was killed.
    for (const char* suffix : {"", ".wal"})
        if (::unlink((made + suffix).c_str()) != 0 && errno != ENOENT)
            return io_error("cannot remove " + made + suffix);
    hfd_code code = run(owner, fmt::format("ATTACH {} AS {}", quoted(made, '\''), k_attached));
    if (code == HFD_OK) {
        (void)::chmod(made.c_str(), 0600);
        code = run(owner, fmt::format("COPY FROM DATABASE {} TO {}", quoted(database, '"'), k_attached));
        const std::string why = t_error;
        const hfd_code detached = run(owner, fmt::format("DETACH {}", k_attached));
        if (code != HFD_OK)
            t_error = why;    // what it began with
        else
            code = detached;
    }
    if (code == HFD_OK) code = publish(made, to);
    if (code != HFD_OK)
        for (const char* suffix : {"", ".wal"}) ::unlink((made + suffix).c_str());
    return code;
}

}    // namespace

extern "C" {

int hfd_api_version(void) { return HFD_API_VERSION; }

const char* hfd_code_name(int code) {
    switch (code) {
#define HFD_NAMED(name) \
    case name:          \
        return #name;
        HFD_NAMED(HFD_OK)
        HFD_NAMED(HFD_NOBODY)
        HFD_NAMED(HFD_USAGE)
        HFD_NAMED(HFD_SQL)
        HFD_NAMED(HFD_IO)
        HFD_NAMED(HFD_LATE)
        HFD_NAMED(HFD_FAILED)
#undef HFD_NAMED
        default:
            return "HFD_INTERNAL";
    }
}

const char* hfd_last_error(void) { return t_error.c_str(); }

hfd_code hfd_before_checkpoint(const hfd_owner* owner, unsigned timeout_ms) {
    return guarded([&] {
        const hfd_code code = check(owner, false);
        return code == HFD_OK ? ask(*owner, timeout_ms) : code;
    });
}

hfd_code hfd_after_checkpoint(const hfd_owner* owner, unsigned timeout_ms) {
    return hfd_before_checkpoint(owner, timeout_ms);
}

hfd_code hfd_checkpoint(const hfd_owner* owner, unsigned timeout_ms) {
    return guarded([&] {
        if (const hfd_code code = check(owner, true); code != HFD_OK) return code;
        const hfd_code before = ask(*owner, timeout_ms);
        if (const hfd_code code = run(*owner, "CHECKPOINT"); code != HFD_OK) return code;
        const std::string why = t_error;
        const hfd_code after = ask(*owner, timeout_ms);
        if (before < 0) t_error = why;
        return before < 0 ? before : after;
    });
}

hfd_code hfd_copy(const hfd_owner* owner, const char* database, const char* to) {
    return guarded([&] {
        if (const hfd_code code = check(owner, true); code != HFD_OK) return code;
        if (!database || !database[0]) return failed(HFD_USAGE, "no database was named");
        if (!to || to[0] != '/') return failed(HFD_USAGE, "the copy needs an absolute path");
        return copy(*owner, database, to);
    });
}

}    // extern "C"
