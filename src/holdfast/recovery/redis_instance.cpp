#include "holdfast/recovery/redis_instance.hpp"

#include <fmt/core.h>

#include <charconv>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/recovery/redis_compare.hpp"
#include "holdfast/source/redis_login.hpp"

namespace holdfast::recovery {
namespace {

using namespace std::chrono_literals;

constexpr Duration k_command_max = 120s, k_silence_max = 60s, k_answer_max = 500ms;

std::string launch_log(const std::string& scratch) { return scratch + "/redis-start.log"; }

// nullopt when this user may not ask.
Result<std::optional<std::string>> setting(db::RedisClient& client, std::string_view name) {
    HF_TRY(const db::RedisReply reply, client.ask({"CONFIG", "GET", name}));
    if (const db::RedisRefusal* refusal = reply.refusal()) {
        Error error = db::refusal_error(*refusal, "CONFIG on " + client.peer());
        if (refusal->code() == "NOPERM" || error.code == ErrorCode::unsupported) return std::nullopt;
        return fail(std::move(error));
    }
    if (reply.items().size() != 2) return std::nullopt;
    return reply.items()[1].text();
}

// "db0:keys=12,expires=3,avg_ttl=0" for each database.
std::uint64_t count_keys(std::string_view keyspace) {
    std::uint64_t sum = 0;
    for (std::size_t at = keyspace.find(":keys="); at != std::string_view::npos; at = keyspace.find(":keys=")) {
        keyspace.remove_prefix(at + 6);
        std::uint64_t keys = 0;
        std::from_chars(keyspace.data(), keyspace.data() + keyspace.size(), keys);
        sum += keys;
    }
    return sum;
}

Status ask_server(db::RedisClient& client, RedisInstance& instance) {
    RedisFiles& files = instance.files;
    HF_DO(client.command({"PING"}));
    HF_TRY(const db::RedisReply keyspace, client.ask({"INFO", "keyspace"}));
    if (!keyspace.refusal()) instance.keys = count_keys(keyspace.text());
    const auto take = [&](std::string_view name, std::string& to) -> Status {
        HF_TRY(auto value, setting(client, name));
        if (value && !value->empty()) to = *std::move(value);
        return {};
    };
    std::string append, folder;
    HF_DO(take("dbfilename", files.rdb));
    HF_DO(take("appenddirname", files.append_folder));
    HF_DO(take("appendfilename", files.append_file));
    HF_DO(take("appendonly", append));
    if (!append.empty()) files.append_only = append == "yes";
    HF_DO(take("dir", folder));
    if (files.folder.empty()) {
        files.folder = folder;
        return {};
    }
    // A server in a container knows its folder by another name, which does not exist here.
    const auto theirs = os::status_of(folder), ours = os::status_of(files.folder);
    if (folder.empty() || !theirs || !ours) return {};
    if (theirs->st_dev == ours->st_dev && theirs->st_ino == ours->st_ino) return {};
    return fail(
        ErrorCode::config,
        fmt::format("{} keeps its files in {}, and data_folder is {}", instance.login.text(), folder, files.folder),
        "correct data_folder in [[redis]]: the server would never read what is restored there");
}

}    // namespace

Result<RedisInstance> look_at_redis(const policy::RedisConfig& config) {
    RedisInstance instance;
    HF_TRY(instance.login, source::redis_login(config));
    instance.files.folder = config.data_folder.empty() ? "" : os::absolute_path(config.data_folder);
    instance.files.rdb = config.db_file_name;
    instance.files.append_folder = config.append_folder_name;
    instance.files.append_file = config.append_file_name;
    instance.files.append_only = config.append_only;

    // A server that hangs at what a killed restore left holds nothing, and would be waited for in vain.
    const bool hangs = has_redis_pipe(instance.files) && !serves(instance.login);
    auto client = hangs ? fail(ErrorCode::unreachable, "it hangs") : db::RedisClient::connect(instance.login);
    if (client) {
        instance.running = true;
        HF_DO(ask_server(*client, instance));
    } else if (client.error().code != ErrorCode::unreachable) {
        return fail(std::move(client).error());
    }
    RedisFiles& files = instance.files;
    if (files.folder.empty())
        return fail(ErrorCode::config,
                    instance.running ? instance.login.text() + " does not tell where its files lie"
                                     : instance.login.text() + " is down, so that it cannot say where its files lie",
                    "set data_folder in [[redis]] to the server's `dir`");
    // An AOF that is there is the server's own, whatever we were told: it would win over any dump.rdb.
    if (!instance.running && os::exists(files.append_path() + "/" + files.append_file + ".manifest"))
        files.append_only = true;
    return instance;
}

bool serves(const db::RedisLogin& login) {
    db::RedisLogin quick = login.clone();
    quick.timeout = k_answer_max;
    auto client = db::RedisClient::connect(quick);
    const auto reply = client ? client->ask({"PING"}) : fail(client.error());
    return reply && (!reply->refusal() || reply->refusal()->code() != "LOADING");
}

Status stop_redis(const policy::RedisConfig& config, const RedisInstance& instance, Clock& clock) {
    if (!config.stop_command.empty()) {
        os::Command command;
        command.arguments = config.stop_command;
        HF_TRY(const os::Finished finished, os::run(std::move(command), {}, k_command_max));
        if (!finished.status.ok())
            return fail(
                ErrorCode::store,
                fmt::format("stop_command of {} failed ({}): {}", config.name, finished.status.text(), finished.errors),
                "stop the server yourself, then restore again");
    } else {
        HF_TRY(db::RedisClient client, db::RedisClient::connect(instance.login));
        // Only a refusal is answered; a server that obeys hangs up.
        const auto reply = client.ask({"SHUTDOWN", "NOSAVE"});
        if (reply && reply->refusal())
            return fail(db::refusal_error(*reply->refusal(), "SHUTDOWN on " + instance.login.text()));
    }
    const Instant deadline = clock.instant() + k_silence_max;
    for (;;) {
        const auto client = db::RedisClient::connect(instance.login);
        if (!client && client.error().code == ErrorCode::unreachable) return {};
        if (clock.instant() >= deadline)
            return fail(ErrorCode::locked, instance.login.text() + " still answers after it was stopped",
                        "does something restart it? Stop that first");
        if (os::stop_requested())
            return fail(ErrorCode::cancelled, "stopped while waiting for the end of " + instance.login.text());
        clock.sleep(50ms);
    }
}

Result<os::Process> launch_redis(const policy::RedisConfig& config, const std::string& scratch) {
    os::Command command;
    command.arguments = config.start_command;
    // Into a file: a pipe that the server inherits would never end.
    command.output_file = launch_log(scratch);
    command.errors = os::Stream::null;
    command.die_with_parent = false;
    command.new_session = true;
    return os::Process::start(command);
}

Status await_launched(const policy::RedisConfig& config, os::Process& process, const std::string& scratch) {
    auto status = process.wait(k_command_max);
    if (!status)
        return fail(ErrorCode::store, fmt::format("start_command of {} does not return", config.name),
                    "let it start the server in the background (systemctl, or daemonize yes)");
    if (status->ok()) return {};
    const auto output = os::read_text(launch_log(scratch));
    return fail(ErrorCode::store,
                fmt::format("start_command of {} failed ({}): {}", config.name, status->text(), output ? *output : ""),
                "the restored files are in place: start the server yourself");
}

Status start_redis(const policy::RedisConfig& config, const RedisInstance& instance, const std::string& scratch,
                   Clock& clock) {
    HF_TRY(os::Process process, launch_redis(config, scratch));
    HF_DO(await_launched(config, process, scratch));
    return wait_for_redis(instance.login, clock, k_silence_max);
}

}    // namespace holdfast::recovery
