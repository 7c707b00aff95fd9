#include "holdfast/recovery/checks.hpp"

#include <curl/curl.h>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <mutex>

#include "holdfast/db/clickhouse.hpp"
#include "holdfast/db/postgres.hpp"
#include "holdfast/db/redis.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/recovery/duckdb_switch.hpp"
#include "holdfast/source/clickhouse_catalog.hpp"
#include "holdfast/source/redis_login.hpp"
#include "holdfast/source/store_access.hpp"

namespace holdfast::recovery {
namespace {

using State = RunCheck::State;

constexpr auto k_again = std::chrono::milliseconds(500);
constexpr long k_url_seconds = 10;

std::uint64_t number_of(std::string_view text) {
    std::uint64_t n = 0;
    std::from_chars(text.data(), text.data() + text.size(), n);
    return n;
}

// What went wrong on the way is a check that failed, in the error's own words.
RunCheck failed(const std::string& component, const std::string& name, const Error& error) {
    return {State::failed, component, name,
            error.hint.empty() ? error.message : fmt::format("{} ({})", error.message, error.hint)};
}

RunCheck verdict(bool good, const std::string& component, const std::string& name, std::string text) {
    return {good ? State::passed : State::failed, component, name, std::move(text)};
}

class Checker {
public:
    Checker(const policy::Config& config, const json::Value& manifest) : config_(config), manifest_(manifest) {}

    std::vector<RunCheck> all(const std::vector<RunPart>& parts) {
        std::vector<RunCheck> checks;
        for (const RunPart& part : parts) {
            const std::size_t before = checks.size();
            look(part, checks);
            // A server that is started by hand, and not yet.
            if (part.result["started"].boolean(true)) continue;
            for (std::size_t i = before; i < checks.size(); ++i)
                if (checks[i].state == State::failed && checks[i].name == "answers")
                    checks[i] = {State::skipped, part.name, "answers", "it was not started: start it"};
        }
        if (!config_.restore.recent_trades_query.empty()) checks.push_back(recent_trades());
        for (const std::string& url : config_.restore.health_urls) checks.push_back(health(url));
        for (const auto& command : config_.restore.check_commands) checks.push_back(check_command(command));
        return checks;
    }

private:
    const json::Value& facts_of(const RunPart& part) const {
        for (const json::Value& one : manifest_["components"].items())
            if (one["name"].text() == part.name && one["kind"].text() == part.kind) return one["facts"];
        return nothing_;
    }

    void look(const RunPart& part, std::vector<RunCheck>& to) const {
        const auto run = [&](const auto& all,
                             Status (Checker::*check)(const RunPart&, const std::decay_t<decltype(all[0])>&,
                                                      std::vector<RunCheck>&) const) {
            const auto at = std::ranges::find(all, part.name, &std::decay_t<decltype(all[0])>::name);
            if (at == all.end()) return;
            if (const auto done = (this->*check)(part, *at, to); !done)
                to.push_back(failed(part.name, "answers", done.error()));
        };
        if (part.kind == "postgres") run(config_.postgres, &Checker::postgres);
        if (part.kind == "redis") run(config_.redis, &Checker::redis);
        if (part.kind == "clickhouse") run(config_.clickhouse, &Checker::clickhouse);
        if (part.kind == "duckdb") run(config_.duckdb, &Checker::duckdb);
        if (part.kind == "files" || part.kind == "logs" || part.kind == "journal") files(part, to);
    }

    Status postgres(const RunPart& part, const policy::PostgresConfig& config, std::vector<RunCheck>& to) const {
        HF_TRY(const db::PostgresAccess access, source::postgres_access(config));
        HF_TRY(auto home, access.connect(config.maintenance_database));
        HF_TRY(const auto used,
               home.query("SELECT count(*), current_setting('max_connections')::int FROM pg_stat_activity "
                          "WHERE backend_type = 'client backend'"));
        to.push_back(verdict(true, part.name, "answers", home_text(config)));
        const std::int64_t in_use = used[0].integer(0), most = used[0].integer(1);
        to.push_back(verdict(in_use * 20 < most * 19, part.name, "connections",
                             fmt::format("{} of {} connections are in use", in_use, most)));
        for (const json::Value& database : facts_of(part)["databases"].items()) {
            const std::string name = database["name"].text();
            auto inside = access.connect(name);
            if (!inside) {
                to.push_back(failed(part.name, "tables", inside.error()));
                continue;
            }
            HF_TRY(const auto tables,
                   inside->query("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                                 "WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN "
                                 "('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_t%'"));
            const std::uint64_t there = static_cast<std::uint64_t>(tables[0].integer(0)),
                                saved = database["tables"].items().size();
            to.push_back(verdict(there >= saved, part.name, "tables",
                                 fmt::format("database {} has {} tables, the snapshot has {}", name, there, saved)));
        }
        return {};
    }
    static std::string home_text(const policy::PostgresConfig& config) {
        return db::PostgresAddress{config.host, config.port, config.user, config.maintenance_database}.text() +
               " answers";
    }

