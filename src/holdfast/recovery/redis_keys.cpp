#include "holdfast/recovery/redis_keys.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "holdfast/os/host.hpp"
#include "holdfast/os/scratch_folder.hpp"
#include "holdfast/recovery/redis_replay.hpp"
#include "holdfast/recovery/redis_scratch.hpp"
#include "holdfast/source/redis_increment.hpp"
#include "holdfast/source/redis_login.hpp"

namespace holdfast::recovery {
namespace {

// By database: the keys that fit. A scan may give a name twice.
using Names = std::map<std::uint64_t, std::set<std::string>>;

Result<Names> find_names(db::RedisClient& from, const std::string& pattern) {
    HF_TRY(const db::RedisReply info, from.command({"INFO"}));
    const auto moment = source::parse_redis_moment(info.text());
    if (!moment) return fail(ErrorCode::store, "our redis-server does not tell what it holds");
    Names names;
    for (const auto& [number, database] : moment->databases) {
        HF_DO(from.command({"SELECT", std::to_string(number)}));
        std::string cursor = "0";
        do {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped; nothing was written");
            HF_TRY(const db::RedisReply page, from.command({"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"}));
            if (page.items().size() != 2)
                return fail(ErrorCode::store, "our redis-server answers SCAN with something else");
            cursor = page.items()[0].text();
            for (const db::RedisReply& name : page.items()[1].items()) names[number].insert(name.text());
        } while (cursor != "0");
    }
    return names;
}

struct Counts {
    std::uint64_t found = 0, written = 0, replaced = 0, kept = 0;
};

class Carrier {
public:
    Carrier(db::RedisClient& from, db::RedisClient& to, const RedisKeys& keys) : from_(from), to_(to), keys_(keys) {}

    // How many of them the live server has, and the name of one.
    Status look(const Names& names) {
        for (const auto& [number, in_database] : names) {
            HF_DO(to_.command({"SELECT", std::to_string(number)}));
            for (const std::string& name : in_database) {
                HF_TRY(const db::RedisReply reply, to_.command({"EXISTS", name}));
                ++counts_.found;
                if (reply.integer() == 0) continue;
                ++there_;
                if (one_of_them_.empty()) one_of_them_ = fmt::format("'{}' in db{}", name, number);
            }
        }
        if (keys_.conflict != KeyConflict::refuse || there_ == 0) return {};
        return fail(ErrorCode::exists,
                    fmt::format("{} of {} keys are in {} already, as {}; nothing was written", there_, counts_.found,
                                to_.peer(), one_of_them_),
                    "--conflict keep leaves those as they are, --conflict replace overwrites them");
    }

    Status carry(const Names& names) {
        for (const auto& [number, in_database] : names) {
            HF_DO(from_.command({"SELECT", std::to_string(number)}));
            HF_DO(to_.command({"SELECT", std::to_string(number)}));
            for (const std::string& name : in_database)
                if (auto done = carry(name); !done) {
                    Error error = std::move(done).error();
                    error.hint +=
                        fmt::format("{}{} keys were written before", error.hint.empty() ? "" : "; ", counts_.written);
                    return fail(std::move(error));
                }
        }
        return {};
    }
    void pretend() {
        counts_.kept = keys_.conflict == KeyConflict::keep ? there_ : 0;
        counts_.replaced = keys_.conflict == KeyConflict::replace ? there_ : 0;
        counts_.written = counts_.found - counts_.kept;
    }
    const Counts& counts() const { return counts_; }

private:
    Status carry(const std::string& name) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
        HF_TRY(const db::RedisReply value, from_.command({"DUMP", name}));
        if (value.is_null()) {    // its time has come while we worked
            --counts_.found;
            return {};
        }
        HF_TRY(const db::RedisReply expires, from_.command({"PEXPIRETIME", name}));
        const std::string at = std::to_string(std::max<std::int64_t>(0, expires.integer()));
        const bool replace = keys_.conflict == KeyConflict::replace;
        bool was_there = false;
        if (replace) {
            HF_TRY(const db::RedisReply exists, to_.command({"EXISTS", name}));
            was_there = exists.integer() == 1;
        }
        std::vector<std::string_view> command = {"RESTORE", name, at, value.text(), "ABSTTL"};
        if (replace) command.push_back("REPLACE");
        HF_TRY(const db::RedisReply reply, to_.ask(command));
        if (const db::RedisRefusal* refusal = reply.refusal()) {
            if (refusal->code() == "BUSYKEY" && keys_.conflict == KeyConflict::keep) {
                ++counts_.kept;
                return {};
            }
            Error error = db::refusal_error(*refusal, "RESTORE on " + to_.peer());
            if (refusal->text.find("payload version") != std::string::npos)
                error.hint = "is this server older than the one that was backed up?";
            return fail(std::move(error));
        }
        ++counts_.written;
        counts_.replaced += was_there;
        return {};
    }

    db::RedisClient &from_, &to_;
    const RedisKeys& keys_;
    Counts counts_;
    std::uint64_t there_ = 0;
    std::string one_of_them_;
};

}    // namespace

Result<json::Value> restore_redis_keys(const policy::RedisConfig& config, const RestoreContext& context,
                                       const RedisKeys& keys) {
    HF_TRY(const RedisSaved saved, find_redis_saved(context));
    HF_TRY(const db::RedisLogin login, source::redis_login(config));
    // Before the work: is it there, and does it take our password?
    HF_TRY(db::RedisClient to, db::RedisClient::connect(login));
    HF_DO(to.command({"PING"}));

    HF_TRY(const os::ScratchFolder folder, os::ScratchFolder::create("redis", context.scratch));
    context.say(fmt::format("loading {} in a server of our own", human_size(saved.bytes)));
    HF_DO(make_redis_rdb(context, saved, folder.path(), folder.path() + "/dump.rdb"));
    std::uint64_t databases = 16;
    for (const json::Value& one : context.facts["databases"].items())
        databases = std::max(databases, one["db"].natural() + 1);
    HF_TRY(const ScratchRedis server,
           ScratchRedis::start(fmt::format("dir \"{}\"\nappendonly no\ndatabases {}\n", folder.path(), databases),
                               context.clock));
    HF_TRY(db::RedisClient from, db::RedisClient::connect(server.login()));
    HF_TRY(const Names names, find_names(from, keys.pattern));

    Carrier carrier(from, to, keys);
    HF_DO(carrier.look(names));
    if (keys.dry_run) {
        carrier.pretend();
    } else {
        context.say(fmt::format("writing {} keys into {}", carrier.counts().found, to.peer()));
        HF_DO(carrier.carry(names));
    }
    const Counts& counts = carrier.counts();
    return json::Value::object({{"pattern", keys.pattern},
                                {"found", counts.found},
                                {"written", counts.written},
                                {"replaced", counts.replaced},
                                {"kept", counts.kept},
                                {"dry_run", keys.dry_run}});
}

}    // namespace holdfast::recovery
