// Redis out of the vault: one RDB is made beside the live files (for which increments are replayed) and checked, then the
// server is stopped, the files are switched, and the server that comes up is compared key by key. Where nobody told us how
// to start it, a server of our own proves the file, and the user starts the instance.

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>

#include "holdfast/db/rdb.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/file_lock.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/redis_compare.hpp"
#include "holdfast/recovery/redis_instance.hpp"
#include "holdfast/recovery/redis_replay.hpp"
#include "holdfast/recovery/redis_settings.hpp"
#include "holdfast/recovery/redis_stream.hpp"
#include "holdfast/recovery/restore_store.hpp"

namespace holdfast::recovery {
namespace {

// Ours, in the data folder: on the same file system, so that the switch is a rename.
constexpr std::string_view k_staging = ".holdfast-restore";

// What plan and restore refuse, before anything is done.
Status check_instance(const policy::RedisConfig& config, const RedisInstance& instance, WhenExisting existing) {
    const std::string data = redis_data_in(instance.files);
    const bool holds_keys = instance.running && instance.keys.value_or(1) > 0;
    if (existing == WhenExisting::refuse && (!data.empty() || holds_keys))
        return fail(ErrorCode::exists,
                    data.empty() ? instance.login.text() + " holds keys"
                                 : fmt::format("{} has data already: {}", instance.files.folder, data),
                    "--replace puts it aside and takes its place; --target FOLDER restores elsewhere");
    const bool can_stop =
        !config.stop_command.empty() || (existing == WhenExisting::switch_over && !config.start_command.empty());
    if (instance.running && !can_stop)
        return fail(ErrorCode::locked, instance.login.text() + " is running and would write over the restored files",
                    "stop it, then restore again; or set stop_command and start_command in [[redis]]");
    return {};
}

Status check_space(const RedisInstance& instance, std::uint64_t needed) {
    HF_TRY(const std::uint64_t free, os::free_space(instance.files.folder));
    if (free >= needed) return {};
    return fail(ErrorCode::disk_full,
                fmt::format("restoring takes {} in {}, where {} is free", human_size(needed), instance.files.folder,
                            human_size(free)),
                "make room there; nothing was changed");
}

// Nothing would be replaced, and what is made goes into the instance's own RDB as it is.
bool can_stream(const policy::RedisConfig& config, const RedisInstance& instance, Expiry expiry) {
    return !config.start_command.empty() && !instance.files.append_only && expiry == Expiry::as_now &&
           !instance.running && redis_data_in(instance.files).empty() &&
           (has_redis_pipe(instance.files) || !os::status_of(instance.files.rdb_path(), false));
}

// The data folder, held against a second restore, with an empty staging folder in it that goes with this object.
class Workplace {
public:
    static Result<Workplace> enter(const std::string& folder, Owner owner) {
        if (!os::exists(folder)) {
            HF_DO(os::make_folders(folder, 0750));
            HF_DO(give_to(folder, owner));
        }
        HF_TRY(os::Fd lock, os::open_file(folder, O_RDONLY | O_DIRECTORY));
        HF_DO(os::lock_alone(lock.get(), "another restore is at work in " + folder, "wait for it"));
        // Also what a restore that was killed left behind.
        const std::string staging = fmt::format("{}/{}", folder, k_staging);
        HF_DO(os::remove_tree(staging));
        HF_DO(os::make_folders(staging));
        return Workplace(std::move(lock), staging);
    }
    Workplace(Workplace&& other) noexcept
        : lock_(std::move(other.lock_)), staging_(std::exchange(other.staging_, {})) {}
    Workplace& operator=(Workplace&&) = delete;
    ~Workplace() {
        if (!staging_.empty()) static_cast<void>(os::remove_tree(staging_));
    }
    const std::string& staging() const { return staging_; }

private:
    Workplace(os::Fd lock, std::string staging) : lock_(std::move(lock)), staging_(std::move(staging)) {}
    os::Fd lock_;
    std::string staging_;
};

// What it has only in its memory would be missing from what is kept aside. An append-only file has everything.
Status save_redis(const RedisInstance& instance, const RestoreContext& context) {
    if (instance.files.append_only || instance.keys.value_or(1) == 0) return {};
    db::RedisLogin login = instance.login.clone();
    login.timeout = std::chrono::minutes(10);
    HF_TRY(auto client, db::RedisClient::connect(login));
    HF_TRY(db::RedisReply reply, client.ask({"SAVE"}));
    // One for a replica, or of its own, may be under way.
    while (reply.refusal() && reply.refusal()->text.find("in progress") != std::string::npos && !os::stop_requested()) {
        context.clock.sleep(std::chrono::milliseconds(200));
        HF_TRY(reply, client.ask({"SAVE"}));
    }
    const db::RedisRefusal* refusal = reply.refusal();
    if (!refusal) return {};
    if (refusal->code() == "NOPERM" || refusal_error(*refusal, "SAVE").code == ErrorCode::unsupported) {
        context.say("this user may not tell it to save: what it has not saved by itself is not kept");
        return {};
    }
    return fail(db::refusal_error(*refusal, "SAVE on " + instance.login.text())
                    .within("keeping what is there now, before it is replaced"));
}

// A server that came up with nothing has read other files than those we wrote: the usual cause has a remedy.
Error explain(Error error, const RedisInstance& instance, const std::optional<std::string>& aside) {
    auto now = db::RedisClient::connect(instance.login);
    if (now && error.code == ErrorCode::mismatch && !instance.files.append_only) {
        const auto reply = now->ask({"CONFIG", "GET", "appendonly"});
        if (reply && reply->items().size() == 2 && reply->items()[1].text() == "yes")
            error.hint =
                "it runs with appendonly yes and therefore did not read dump.rdb: stop it, set append_only = true "
                "in [[redis]], and restore again";
    }
    error.hint += fmt::format("{}the restored files are in {}{}", error.hint.empty() ? "" : "; ", instance.files.folder,
                              aside ? ", the old ones in " + *aside : std::string());
    return error;
}

json::Value make_result(const RestoreContext& context, const RedisInstance& instance, const RedisComparison& comparison,
                        bool started, const std::optional<std::string>& aside) {
    json::Value result = json::Value::object({{"folder", instance.files.folder},
                                              {"keys", comparison.server.keys},
                                              {"expired_since", comparison.expired},
                                              {"functions", comparison.server.functions},
                                              {"bytes", context.facts["bytes"].natural()},
                                              {"increments", context.facts["increments"].items().size()},
                                              {"expiry", context.expiry == Expiry::shifted ? "shifted"
                                                         : context.expiry == Expiry::never ? "never"
                                                                                           : "now"},
                                              {"append_only", instance.files.append_only},
                                              {"started", started},
                                              {"compared_in", started ? "the instance" : "a server of our own"},
                                              {"digests_compared", true}});
    json::Value databases = json::Value::array();
    for (const auto& [number, database] : comparison.server.databases)
        databases.push(json::Value::object({{"db", number}, {"keys", database.keys}, {"expires", database.expires}}));
    result.set("databases", std::move(databases));
    if (!started) result.set("next_step", "not started: start the server now, it loads the restored files");
    if (aside) result.set("old_one_is_at", *aside);
    return result;
}

// The data is back; that the server is set otherwise than it was is told and no failure.
void tell_settings(const RestoreContext& context, const RedisInstance& instance, json::Value& result) {
    const auto differences = compare_redis_settings(context, instance.login);
    if (!differences || !differences->compared) return;
    const auto list = [&](const std::vector<std::string>& texts) {
        json::Value array = json::Value::array();
        for (const std::string& text : texts) {
            context.say(text);
            array.push(text);
        }
        return array;
    };
    result.set("settings_differ", list(differences->settings));
    result.set("users_differ", list(differences->users));
}

// Nothing runs when this returns.
Status stop_for_good(const policy::RedisConfig& config, const RestoreContext& context, const RedisInstance& instance) {
    if (instance.running) {
        HF_DO(save_redis(instance, context));
        context.say("stopping " + instance.login.text());
        HF_DO(stop_redis(config, instance, context.clock));
    }
    // What came up in the meantime (a supervisor's restart) would write over the new files.
    if (db::RedisClient::connect(instance.login))
        return fail(ErrorCode::locked, instance.login.text() + " has come up during the restore",
                    "does something restart it? Stop that first; nothing was replaced");
    return {};
}

// The server that was to load what now does not come is gone, too.
Error abandoned(Error error, RedisStream& stream) {
    if (const Status gone = stream.abandon(); !gone)
        error.hint += fmt::format("{}{}: {}", error.hint.empty() ? "" : "; ", gone.error().message, gone.error().hint);
    return error;
}

// Base and increments as they were saved, into an instance with appendonly yes: every byte is proven before the switch, the
// numbers of keys in the instance itself.
Result<json::Value> restore_parts(const policy::RedisConfig& config, const RestoreContext& context,
                                  const RedisSaved& saved, const RedisInstance& instance, Owner owner,
                                  const std::string& staging) {
    HF_TRY(const RedisParts parts, write_redis_parts(context, saved, staging, RedisProof::checksum));
    HF_DO(stop_for_good(config, context, instance));
    context.say("putting the files in place");
    HF_TRY(const std::optional<std::string> aside,
           switch_redis_parts(instance.files, parts.base, parts.increments, owner, context.clock.now(),
                              context.will_replace));
    context.say("starting it and comparing the numbers of keys");
    if (auto up = start_redis(config, instance, context.scratch, context.clock); !up)
        return fail(explain(std::move(up).error(), instance, aside));
    auto equal = compare_redis_numbers(instance.login, context.facts);
    if (!equal) return fail(explain(std::move(equal).error(), instance, aside));
    if (aside) context.say("the old files are in " + *aside);
    json::Value result = make_result(context, instance, *equal, true, aside);
    result.set("digests_compared", false);
    result.set("proof", "count");
    tell_settings(context, instance, result);
    return result;
}

}    // namespace

Result<std::vector<PlanStep>> plan_redis(const policy::RedisConfig& config, const RestoreContext& context) {
    HF_TRY(const RedisSaved saved, find_redis_saved(context));
    HF_TRY(const RedisInstance instance, look_at_redis(config));
    HF_DO(check_instance(config, instance, context.existing));
    HF_TRY([[maybe_unused]] const Owner owner, redis_owner(config.owner, instance.files.folder));
    HF_DO(check_space(instance, saved.space()));

    const std::string data = redis_data_in(instance.files);
    std::vector<PlanStep> steps;
    steps.push_back(
        {fmt::format("restore {} beside the data in {} and check it", human_size(saved.bytes), instance.files.folder),
         saved.bytes, false});
    const bool parts = saved.manifest && instance.files.append_only && !config.start_command.empty() &&
                       context.expiry == Expiry::as_now;
    if (context.expiry == Expiry::shifted)
        steps.push_back({"move the time of each key that expires by the age of the snapshot", 0, false});
    if (context.expiry == Expiry::never) steps.push_back({"let no key expire any more", 0, false});
    if (parts)
        steps.push_back({fmt::format("let it load the {} increments itself", saved.increments.size()), 0, false});
    else if (saved.manifest)
        steps.push_back(
            {fmt::format("replay {} increments in a server of our own", saved.increments.size()), 0, false});
    if (config.start_command.empty())
        steps.push_back({"load it in a server of our own and compare every key", 0, false});
    if (instance.running)
        steps.push_back({fmt::format("stop {}{}", instance.login.text(),
                                     config.stop_command.empty() ? " (SHUTDOWN NOSAVE)" : " with stop_command"),
                         0, true});
    std::string what = instance.files.append_only
                           ? fmt::format("put {} and {} in place", instance.files.rdb, instance.files.append_folder)
                           : fmt::format("put {} in place", instance.files.rdb);
    if (!data.empty()) what += fmt::format(", and {} aside", data);
    steps.push_back({std::move(what), 0, !data.empty()});
    steps.push_back({config.start_command.empty() ? "leave starting it to you (no start_command)"
                     : parts                      ? "start it with start_command and compare the numbers of keys"
                     : can_stream(config, instance, context.expiry)
                         ? "start it with start_command first of all, so that it loads while its file is made, and "
                           "compare every key"
                         : "start it with start_command and compare every key",
                     0, false});
    return steps;
}

Result<json::Value> restore_redis(const policy::RedisConfig& config, const RestoreContext& context) {
    HF_TRY(const RedisSaved saved, find_redis_saved(context));
    HF_TRY(const RedisInstance instance, look_at_redis(config));
    HF_DO(check_instance(config, instance, context.existing));
    HF_TRY(const Owner owner, redis_owner(config.owner, instance.files.folder));
    HF_DO(check_space(instance, saved.space()));

    HF_TRY(const Workplace workplace, Workplace::enter(instance.files.folder, owner));
    HF_DO(release_redis_pipe(instance, context.clock));
    const bool start = !config.start_command.empty();
    context.say(fmt::format("writing {} beside the data in {}", human_size(saved.bytes), instance.files.folder));
    // An instance with an append-only file loads what was saved as it is, and nothing is replayed twice.
    if (start && saved.manifest && instance.files.append_only && context.expiry == Expiry::as_now)
        return restore_parts(config, context, saved, instance, owner, workplace.staging());
    // Two names of one file: one for the switch, one to compare with afterwards.
    const std::string staged = workplace.staging() + "/dump.rdb", kept = workplace.staging() + "/compare.rdb";
    RedisStream stream(config, instance, context, owner, workplace.staging());
    // What came up since it was looked at would write over it.
    const bool streams = can_stream(config, instance, context.expiry) && !db::RedisClient::connect(instance.login);
    if (const Status made =
            make_redis_rdb(context, saved, workplace.staging(), staged,
                           start ? RedisProof::checksum : RedisProof::content, streams ? &stream : nullptr);
        !made)
        return fail(abandoned(made.error(), stream));
    if (::link(staged.c_str(), kept.c_str()) != 0)
        return fail(errno_error(errno, fmt::format("cannot link {} to {}", staged, kept)));

    std::optional<RedisComparison> comparison;
    if (!start) {
        context.say("loading it in a server of our own and comparing every key");
        HF_TRY(comparison, [&]() -> Result<std::optional<RedisComparison>> {
            HF_TRY(RedisComparison equal, prove_redis_file(kept, workplace.staging() + "/proof", context.clock));
            return std::optional(std::move(equal));
        }());
    }
    if (!stream.follows()) HF_DO(stop_for_good(config, context, instance));
    context.say("putting the files in place");
    std::optional<std::string> aside;
    if (stream.follows()) {
        if (const Status placed = place_redis_file(instance.files, staged, owner); !placed)
            return fail(abandoned(placed.error(), stream));
    } else {
        HF_TRY(aside, switch_redis_files(instance.files, staged, owner, context.clock.now(), context.will_replace));
    }
    if (start) {
        context.say(stream.follows() ? "comparing every key" : "starting it and comparing every key");
        const Status up =
            stream.follows() ? stream.finish() : start_redis(config, instance, context.scratch, context.clock);
        if (!up) return fail(explain(up.error(), instance, aside));
        // Of a whole copy the manifest has the digest: read before the switch, it would have cost half a load.
        const json::Value& base = context.facts["base"].is_null() ? context.facts : context.facts["base"];
        const std::string known =
            !saved.manifest && context.expiry == Expiry::as_now ? base["digest"].text() : std::string();
        auto equal = compare_redis(instance.login, kept, context.clock, known);
        if (!equal) return fail(explain(std::move(equal).error(), instance, aside));
        if (!known.empty() && equal->file_digest != known)
            return fail(explain({ErrorCode::mismatch, "the RDB of the snapshot is not what its manifest describes", ""},
                                instance, aside));
        comparison = *std::move(equal);
    }
    if (aside) context.say("the old files are in " + *aside);
    if (!start) context.say("not started: start the server now, it loads the restored files");
    json::Value result = make_result(context, instance, *comparison, start, aside);
    if (start) tell_settings(context, instance, result);
    return result;
}

}    // namespace holdfast::recovery
