#include <fmt/core.h>

#include <charconv>
#include <thread>

#include "holdfast/db/redis.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/policy/redis_advice.hpp"
#include "holdfast/source/examine.hpp"
#include "holdfast/source/redis_login.hpp"

namespace holdfast::source {
namespace {

std::uint64_t number_of(std::string_view text) {
    std::uint64_t n = 0;
    std::from_chars(text.data(), text.data() + text.size(), n);
    return n;
}

bool is_local(const policy::RedisConfig& config) {
    return !config.socket.empty() || config.host == "localhost" || config.host == "::1" ||
           config.host.starts_with("127.");
}

Result<policy::RedisFacts> ask_redis(const policy::RedisConfig& config) {
    HF_TRY(const auto login, redis_login(config));
    HF_TRY(auto client, db::RedisClient::connect(login));
    HF_TRY(const auto reply, client.command({"INFO"}));
    const std::string info = reply.text();
    const auto field = [&](std::string_view name) { return db::info_field(info, name); };
    policy::RedisFacts facts;
    facts.role = field("role");
    facts.used_memory = number_of(field("used_memory"));
    facts.machine_memory = number_of(field("total_system_memory"));
    facts.evicted = number_of(field("evicted_keys"));
    facts.snapshot_failed = field("rdb_last_bgsave_status") == "err";
    facts.log_failed = field("aof_last_write_status") == "err" || field("aof_last_bgrewrite_status") == "err";
    facts.config_file = field("config_file");
    facts.local = is_local(config);
    if (const auto size = client.ask({"DBSIZE"}); size && !size->refusal())
        facts.keys = static_cast<std::uint64_t>(size->integer());
    HF_TRY(const auto settings, client.ask({"CONFIG", "GET", "*"}));
    if (!settings.refusal())
        for (std::size_t i = 0; i + 1 < settings.items().size(); i += 2)
            facts.settings[settings.items()[i].text()] = settings.items()[i + 1].text();
    if (const auto overcommit = os::read_text("/proc/sys/vm/overcommit_memory"))
        facts.overcommits = !overcommit->starts_with("0");
    return facts;
}

// Until its first append-only file is written, the server refuses to end when asked, and one that is killed comes back empty.
Status wait_for_first_log(db::RedisClient& client) {
    for (;;) {
        HF_TRY(const auto reply, client.command({"INFO", "persistence"}));
        const std::string& info = reply.text();
        if (db::info_field(info, "aof_last_bgrewrite_status") == "err")
            return fail(ErrorCode::store, "Redis could not write its first append-only file",
                        "see its log; mostly the disk is full");
        if (db::info_field(info, "aof_rewrite_in_progress") != "1" &&
            db::info_field(info, "aof_rewrite_scheduled") != "1")
            return {};
        if (os::stop_requested())
            return fail(ErrorCode::cancelled, "stopped while Redis writes its first append-only file");
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
}

}    // namespace

Advices examine_redis(const policy::RedisConfig& config, const std::vector<std::string_view>& profiles,
                      std::uint64_t keys_saved) {
    // A restore that was killed while the server was loading from it (recovery/redis_stream.hpp): the server waits, and answers nothing.
    const auto rdb = os::status_of(fmt::format("{}/{}", config.data_folder, config.db_file_name), false);
    if (!config.data_folder.empty() && rdb && S_ISFIFO(rdb->st_mode))
        return {{policy::Severity::trouble,
                 config.name,
                 fmt::format("a restore into {} was killed, or is at work: what lies there is a pipe and no data",
                             config.data_folder),
                 "holdfast restore --resume",
                 {},
                 {}}};
    const auto facts = ask_redis(config);
    if (!facts) return {advice_of(config.name, facts.error())};
    Advices advices = policy::advise_redis(config, *facts, profiles);
    if (facts->keys == 0 && keys_saved > 0)
        advices.push_back({policy::Severity::trouble,
                           config.name,
                           fmt::format("it has no keys, and the newest backup has {}", keys_saved),
                           fmt::format("holdfast restore latest --only {}", config.name),
                           {},
                           {}});
    return advices;
}

Status apply_redis(const policy::RedisConfig& config, const Advices& advices) {
    HF_TRY(const auto login, redis_login(config));
    HF_TRY(auto client, db::RedisClient::connect(login));
    HF_TRY(const auto reply, client.command({"INFO", "server"}));
    bool any = false, log_begins = false;
    for (const policy::Advice& advice : advices) {
        if (advice.setting.empty()) continue;
        any = true;
        log_begins = log_begins || advice.setting == "appendonly";
        HF_TRY([[maybe_unused]] const auto set, client.command({"CONFIG", "SET", advice.setting, advice.value}));
    }
    // Without a file of its own the server forgets at its next start what it was told.
    if (any && !db::info_field(reply.text(), "config_file").empty()) {
        HF_TRY([[maybe_unused]] const auto written, client.command({"CONFIG", "REWRITE"}));
    }
    return log_begins ? wait_for_first_log(client) : Status();
}

}    // namespace holdfast::source
