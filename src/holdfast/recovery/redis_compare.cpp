#include "holdfast/recovery/redis_compare.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "holdfast/db/redis_replica.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::recovery {
namespace {

using namespace std::chrono_literals;

std::int64_t unix_ms(Timestamp t) { return t.nanoseconds / 1'000'000; }

std::string databases_text(const db::RdbSummary& summary) {
    std::string text;
    for (const auto& [number, database] : summary.databases)
        text += fmt::format("{}db{}: {}", text.empty() ? "" : ", ", number, database.keys);
    return text.empty() ? "no keys" : text;
}

}    // namespace

Result<RedisComparison> compare_redis(const db::RedisLogin& login, const std::string& rdb_file, Clock& clock) {
    // Which keys may expire while we look is known only afterwards; the hour is a bound that nothing reaches.
    const std::int64_t soon_ms = unix_ms(clock.now() + 1h);
    std::vector<Id> expiring;
    HF_TRY(db::RedisClient client, db::RedisClient::connect(login));
    HF_TRY(db::RedisReplica replica, db::RedisReplica::attach(std::move(client), login.user));
    db::RdbOptions collect{[&](const db::RdbKey& key) {
        if (key.expires_ms != -1 && key.expires_ms <= soon_ms) expiring.push_back(key.hash);
    }};
    HF_TRY(db::RdbSummary server, db::read_rdb([&](ByteSpan to) { return replica.read(to); }, collect));
    const std::int64_t now_ms = unix_ms(clock.now());
    HF_DO(replica.leave());
    if (now_ms > soon_ms)
        return fail(ErrorCode::changed, fmt::format("comparing {} took longer than an hour", login.text()),
                    "the data is in place; compare it by a new backup");

    std::ranges::sort(expiring);
    RedisComparison comparison{std::move(server), 0};
    db::RdbSum expected;
    db::RdbOptions choose{[&](const db::RdbKey& key) {
        const bool over = key.expires_ms != -1 && key.expires_ms <= now_ms;
        if (over && !std::ranges::binary_search(expiring, key.hash))
            ++comparison.expired;
        else
            expected.add(key.hash);
    }};
    HF_TRY(const db::RdbSummary file, db::read_rdb_file(rdb_file, choose));
    if (expected == comparison.server.keys_sum && file.functions_sum == comparison.server.functions_sum)
        return comparison;

    const std::uint64_t keys = file.keys - comparison.expired;
    std::string what;
    if (comparison.server.keys != keys)
        what = fmt::format("{} keys and not {} ({}; expected {}{})", comparison.server.keys, keys,
                           databases_text(comparison.server), databases_text(file),
                           comparison.expired > 0 ? fmt::format(", of which {} have expired", comparison.expired) : "");
    else if (comparison.server.functions != file.functions)
        what = fmt::format("{} function libraries and not {}", comparison.server.functions, file.functions);
    else
        what = "as many keys as was backed up, but not the same content";
    return fail(ErrorCode::mismatch, fmt::format("{} holds {}", login.text(), what),
                "were clients writing to it already? Keep them away until a restore is done");
}

Status wait_for_redis(const db::RedisLogin& login, Clock& clock, Duration silence_max) {
    Instant deadline = clock.instant() + silence_max;
    for (;;) {
        auto client = db::RedisClient::connect(login);
        auto reply = client ? client->ask({"PING"}) : Result<db::RedisReply>(fail(client.error()));
        const db::RedisRefusal* refusal = reply ? reply->refusal() : nullptr;
        if (reply && !refusal) return {};
        const bool loading = refusal && refusal->code() == "LOADING";
        if (loading) deadline = clock.instant() + silence_max;
        Error error = refusal ? db::refusal_error(*refusal, "PING on " + login.text()) : reply.error();
        if (!loading && error.code != ErrorCode::unreachable) return fail(std::move(error));
        if (clock.instant() >= deadline) {
            error.hint = "see its log: it may not have accepted its files";
            return fail(std::move(error));
        }
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while waiting for " + login.text());
        clock.sleep(50ms);
    }
}

Result<RedisComparison> prove_redis_file(const std::string& rdb_file, const std::string& folder, Clock& clock) {
    const std::string program = os::find_program("redis-server", {"/usr/bin", "/usr/local/bin", "/usr/sbin"});
    if (program.empty())
        return fail(ErrorCode::not_found, "there is no redis-server on this machine that could load the restored file",
                    "install it, or set start_command in [[redis]]: the restored instance itself is then compared");
    HF_TRY(const db::RdbSummary file, db::read_rdb_file(rdb_file));
    const std::uint64_t databases =
        file.databases.empty() ? 16 : std::max<std::uint64_t>(16, file.databases.rbegin()->first + 1);

    // A path for the socket that is short enough: 107 bytes is all that the kernel takes.
    HF_TRY(const os::TempFolder sockets, os::TempFolder::create("hf-redis-", "/tmp"));
    HF_DO(os::make_folders(folder));
    if (::link(rdb_file.c_str(), (folder + "/proof.rdb").c_str()) != 0)
        return fail(errno_error(errno, fmt::format("cannot link {} into {}", rdb_file, folder)));
    const std::string socket = sockets.path() + "/s", log = sockets.path() + "/log",
                      settings = sockets.path() + "/conf";
    HF_DO(os::write_file(settings, as_bytes(fmt::format("port 0\nunixsocket {}\nunixsocketperm 700\ndir \"{}\"\n"
                                                        "dbfilename proof.rdb\nsave \"\"\nappendonly no\nmaxmemory 0\n"
                                                        "databases {}\nrepl-diskless-sync yes\n"
                                                        "repl-diskless-sync-delay 0\ndaemonize no\n",
                                                        socket, folder, databases))));
    os::Command command;
    command.arguments = {program, settings};
    command.output_file = log;
    command.errors = os::Stream::null;
    HF_TRY(os::Process server, os::Process::start(command));
    db::RedisLogin login;
    login.socket = socket;
    // It is not up at once, and it may end instead of coming up: a file that it does not take.
    Status up;
    do up = wait_for_redis(login, clock, 1s);
    while (!up && up.error().code == ErrorCode::unreachable && !server.wait(Duration::zero()));
    Result<RedisComparison> compared = up ? compare_redis(login, rdb_file, clock) : fail(up.error());
    if (!up && up.error().code == ErrorCode::unreachable) {
        const auto text = os::read_text(log);
        const std::string tail = text ? text->substr(text->size() > 600 ? text->size() - 600 : 0) : "";
        compared = fail(ErrorCode::store, "redis-server does not load the restored file: " + tail,
                        "is it older than the server that was backed up?");
    }
    ::unlink((folder + "/proof.rdb").c_str());
    return compared;
}

}    // namespace holdfast::recovery
