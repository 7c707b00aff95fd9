// Redis into the vault: we attach as a replica and hand on what comes, the RDB through the reader that checks it, or only the
// commands since the last copy. The server's files are not touched, and no SAVE of it is asked for. What replication does not
// carry, its settings and its users, is asked for where this user may.

#include <fmt/core.h>

#include "holdfast/base/log.hpp"
#include "holdfast/db/rdb.hpp"
#include "holdfast/db/redis_replica.hpp"
#include "holdfast/db/secrets.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/source/redis_increment.hpp"
#include "holdfast/source/redis_login.hpp"

namespace holdfast::source {
namespace {

// What a server tells of itself, as far as this user may ask.
struct Extras {
    std::string run_id, mode;
    std::optional<RedisMoment> moment;
    std::string settings, users;    // config.json, acl.txt; empty: not allowed
    std::vector<std::string> notes;
};

// requirepass, masterauth, tls-key-file-pass, tls-client-key-file-pass, and what may come to be called so.
bool is_secret(std::string_view setting) {
    return setting.find("pass") != std::string_view::npos || setting.find("auth") != std::string_view::npos;
}

std::string settings_json(const db::RedisReply& reply) {
    json::Value settings = json::Value::object();
    const auto& items = reply.items();
    for (std::size_t i = 0; i + 1 < items.size(); i += 2)
        if (!is_secret(items[i].text())) settings.set(items[i].text(), items[i + 1].text());
    return json::dump(settings, 2) + "\n";
}

std::string users_text(const db::RedisReply& reply) {
    std::string text;
    for (const db::RedisReply& line : reply.items()) text += line.text() + "\n";
    return text;
}

// A refusal becomes a note: a user who may only replicate is a good user.
Result<Extras> ask_extras(db::RedisClient& client) {
    Extras extras;
    const auto ask = [&](std::initializer_list<std::string_view> command,
                         std::string_view what) -> Result<std::optional<db::RedisReply>> {
        HF_TRY(db::RedisReply reply, client.ask(command));
        const db::RedisRefusal* refusal = reply.refusal();
        if (!refusal) return std::optional(std::move(reply));
        // Nothing else will go better: said by the next command, with its own words.
        if (refusal->code() == "NOAUTH" || refusal->code() == "LOADING") return std::nullopt;
        extras.notes.push_back(fmt::format("{} not saved: the server refuses {}", what, *command.begin()));
        return std::nullopt;
    };
    HF_TRY(const auto info, ask({"INFO"}, "run id and position"));
    if (info) {
        extras.run_id = db::info_field(info->text(), "run_id");
        extras.mode = db::info_field(info->text(), "redis_mode");
        extras.moment = parse_redis_moment(info->text());
    }
    HF_TRY(const auto settings, ask({"CONFIG", "GET", "*"}, "settings"));
    if (settings) extras.settings = settings_json(*settings);
    HF_TRY(const auto users, ask({"ACL", "LIST"}, "users"));
    if (users) extras.users = users_text(*users);
    if (extras.mode == "cluster") extras.notes.push_back("a node of a cluster: only this node's keys are saved");
    return extras;
}

json::Value make_facts(const db::RdbSummary& summary, const db::RedisReplica& replica) {
    json::Value facts = json::Value::object({{"version", summary.server_version},
                                             {"replication_id", replica.replication_id()},
                                             {"offset", replica.offset()},
                                             {"rdb_version", summary.version},
                                             {"framing", replica.diskless() ? "mark" : "length"},
                                             {"bytes", summary.bytes},
                                             {"checksum", summary.has_checksum},
                                             {"keys", summary.keys},
                                             {"expires", summary.expires},
                                             {"functions", summary.functions},
                                             {"digest", summary.digest()}});
    json::Value databases = json::Value::array();
    for (const auto& [number, database] : summary.databases)
        databases.push(json::Value::object({{"db", number}, {"keys", database.keys}, {"expires", database.expires}}));
    facts.set("databases", std::move(databases));
    json::Value types = json::Value::object();
    for (const auto& [name, count] : summary.types) types.set(name, count);
    facts.set("types", std::move(types));
    return facts;
}

}    // namespace

Result<db::RedisLogin> redis_login(const policy::RedisConfig& config) {
    db::RedisLogin login;
    login.host = config.host;
    login.port = config.port;
    login.socket = config.socket;
    login.user = config.user;
    HF_TRY(login.password, db::read_secret(config.password));
    if (config.tls) login.tls = db::TlsFiles{config.ca_file, config.tls_certificate, config.tls_key};
    return login;
}

namespace {

Result<json::Value> capture_whole(db::RedisReplica& replica, Extras& extras, CaptureContext& context) {
    vault::StreamOptions options;
    options.cut = vault::Cut::dump();
    options.mode = 0600;
    HF_TRY(const auto writer, context.backup.start_stream(context.folder + "/dump.rdb", options));
    HF_TRY(const db::RdbSummary summary, db::read_rdb([&](ByteSpan to) -> Result<std::size_t> {
               HF_TRY(const std::size_t n, replica.read(to));
               HF_DO(writer->write(to.first(n)));
               return n;
           }));
    if (!summary.has_checksum) extras.notes.push_back("the server runs with rdbchecksum no: only the form was checked");
    HF_TRY([[maybe_unused]] const auto receipt, writer->finish());
    // The copy is whole; that the server has already forgotten us does not change it.
    if (auto left = replica.leave(); !left) log_debug("cannot take leave of redis", {{"why", left.error().message}});
    return make_facts(summary, replica);
}

// The copy that an increment begins with, or why there is none.
struct Beginning {
    std::optional<RedisChain> chain;
    Id tree;
    std::string why_not;
};

Beginning find_beginning(const policy::RedisConfig& config, const Extras& extras, const CaptureContext& context,
                         Timestamp now) {
    if (!context.earlier) return {std::nullopt, {}, "asked for"};
    if (!extras.moment) return {std::nullopt, {}, "this user may not ask for INFO"};
    const std::optional<EarlierCopy> earlier = context.earlier();
    if (!earlier) return {std::nullopt, {}, "the first of this server"};
    auto chain = parse_redis_chain(earlier->facts);
    if (!chain) return {std::nullopt, {}, chain.error().message};
    std::string why_not = why_whole(config, *chain, *extras.moment, now);
    if (!why_not.empty()) return {std::nullopt, {}, std::move(why_not)};
    return {*std::move(chain), earlier->tree, {}};
}

// Errors of an increment that a whole copy does not have.
bool whole_may_do(ErrorCode code) {
    return code == ErrorCode::corrupt || code == ErrorCode::unsupported || code == ErrorCode::changed ||
           code == ErrorCode::not_found;
}

}    // namespace

Result<json::Value> capture_redis(const policy::RedisConfig& config, CaptureContext& context) {
    HF_TRY(const db::RedisLogin login, redis_login(config));
    HF_TRY(db::RedisClient client, db::RedisClient::connect(login));
    const Timestamp now = context.clock.now();
    HF_TRY(Extras extras, ask_extras(client));
    Beginning beginning = find_beginning(config, extras, context, now);

    std::optional<json::Value> facts;
    std::optional<db::RedisReplica> replica;
    if (beginning.chain) {
        const db::ReplicationPosition& held = beginning.chain->position;
        if (extras.moment->position.offset != held.offset) {
            HF_TRY(replica, db::RedisReplica::attach(std::move(client), config.user, held));
        }
        if (replica && !replica->resumed()) {
            beginning.why_not = fmt::format("what came since the last copy does not fit into repl-backlog-size, {}",
                                            human_size(extras.moment->backlog_size));
        } else {
            auto increment = capture_redis_increment(*beginning.chain, beginning.tree, *extras.moment,
                                                     replica ? &*replica : nullptr, context);
            if (increment) {
                facts = *std::move(increment);
            } else if (whole_may_do(increment.error().code)) {
                beginning.why_not = increment.error().message;
                context.backup.forget_path(context.folder);
                HF_TRY(client, db::RedisClient::connect(login));
                replica.reset();
            } else {
                return fail(std::move(increment).error());
            }
        }
    }
    if (!facts) {
        log_info("redis is copied whole", {{"component", config.name}, {"why", beginning.why_not}});
        if (!replica) {
            HF_TRY(replica, db::RedisReplica::attach(std::move(client), config.user));
        }
        HF_TRY(facts, capture_whole(*replica, extras, context));
        facts->set("how", "whole: " + beginning.why_not);
    }
    if (!extras.settings.empty())
        HF_DO(context.backup.add_file(context.folder + "/config.json", as_bytes(extras.settings), 0600));
    if (!extras.users.empty())
        HF_DO(context.backup.add_file(context.folder + "/acl.txt", as_bytes(extras.users), 0600));
    for (const std::string& note : extras.notes) log_info(note, {{"component", config.name}});
    facts->set("taken", to_rfc3339(now));
    facts->set("run_id", extras.run_id);
    facts->set("settings", !extras.settings.empty());
    facts->set("users", !extras.users.empty());
    json::Value notes = json::Value::array();
    for (const std::string& note : extras.notes) notes.push(note);
    facts->set("notes", std::move(notes));
    return *std::move(facts);
}

}    // namespace holdfast::source
