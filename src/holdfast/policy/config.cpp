#include "holdfast/policy/config.hpp"

#include <fmt/core.h>
#include <toml++/toml.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <optional>

namespace holdfast::policy {
namespace {

// The first thing found wrong counts; the rest of the file is still walked, but its complaints are dropped.
struct Document {
    std::string file;
    std::optional<Error> error;

    void complain(const toml::source_region& at, std::string message, std::string hint) {
        if (error) return;
        error = Error{ErrorCode::config, fmt::format("{}:{}:{}: {}", file, at.begin.line, at.begin.column, message),
                      std::move(hint)};
    }
};

// Reads one table key by key. Each key that is asked for becomes a known one; finish() refuses the others.
class Reader {
public:
    Reader(Document& document, const toml::table& table, std::string where)
        : document_(document), table_(table), where_(std::move(where)) {}

    const toml::node* find(std::string_view key) {
        known_.push_back(key);
        return table_.get(key);
    }

    void text(std::string_view key, std::string& to) {
        const toml::node* node = find(key);
        if (!node) return;
        if (const auto value = node->value_exact<std::string>()) {
            if (value->find('\0') == std::string::npos)
                to = *value;
            else
                wrong(*node, key, "a text without NUL");
        } else {
            wrong(*node, key, "a text in quotes");
        }
    }

    /// A text that must be an absolute path: what a relative one means depends on who runs us from where.
    void path(std::string_view key, std::string& to) {
        text(key, to);
        if (const toml::node* node = table_.get(key); node && !to.empty() && !to.starts_with('/'))
            document_.complain(node->source(), fmt::format("{} in {} is not an absolute path: '{}'", key, where_, to),
                               "write the path from / on");
    }

    void flag(std::string_view key, bool& to) {
        const toml::node* node = find(key);
        if (!node) return;
        if (const auto value = node->value_exact<bool>())
            to = *value;
        else
            wrong(*node, key, "true or false");
    }

    template <class T>
    void number(std::string_view key, T& to, std::int64_t least, std::int64_t most) {
        const toml::node* node = find(key);
        if (!node) return;
        const auto value = node->value_exact<std::int64_t>();
        if (value && *value >= least && *value <= most)
            to = static_cast<T>(*value);
        else
            wrong(*node, key, fmt::format("a whole number from {} to {}", least, most));
    }

    void texts(std::string_view key, std::vector<std::string>& to) {
        const toml::node* node = find(key);
        if (!node) return;
        const toml::array* array = node->as_array();
        if (!array) return wrong(*node, key, "a list of texts, as [\"a\", \"b\"]");
        to.clear();
        for (const toml::node& element : *array) {
            const auto value = element.value_exact<std::string>();
            if (!value || value->empty() || value->find('\0') != std::string::npos)
                return wrong(element, key, "a list of texts, as [\"a\", \"b\"]");
            to.push_back(*value);
        }
    }

    /// Several commands, each a list of arguments.
    void commands(std::string_view key, std::vector<std::vector<std::string>>& to) {
        const toml::node* node = find(key);
        if (!node) return;
        constexpr std::string_view k_wanted = "a list of commands, as [[\"systemctl\", \"stop\", \"desk\"]]";
        const toml::array* array = node->as_array();
        if (!array) return wrong(*node, key, std::string(k_wanted));
        to.clear();
        for (const toml::node& element : *array) {
            const toml::array* words = element.as_array();
            if (!words || words->empty()) return wrong(element, key, std::string(k_wanted));
            auto& command = to.emplace_back();
            for (const toml::node& word : *words) {
                const auto value = word.value_exact<std::string>();
                if (!value || value->find('\0') != std::string::npos) return wrong(word, key, std::string(k_wanted));
                command.push_back(*value);
            }
        }
    }

    void paths(std::string_view key, std::vector<std::string>& to) {
        texts(key, to);
        for (const std::string& path : to)
            if (!path.starts_with('/'))
                document_.complain(table_.get(key)->source(),
                                   fmt::format("{} in {} holds a path that is not absolute: '{}'", key, where_, path),
                                   "write the path from / on");
    }

