#include "holdfast/recovery/redis_compare.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <vector>

#include "holdfast/base/log.hpp"
#include "holdfast/db/redis_replica.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/redis_scratch.hpp"
#include "holdfast/source/redis_increment.hpp"

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

// A server waits for more replicas before it sends its RDB (5 s by default). The one that was started for this restore has
// nobody to wait for, and trading waits for it: it is told not to, while this object lives. One that takes no such order is waited for.
class NoSyncDelay {
public:
    explicit NoSyncDelay(const db::RedisLogin& login) : login_(login) {
        auto client = db::RedisClient::connect(login_);
        if (!client) return;
        const auto reply = client->command({"CONFIG", "GET", k_setting});
        if (!reply || reply->items().size() != 2 || reply->items()[1].text() == "0") return;
        if (client->command({"CONFIG", "SET", k_setting, "0"})) before_ = reply->items()[1].text();
    }
    ~NoSyncDelay() {
        if (before_.empty()) return;
        auto client = db::RedisClient::connect(login_);
        if (!client || !client->command({"CONFIG", "SET", k_setting, before_}))
            log_warning("a setting is not what it was until the server is started again",
                        {{"server", login_.text()}, {"setting", k_setting}, {"was", before_}});
    }
    NoSyncDelay(const NoSyncDelay&) = delete;
    NoSyncDelay& operator=(const NoSyncDelay&) = delete;

private:
    static constexpr const char* k_setting = "repl-diskless-sync-delay";
    const db::RedisLogin& login_;
    std::string before_;
};

Result<db::RedisReplica> attach_at_once(const db::RedisLogin& login) {
    const NoSyncDelay now(login);
    HF_TRY(db::RedisClient client, db::RedisClient::connect(login));
    return db::RedisReplica::attach(std::move(client), login.user);
}

}    // namespace

Result<RedisComparison> compare_redis(const db::RedisLogin& login, const std::string& rdb_file, Clock& clock,
                                      std::string_view known_digest) {
    // Which keys may expire while we look is known only afterwards; the hour is a bound that nothing reaches.
    const std::int64_t soon_ms = unix_ms(clock.now() + 1h);
    std::vector<Id> expiring;
    HF_TRY(db::RedisReplica replica, attach_at_once(login));
    db::RdbOptions collect{[&](const db::RdbKey& key) {
        if (key.expires_ms != -1 && key.expires_ms <= soon_ms) expiring.push_back(key.hash);
    }};
    HF_TRY(db::RdbSummary server, db::read_rdb([&](ByteSpan to) { return replica.read(to); }, collect));
    const std::int64_t now_ms = unix_ms(clock.now());
    HF_DO(replica.leave());
    if (std::string digest = server.digest(); digest == known_digest)
        return RedisComparison{std::move(server), 0, std::move(digest)};
    if (now_ms > soon_ms)
        return fail(ErrorCode::changed, fmt::format("comparing {} took longer than an hour", login.text()),
                    "the data is in place; compare it by a new backup");

    std::ranges::sort(expiring);
    RedisComparison comparison{std::move(server), 0, {}};
    db::RdbSum expected;
    db::RdbOptions choose{[&](const db::RdbKey& key) {
        const bool over = key.expires_ms != -1 && key.expires_ms <= now_ms;
        if (over && !std::ranges::binary_search(expiring, key.hash))
            ++comparison.expired;
        else
            expected.add(key.hash);
    }};
    HF_TRY(const db::RdbSummary file, db::read_rdb_file(rdb_file, choose));
    comparison.file_digest = file.digest();
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

Result<RedisComparison> compare_redis_numbers(const db::RedisLogin& login, const json::Value& facts) {
    HF_TRY(db::RedisClient client, db::RedisClient::connect(login));
    HF_TRY(const db::RedisReply info, client.command({"INFO"}));
    const auto moment = source::parse_redis_moment(info.text());
    if (!moment) return fail(ErrorCode::store, login.text() + " does not tell what it holds");
    std::map<std::uint64_t, std::uint64_t> expected;
    std::uint64_t wanted = 0, gone = 0;
    for (const json::Value& one : facts["databases"].items())
        wanted += expected[one["db"].natural()] = one["keys"].natural();
    for (const char* counter : {"expired_keys", "evicted_keys"}) {
        const std::string digits = db::info_field(info.text(), counter);
        std::uint64_t number = 0;
        std::from_chars(digits.data(), digits.data() + digits.size(), number);
        gone += number;
    }
    RedisComparison comparison;
    comparison.server.databases = moment->databases;
    bool more = false;
    for (const auto& [number, database] : moment->databases) {
        comparison.server.keys += database.keys;
        more |= database.keys > expected[number];
    }
    comparison.expired = gone;
    if (!more && comparison.server.keys + gone == wanted) return comparison;
    return fail(ErrorCode::mismatch,
                fmt::format("{} holds {} keys ({}), and {} have expired since it started: {} were saved", login.text(),
                            comparison.server.keys, databases_text(comparison.server), gone, wanted),
                "were clients writing to it already? Keep them away until a restore is done. Else restore an earlier "
                "snapshot of "
                "which manifest.json says \"how\": \"whole\"");
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
    HF_TRY(const db::RdbSummary file, db::read_rdb_file(rdb_file));
    const std::uint64_t databases =
        file.databases.empty() ? 16 : std::max<std::uint64_t>(16, file.databases.rbegin()->first + 1);
    HF_DO(os::make_folders(folder));
    const std::string proof = folder + "/proof.rdb";
    if (::link(rdb_file.c_str(), proof.c_str()) != 0)
        return fail(errno_error(errno, fmt::format("cannot link {} into {}", rdb_file, folder)));
    const auto server =
        ScratchRedis::start(fmt::format("dir \"{}\"\ndbfilename proof.rdb\nappendonly no\ndatabases {}\n"
                                        "repl-diskless-sync yes\nrepl-diskless-sync-delay 0\n",
                                        folder, databases),
                            clock);
    Result<RedisComparison> compared = server ? compare_redis(server->login(), rdb_file, clock) : fail(server.error());
    ::unlink(proof.c_str());
    return compared;
}

}    // namespace holdfast::recovery