    Status redis(const RunPart& part, const policy::RedisConfig& config, std::vector<RunCheck>& to) const {
        HF_TRY(const auto login, source::redis_login(config));
        HF_TRY(auto client, db::RedisClient::connect(login));
        HF_DO(client.command({"PING"}));
        to.push_back(verdict(true, part.name, "answers", login.text() + " answers"));
        HF_TRY(const auto info, client.ask({"INFO", "keyspace"}));
        if (info.refusal()) return {};
        std::uint64_t keys = 0;
        const std::string& text = info.text();
        for (std::size_t at = text.find(":keys="); at != std::string::npos; at = text.find(":keys=", at + 6))
            keys += number_of(std::string_view(text).substr(at + 6));
        const json::Value& saved = facts_of(part)["keys"];
        // NS-17: "Redis restored with 0 keys". Fewer than saved is no fault: some have expired since.
        const std::uint64_t ours =
            part.name == config_.restore.trading_flag_redis ? 1 : 0;    // the key that pauses trading
        to.push_back(verdict(keys > ours || saved.natural() <= ours, part.name, "keys",
                             saved.is_null() ? fmt::format("{} keys", keys)
                                             : fmt::format("{} keys, the snapshot has {}", keys, saved.natural())));
        return {};
    }

    Status clickhouse(const RunPart& part, const policy::ClickHouseConfig& config, std::vector<RunCheck>& to) const {
        HF_TRY(auto client, source::clickhouse_client(config));
        to.push_back(verdict(true, part.name, "answers", fmt::format("ClickHouse {} answers", client.version())));
        std::size_t there = 0, saved = 0;
        for (const json::Value& database : facts_of(part)["databases"].items()) {
            HF_TRY(const auto tables, source::clickhouse::list_tables(client, database.text()));
            for (const json::Value& table : facts_of(part)["tables"].items()) {
                if (table["database"].text() != database.text()) continue;
                ++saved;
                if (std::ranges::find(tables, table["name"].text(), &source::clickhouse::Table::name) != tables.end())
                    ++there;
            }
        }
        if (saved > 0)
            to.push_back(verdict(there == saved, part.name, "tables",
                                 fmt::format("{} of the snapshot's {} tables are there", there, saved)));
        return {};
    }

    Status duckdb(const RunPart& part, const policy::DuckDbConfig& config, std::vector<RunCheck>& to) const {
        HF_TRY(const DuckDbPlace place, look_at_duckdb(config.path));
        to.push_back(verdict(place == DuckDbPlace::taken, part.name, "file",
                             place == DuckDbPlace::taken     ? config.path + " is there"
                             : place == DuckDbPlace::guarded ? config.path + " is being replaced: run the restore again"
                                                             : config.path + " is not there"));
        return {};
    }

    void files(const RunPart& part, std::vector<RunCheck>& to) const {
        for (const json::Value& path : facts_of(part)["paths"].items())
            to.push_back(verdict(os::status_of(path.text(), false).has_value(), part.name, "files",
                                 path.text() + (os::exists(path.text()) ? " is there" : " is not there")));
    }

    RunCheck recent_trades() const {
        const policy::RestoreConfig& restore = config_.restore;
        const auto ask = [&]() -> Result<std::int64_t> {
            const auto at =
                std::ranges::find(config_.postgres, restore.recent_trades_postgres, &policy::PostgresConfig::name);
            const policy::PostgresConfig& config = at == config_.postgres.end() ? config_.postgres.at(0) : *at;
            HF_TRY(const db::PostgresAccess access, source::postgres_access(config));
            HF_TRY(auto inside, access.connect(restore.recent_trades_database));
            HF_TRY(const auto rows, inside.query(restore.recent_trades_query));
            return rows.empty() ? 0 : rows[0].integer(0);
        };
        const auto count = ask();
        if (!count) return failed({}, "recent trades", count.error());
        return verdict(*count > 0, {}, "recent trades", fmt::format("{} recent trades", *count));
    }

    static RunCheck health(const std::string& url) {
        static std::once_flag once;
        std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
        CURL* easy = curl_easy_init();
        if (!easy) return verdict(false, {}, "health", url + ": libcurl does not start");
        curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(easy, CURLOPT_TIMEOUT, k_url_seconds);
        curl_easy_setopt(
            easy, CURLOPT_WRITEFUNCTION,
            +[](char*, std::size_t size, std::size_t count, void*) { return size * count; });
        const CURLcode result = curl_easy_perform(easy);
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_cleanup(easy);
        if (result != CURLE_OK)
            return verdict(false, {}, "health", fmt::format("{}: {}", url, curl_easy_strerror(result)));
        return verdict(status >= 200 && status < 300, {}, "health", fmt::format("{} answers {}", url, status));
    }

    RunCheck check_command(const std::vector<std::string>& arguments) const {
        os::Command command;
        command.arguments = arguments;
        const auto done = os::run(std::move(command), {}, std::chrono::seconds(config_.restore.command_max_seconds));
        if (!done) return failed({}, "command", done.error().within(arguments[0]));
        return verdict(done->status.ok(), {}, "command",
                       fmt::format("{}: {}{}{}", arguments[0], done->status.text(), done->errors.empty() ? "" : ": ",
                                   done->errors));
    }

    const policy::Config& config_;
    const json::Value& manifest_;
    const json::Value nothing_;
};

}    // namespace

Result<std::vector<RunCheck>> check_stack(const policy::Config& config, const std::vector<RunPart>& parts,
                                          const json::Value& manifest, Clock& clock) {
    Checker checker(config, manifest);
    const Instant deadline = clock.instant() + std::chrono::seconds(config.restore.check_wait_seconds);
    for (;;) {
        auto checks = checker.all(parts);
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while checking");
        if (clock.instant() >= deadline || std::ranges::find(checks, State::failed, &RunCheck::state) == checks.end())
            return checks;
        clock.sleep(k_again);
    }
}

}    // namespace holdfast::recovery