    void proof(Proof& to) {
        const toml::node* node = find("proof");
        if (!node) return;
        const auto value = node->value_exact<std::string>();
        if (value == "digest")
            to = Proof::digest;
        else if (value == "count")
            to = Proof::count;
        else if (value == "none")
            to = Proof::none;
        else
            wrong(*node, "proof", "\"digest\", \"count\" or \"none\"");
    }

    void storage_kind(StorageKind& to) {
        const toml::node* node = find("kind");
        if (!node) return;
        const auto value = node->value_exact<std::string>();
        for (const StorageKind kind : {StorageKind::disk, StorageKind::object, StorageKind::tape, StorageKind::other})
            if (value && *value == to_text(kind)) {
                to = kind;
                return;
            }
        wrong(*node, "kind", "\"disk\", \"object\", \"tape\" or \"other\"");
    }

    /// `what`: "password", and the keys password_file, password_command, …
    void secret(SecretSource& to, std::string_view what = "password") {
        if (const toml::node* node = table_.get(what))
            document_.complain(
                node->source(), fmt::format("a {} must not stand in {}", what, where_),
                fmt::format("put it into a file that only you can read and name that: {}_file = \"/path\"", what));
        path(key(what, "_file"), to.file);
        text(key(what, "_command"), to.command);
        text(key(what, "_keyring"), to.keyring);
        text(key(what, "_credential"), to.credential);
        if (to.count() > 1)
            document_.complain(table_.source(), fmt::format("{} names several places for one {}", where_, what),
                               fmt::format("keep one of {0}_file, {0}_command, {0}_keyring, {0}_credential", what));
    }

    /// For a key that another one makes meaningless.
    void does_not_go_with(std::string_view key, std::string_view other) {
        if (const toml::node* node = table_.get(key))
            document_.complain(node->source(), fmt::format("{} in {} does not go with {}", key, where_, other),
                               fmt::format("take {} out", key));
    }

    void choice(std::string_view key, std::string& to, std::initializer_list<std::string_view> words) {
        const toml::node* node = find(key);
        if (!node) return;
        const auto value = node->value_exact<std::string>();
        if (value && std::ranges::find(words, *value) != words.end()) {
            to = *value;
            return;
        }
        std::string all;
        for (const std::string_view word : words) all += fmt::format("{}\"{}\"", all.empty() ? "" : " or ", word);
        wrong(*node, key, all);
    }

    /// A table inside this one.
    template <class Table>
    void table(std::string_view key, Table& to, const std::string& where) {
        const toml::node* node = find(key);
        if (!node) return;
        const toml::table* table = node->as_table();
        if (!table) return wrong(*node, key, fmt::format("a table: {} and the keys in lines below it", where));
        Reader in(document_, *table, where);
        read(in, to);
        in.finish();
    }

    /// Tables inside this one, as [[outer.key]].
    template <class Table>
    void tables(std::string_view key, std::vector<Table>& to, const std::string& where) {
        const toml::node* node = find(key);
        if (!node) return;
        const toml::array* array = node->as_array();
        if (!array || !std::ranges::all_of(*array, [](const toml::node& n) { return n.is_table(); }))
            return wrong(*node, key, fmt::format("a table: {} and the keys in lines below it", where));
        for (const toml::node& element : *array) {
            Reader in(document_, *element.as_table(), where);
            read(in, to.emplace_back());
            in.finish();
        }
    }

    void required(std::string_view key, bool there) {
        if (!there) missing_.push_back(key);
    }

    // Unknown keys first: a key that is missing is often there under a misspelt name.
    void finish() {
        for (const auto& [key, node] : table_) {
            if (std::ranges::find(known_, key.str()) != known_.end()) continue;
            const std::string close = suggest(key.str(), known_);
            std::string all;
            for (const std::string_view name : known_) all += fmt::format("{}{}", all.empty() ? "" : ", ", name);
            document_.complain(
                key.source(),
                close.empty() ? fmt::format("unknown key '{}' in {}", key.str(), where_)
                              : fmt::format("unknown key '{}' in {}; did you mean '{}'?", key.str(), where_, close),
                fmt::format("known keys: {}", all));
        }
        for (const std::string_view key : missing_)
            document_.complain(table_.source(), fmt::format("{} needs the key '{}'", where_, key),
                               fmt::format("add {} = …", key));
    }

    const toml::source_region& source_of(std::string_view key) const {
        const toml::node* node = table_.get(key);
        return node ? node->source() : table_.source();
    }

private:
    std::string_view key(std::string_view what, std::string_view part) {
        return made_.emplace_back(fmt::format("{}{}", what, part));
    }
    void wrong(const toml::node& node, std::string_view key, std::string_view wanted) {
        document_.complain(node.source(), fmt::format("{} in {} must be {}", key, where_, wanted), "");
    }

    Document& document_;
    const toml::table& table_;
    std::string where_;
    std::deque<std::string> made_;    // keys that are put together
    std::vector<std::string_view> known_, missing_;
};

// A component's name is its folder in the snapshot.
class Names {
public:
    explicit Names(Document& document) : document_(document) {}

    void take(const std::string& name, std::string_view kind, const toml::source_region& at) {
        const bool good = !name.empty() && std::ranges::all_of(name, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        });
        if (!good)
            document_.complain(at, fmt::format("'{}' is no good name for a component", name),
                               "use lower-case letters, digits, '_' and '-'");
        // All DuckDB files share the folder "duckdb".
        if (name == "duckdb" && kind != "duckdb")
            document_.complain(at, "the name 'duckdb' is kept for DuckDB files", "choose another name");
        if (const auto [other, fresh] = taken_.emplace(name, at.begin.line); !fresh)
            document_.complain(
                at, fmt::format("a second component is named '{}' (the first: line {})", name, other->second),
                "give each its own name, as name = \"postgres-reports\"");
    }

private:
    Document& document_;
    std::map<std::string, toml::source_index> taken_;
};

void read(Reader& in, PostgresConfig& to) {
    in.text("name", to.name);
    in.text("host", to.host);
    in.number("port", to.port, 1, 65535);
    in.text("user", to.user);
    in.secret(to.password);
    in.text("maintenance_database", to.maintenance_database);
    in.texts("databases", to.databases);
    in.texts("exclude_databases", to.exclude_databases);
    in.texts("tables", to.tables);
    in.texts("schemas", to.schemas);
    in.texts("exclude_tables", to.exclude_tables);
    in.flag("on_change", to.on_change);
    in.number("look_again_seconds", to.look_again_seconds, 1, 86400);
    in.number("restore_jobs", to.restore_jobs, 1, 64);
    in.required("tables", !to.on_change || !to.tables.empty() || !to.schemas.empty());
    in.flag("globals", to.globals);
    in.proof(to.proof);
    in.path("bin_folder", to.bin_folder);
    in.path("data_folder", to.data_folder);
    in.path("tablespace_folder", to.tablespace_folder);
    in.texts("stop_command", to.stop_command);
    in.texts("start_command", to.start_command);
    in.text("owner", to.owner);
    std::string method = "dump";
    in.choice("method", method, {"dump", "physical"});
    if (method == "physical") {
        to.method = PostgresMethod::physical;
        for (const char* key : {"databases", "exclude_databases", "tables", "schemas", "exclude_tables", "on_change",
                                "look_again_seconds", "globals", "proof"})
            in.does_not_go_with(key, "method = \"physical\", which takes the whole cluster");
    }
}

void read(Reader& in, RedisConfig& to) {
    in.text("name", to.name);
    in.text("host", to.host);
    in.number("port", to.port, 1, 65535);
    in.path("socket", to.socket);
    in.text("user", to.user);
    in.secret(to.password);
    in.flag("tls", to.tls);
    in.path("ca_file", to.ca_file);
    in.path("tls_certificate", to.tls_certificate);
    in.path("tls_key", to.tls_key);
    in.required("tls_key", to.tls_certificate.empty() || !to.tls_key.empty());
    in.required("tls_certificate", to.tls_key.empty() || !to.tls_certificate.empty());
    in.required("tls", to.tls || (to.ca_file.empty() && to.tls_key.empty()));
    in.path("data_folder", to.data_folder);
    in.text("db_file_name", to.db_file_name);
    in.flag("append_only", to.append_only);
    in.text("append_folder_name", to.append_folder_name);
    in.text("append_file_name", to.append_file_name);
    in.texts("stop_command", to.stop_command);
    in.texts("start_command", to.start_command);
    in.text("owner", to.owner);
    in.number("full_every_hours", to.full_every_hours, 0, 8760);
    in.number("increments_max_percent", to.increments_max_percent, 1, 1000);
}

void read(Reader& in, DuckDbRebuildConfig& to) {
    in.text("table", to.table);
    in.text("from", to.from);
    in.required("from", !to.from.empty());
    in.text("source", to.source);
    in.text("query", to.query);
    in.text("keys", to.keys);
    in.text("stream", to.stream);
    in.texts("fields", to.fields);
    in.text("select", to.select);
    in.text("version", to.version);
    const bool of_redis = !to.keys.empty() || !to.stream.empty();
    in.required("table", !to.table.empty() || (!of_redis && to.query.empty() && to.source.empty()));
    if (!to.query.empty()) in.does_not_go_with("source", "query");
    if (!to.keys.empty()) in.does_not_go_with("stream", "keys");
    if (of_redis)
        for (const char* key : {"source", "query"}) in.does_not_go_with(key, "keys or stream, which are of a Redis");
}

void read(Reader& in, DuckDbConfig& to) {
    in.text("name", to.name);
    in.path("path", to.path);
    in.required("path", !to.path.empty());
    in.proof(to.proof);
    in.number("keep_every_milliseconds", to.keep_every_milliseconds, 50, 3600000);
    in.number("keep_minutes", to.keep_minutes, 0, 525600);
    in.number("keep_last", to.keep_last, 1, 1000000);
    in.number("keep_verified", to.keep_verified, 1, 1000);
    in.number("verify_every_minutes", to.verify_every_minutes, 0, 10080);
    in.path("states_folder", to.states_folder);
    in.tables("rebuild", to.rebuild, "[[duckdb.rebuild]]");
    if (to.name.empty()) to.name = duckdb_name_from_path(to.path);
}

void read(Reader& in, ClickHouseConfig& to) {
    in.text("name", to.name);
    in.text("url", to.url);
    in.text("user", to.user);
    in.secret(to.password);
    in.texts("databases", to.databases);
    in.texts("exclude_databases", to.exclude_databases);
    in.proof(to.proof);
    std::string method = "http";
    in.choice("method", method, {"http", "freeze", "backup"});
    if (method == "freeze") to.method = ClickHouseMethod::freeze;
    if (method == "backup") to.method = ClickHouseMethod::backup;
    in.path("backup_folder", to.backup_folder);
    if (method == "backup") in.required("backup_folder", !to.backup_folder.empty());
}

void read(Reader& in, JournalConfig& to) {
    in.text("name", to.name);
    in.path("path", to.path);
    in.required("path", !to.path.empty());
}

void read(Reader& in, FilesConfig& to) {
    in.text("name", to.name);
    in.paths("paths", to.paths);
    in.required("paths", !to.paths.empty());
    in.texts("exclude", to.exclude);
    in.number("newer_than_days", to.newer_than_days, 0, 36500);
}

void read(Reader& in, RepositoryConfig& to) {
    in.text("location", to.location);
    in.secret(to.password);
    in.number("password_max_age_days", to.password_max_age_days, 0, 36500);
    in.number("compression_level", to.compression_level, 0, 19);
    in.number("pack_size_mib", to.pack_size_mib, 4, 128);
    in.number("memory_max_mib", to.memory_max_mib, 16, 65536);
    in.texts("options", to.options);
    in.path("ca_file", to.ca_file);
    in.number("limit_upload_kib", to.limit_upload_kib, 0, 1 << 30);
    in.number("limit_download_kib", to.limit_download_kib, 0, 1 << 30);
    in.number("first_contact_max_seconds", to.first_contact_max_seconds, 0, 86'400);
    in.number("parity_percent", to.parity_percent, 0, 100);
    in.path("parity_folder", to.parity_folder);
}

void read(Reader& in, MirrorConfig& to) {
    in.text("name", to.name);
    in.text("location", to.location);
    in.required("location", !to.location.empty());
    to.kind = guess_storage_kind(to.location);
    to.off_site = guess_off_site(to.location);
    in.storage_kind(to.kind);
    in.flag("off_site", to.off_site);
    in.number("grace_days", to.grace_days, 0, 36500);
    in.flag("append_only", to.append_only);
    in.number("lag_max_hours", to.lag_max_hours, 1, 876'000);
    in.number("connections", to.connections, 1, 64);
    in.number("limit_upload_kib", to.limit_upload_kib, 0, 1 << 30);
    in.number("limit_download_kib", to.limit_download_kib, 0, 1 << 30);
    in.number("first_contact_max_seconds", to.first_contact_max_seconds, 0, 86'400);
    in.texts("options", to.options);
    in.path("credentials_file", to.credentials_file);
    in.path("ca_file", to.ca_file);
}

void read(Reader& in, TradeBrokerConfig& to) {
    in.choice("kind", to.kind, {"paper", "fix"});
    in.required("kind", !to.kind.empty());
    in.text("address", to.address);
    in.text("host", to.host);
    in.number("port", to.port, 1, 65535);
    in.text("sender", to.sender);
    in.text("target", to.target);
    in.text("account", to.account);
    in.text("username", to.username);
    in.secret(to.password);
    in.path("folder", to.folder);
    in.number("heartbeat_seconds", to.heartbeat_seconds, 1, 3600);
    in.flag("mass_status", to.mass_status);
    in.text("session_start", to.session_start);
    in.text("session_end", to.session_end);
    if (to.kind == "paper") in.required("address", !to.address.empty());
    if (to.kind != "fix") return;
    in.required("host", !to.host.empty());
    in.required("port", to.port != 0);
    in.required("sender", !to.sender.empty());
    in.required("target", !to.target.empty());
}

void read(Reader& in, TradeHttpConfig& to) {
    in.text("listen", to.listen);
    in.secret(to.token, "token");
    in.path("tls_certificate", to.tls_certificate);
    in.path("tls_key", to.tls_key);
    in.required("listen", !to.listen.empty());
    in.required("token_file", to.token.count() != 0);
}

void read(Reader& in, TradeConfig& to) {
    in.text("account", to.account);
    in.required("account", !to.account.empty());
    in.text("instance", to.instance);
    in.choice("profile", to.profile, {"ea", "mt5"});
    in.text("journal", to.journal);
    in.text("redis", to.redis);
    in.text("duckdb", to.duckdb);
    in.text("clickhouse", to.clickhouse);
    in.text("lease", to.lease);
    in.text("lease_database", to.lease_database);
    in.number("lease_seconds", to.lease_seconds, 5, 3600);
    in.texts("redis_sentinels", to.redis_sentinels);
    in.text("redis_master", to.redis_master);
    in.text("clickhouse_database", to.clickhouse_database);
    in.path("socket", to.socket);
    in.number("signal_ttl_seconds", to.signal_ttl_seconds, 1, 86'400);
    in.number("retry_max_seconds", to.retry_max_seconds, 0, 7 * std::int64_t(86'400));
    in.number("duplicates_days", to.duplicates_days, 1, 3650);
    in.flag("resume_remainder", to.resume_remainder);
    in.number("realtime_priority", to.realtime_priority, 0, 99);
    in.table("broker", to.broker, "[trade.broker]");
    in.table("http", to.http, "[trade.http]");
    in.required("broker", !to.broker.kind.empty());
}

void read(Reader& in, KeepConfig& to) {
    in.paths("paths", to.paths);
    in.required("paths", !to.paths.empty());
    std::string format, on_invalid;
    in.choice("format", format, {"json", "toml", "env", "text"});
    for (const auto one : {DocumentFormat::json, DocumentFormat::toml, DocumentFormat::env, DocumentFormat::text})
        if (format == to_text(one)) to.format = one;
    in.choice("profile", to.profile, {"ea", "mt5"});
    if (to.profile == "ea") to.versions = 3, to.size_max_kib = 10;
    if (to.profile == "mt5") to.versions = 5, to.look_again_seconds = 300;
    in.number("versions", to.versions, 1, 1000);
    in.number("size_max_kib", to.size_max_kib, 1, 16'384);
    in.path("versions_folder", to.versions_folder);
    in.choice("on_invalid", on_invalid, {"report", "restore"});
    to.restore_invalid = on_invalid == "restore";
    in.number("settle_milliseconds", to.settle_milliseconds, 0, 60'000);
    in.number("look_again_seconds", to.look_again_seconds, 1, 86'400);
}

void read(Reader& in, RestoreConfig& to) {
    in.texts("pause_command", to.pause_command);
    in.texts("resume_command", to.resume_command);
    in.commands("stop_commands", to.stop_commands);
    in.commands("start_commands", to.start_commands);
    in.number("command_max_seconds", to.command_max_seconds, 1, 86'400);
    in.text("trading_flag_redis", to.trading_flag_redis);
    in.text("trading_flag_key", to.trading_flag_key);
    in.commands("check_commands", to.check_commands);
    in.texts("health_urls", to.health_urls);
    in.text("recent_trades_query", to.recent_trades_query);
    in.text("recent_trades_database", to.recent_trades_database);
    in.text("recent_trades_postgres", to.recent_trades_postgres);
    in.number("check_wait_seconds", to.check_wait_seconds, 0, 3600);
    in.number("keep_free_mib", to.keep_free_mib, 0, 1 << 30);
    in.number("rto_database_seconds", to.rto_database_seconds, 1, 604'800);
    in.number("rto_redis_seconds", to.rto_redis_seconds, 1, 604'800);
    in.number("rto_config_seconds", to.rto_config_seconds, 1, 604'800);
    in.number("rto_whole_seconds", to.rto_whole_seconds, 1, 604'800);
    in.required("recent_trades_database", to.recent_trades_query.empty() || !to.recent_trades_database.empty());
    // Trading that is paused and never told to go on stays paused.
    in.required("resume_command", to.pause_command.empty() || !to.resume_command.empty());
    in.required("pause_command", to.resume_command.empty() || !to.pause_command.empty());
    in.required("start_commands", to.stop_commands.empty() || !to.start_commands.empty());
}

void read(Reader& in, DoctorConfig& to) {
    in.number("backup_age_max_hours", to.backup_age_max_hours, 1, 876'000);
    in.number("backup_max_minutes", to.backup_max_minutes, 0, 10'080);
    in.number("repository_free_min_mib", to.repository_free_min_mib, 0, 1 << 30);
    in.number("journal_free_min_mib", to.journal_free_min_mib, 0, 1 << 30);
    in.number("duckdb_log_max_mib", to.duckdb_log_max_mib, 1, 1 << 30);
    in.number("kept_aside_max_days", to.kept_aside_max_days, 0, 36500);
}

// [[kind]] any number of times; one [kind] is the same as one [[kind]].
template <class Table>
void read_tables(Document& document, Reader& root, std::string_view kind, const Table& defaults,
                 const std::function<void(const Reader&, Table)>& take) {
    const toml::node* node = root.find(kind);
    if (!node) return;
    const auto one = [&](const toml::table& table) {
        Table value = defaults;
        Reader in(document, table, fmt::format("[[{}]]", kind));
        read(in, value);
        in.finish();
        take(in, std::move(value));
    };
    if (const toml::table* table = node->as_table()) return one(*table);
    const toml::array* array = node->as_array();
    if (!array || !std::ranges::all_of(*array, [](const toml::node& n) { return n.is_table(); }))
        return document.complain(node->source(), fmt::format("'{}' must be a table", kind),
                                 fmt::format("write [[{}]] and the keys in lines below it", kind));
    for (const toml::node& element : *array) one(*element.as_table());
}

template <class Component>
void read_components(Document& document, Reader& root, Names& names, std::string_view kind, const Component& defaults,
                     std::vector<Component>& to) {
    read_tables<Component>(document, root, kind, defaults, [&](const Reader& in, Component component) {
        // The complaint about a lacking path comes first; without it there would be one about an empty name.
        if (!document.error) names.take(component.name, kind, in.source_of("name"));
        to.push_back(std::move(component));
    });
}

// A mirror's name is for commands and reports; without one it is "mirror", "mirror-2" and so on.
void read_mirrors(Document& document, Reader& root, std::vector<MirrorConfig>& to) {
    read_tables<MirrorConfig>(document, root, "mirror", {}, [&](const Reader& in, MirrorConfig mirror) {
        if (mirror.name.empty()) mirror.name = to.empty() ? "mirror" : fmt::format("mirror-{}", to.size() + 1);
        if (std::ranges::any_of(to, [&](const MirrorConfig& other) { return other.name == mirror.name; }))
            document.complain(in.source_of("name"), fmt::format("a second mirror is named '{}'", mirror.name),
                              "give each its own name, as name = \"far\"");
        to.push_back(std::move(mirror));
    });
}

// Two rules for one file would fight over it.
void read_keep(Document& document, Reader& root, std::vector<KeepConfig>& to) {
    std::map<std::string, toml::source_index> taken;
    read_tables<KeepConfig>(document, root, "keep", {}, [&](const Reader& in, KeepConfig keep) {
        const auto& at = in.source_of("paths");
        for (const std::string& path : keep.paths) {
            if (!keep.format && !document_format(path))
                document.complain(at, fmt::format("the format of {} does not show in its name", path),
                                  "add format = \"json\", \"toml\", \"env\" or \"text\" (only: not empty, UTF-8)");
            if (const auto [other, fresh] = taken.emplace(path, at.begin.line); !fresh)
                document.complain(at, fmt::format("{} is kept twice (the first: line {})", path, other->second),
                                  "name each file once");
        }
        to.push_back(std::move(keep));
    });
}

// What an account names must be there, and nothing that is one account's alone may serve two.
void read_trade(Document& document, Reader& root, Config& config) {
    std::map<std::string, std::string> taken;
    read_tables<TradeConfig>(document, root, "trade", {}, [&](const Reader& in, TradeConfig trade) {
        const auto good = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
                   c == '.';
        };
        if (!std::ranges::all_of(trade.account, good) || trade.account.size() > 64)
            document.complain(in.source_of("account"),
                              fmt::format("'{}' is no good name for an account", trade.account),
                              "use up to 64 letters, digits, '_', '-' and '.'");
        const auto there = [&](std::string_view key, const std::string& name, const auto& components) {
            if (name.empty() || std::ranges::any_of(components, [&](const auto& one) { return one.name == name; }))
                return;
            const std::string_view kind = key == "lease" ? "postgres" : key;
            document.complain(in.source_of(key),
                              fmt::format("{} in [[trade]] names '{}', and no [[{}]] has that name", key, name, kind),
                              fmt::format("add [[{}]] with name = \"{}\"", kind, name));
        };
        there("journal", trade.journal, config.journals);
        there("redis", trade.redis, config.redis);
        there("duckdb", trade.duckdb, config.duckdb);
        there("clickhouse", trade.clickhouse, config.clickhouse);
        there("lease", trade.lease, config.postgres);
        const auto alone = [&](std::string_view key, const std::string& name) {
            if (name.empty()) return;
            if (const auto [other, fresh] = taken.emplace(fmt::format("{} {}", key, name), trade.account); !fresh)
                document.complain(in.source_of(key),
                                  fmt::format("the {} '{}' serves the account {} already", key, name, other->second),
                                  "give each account its own");
        };
        alone("account", trade.account);
        alone("journal", trade.journal);
        alone("duckdb", trade.duckdb);
        if (trade.redis.empty() && !trade.redis_sentinels.empty())
            document.complain(in.source_of("redis_sentinels"), "redis_sentinels in [[trade]] needs the key 'redis'",
                              "name the [[redis]] whose user and password are to be used");
        config.trade.push_back(std::move(trade));
    });
}

// A store that [[duckdb.rebuild]] names must be there, and be one that has what is asked of it.
void check_rebuild(Document& document, const Reader& root, const Config& config) {
    for (const DuckDbConfig& duckdb : config.duckdb)
        for (const DuckDbRebuildConfig& one : duckdb.rebuild) {
            const auto is_it = [&](const auto& component) { return component.name == one.from; };
            const bool redis = std::ranges::any_of(config.redis, is_it);
            if (!redis && !std::ranges::any_of(config.clickhouse, is_it))
                document.complain(root.source_of("duckdb"),
                                  fmt::format("from in [[duckdb.rebuild]] of {} names '{}', and no [[clickhouse]] or "
                                              "[[redis]] has that name",
                                              duckdb.name, one.from),
                                  fmt::format("add [[clickhouse]] with name = \"{}\"", one.from));
            else if (redis == (one.keys.empty() && one.stream.empty()))
                document.complain(root.source_of("duckdb"),
                                  fmt::format("[[duckdb.rebuild]] of {} {}", duckdb.name,
                                              redis ? "does not say which keys of a Redis hold the rows"
                                                    : "names keys or a stream, and '" + one.from + "' is no Redis"),
                                  redis ? "add keys = \"trade:*\" (hashes) or stream = \"trades\""
                                        : "name a table of it: source = \"database.table\"");
        }
}

// A store that [restore] names must be there.
void check_restore(Document& document, const Reader& root, const Config& config) {
    const auto there = [&](std::string_view key, const std::string& name, std::string_view kind,
                           const auto& components) {
        if (name.empty() || std::ranges::any_of(components, [&](const auto& one) { return one.name == name; })) return;
        document.complain(root.source_of("restore"),
                          fmt::format("{} in [restore] names '{}', and no [[{}]] has that name", key, name, kind),
                          fmt::format("add [[{}]] with name = \"{}\"", kind, name));
    };
    there("trading_flag_redis", config.restore.trading_flag_redis, "redis", config.redis);
    there("recent_trades_postgres", config.restore.recent_trades_postgres, "postgres", config.postgres);
    if (!config.restore.recent_trades_query.empty() && config.postgres.empty())
        document.complain(root.source_of("restore"), "recent_trades_query in [restore] needs a [[postgres]]",
                          "describe the server in [[postgres]], or ask by check_commands");
}

Result<Config> read_document(const toml::table& table, Document& document) {
    Config config;
    Reader root(document, table, "the file's top");
    root.text("stack", config.stack);
    root.path("state_folder", config.state_folder);
    root.path("scratch_folder", config.scratch_folder);
    if (const toml::node* node = root.find("repository")) {
        if (const toml::table* repository = node->as_table()) {
            Reader in(document, *repository, "[repository]");
            read(in, config.repository);
            in.finish();
        } else {
            document.complain(node->source(), "'repository' must be a table",
                              "write [repository] and location = \"/path\" below it");
        }
    }
    Names names(document);
    read_components(document, root, names, "postgres", PostgresConfig{}, config.postgres);
    read_components(document, root, names, "redis", RedisConfig{}, config.redis);
    read_components(document, root, names, "duckdb", DuckDbConfig{}, config.duckdb);
    read_components(document, root, names, "clickhouse", ClickHouseConfig{}, config.clickhouse);
    read_components(document, root, names, "journal", JournalConfig{}, config.journals);
    FilesConfig files, logs;
    files.name = "config";
    logs.name = "logs";
    logs.newer_than_days = 7;
    read_components(document, root, names, "files", files, config.files);
    read_components(document, root, names, "logs", logs, config.logs);
    read_mirrors(document, root, config.mirrors);
    read_trade(document, root, config);
    read_keep(document, root, config.keep);
    root.table("restore", config.restore, "[restore]");
    root.table("doctor", config.doctor, "[doctor]");
    check_restore(document, root, config);
    check_rebuild(document, root, config);
    root.finish();
    if (document.error) return fail(*std::move(document.error));
    return config;
}

}    // namespace

std::string duckdb_name_from_path(std::string_view path) {
    std::string_view stem = path.substr(path.rfind('/') + 1);
    for (const std::string_view suffix : {".duckdb", ".ddb", ".db"})
        if (stem.ends_with(suffix) && stem.size() > suffix.size()) {
            stem.remove_suffix(suffix.size());
            break;
        }
    std::string name;
    for (const char c : stem) {
        const bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        name += good ? c : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : '_';
    }
    return name;
}

Result<Config> parse_config(std::string_view text, std::string_view file_name) {
    Document document{std::string(file_name), {}};
    // toml++ throws, as Debian builds it; its exceptions end here.
    try {
        const toml::table table = toml::parse(text, document.file);
        return read_document(table, document);
    } catch (const toml::parse_error& error) {
        document.complain(error.source(), std::string(error.description()),
                          "mend the line; https://toml.io has the rules");
        return fail(*std::move(document.error));
    }
}

}    // namespace holdfast::policy
