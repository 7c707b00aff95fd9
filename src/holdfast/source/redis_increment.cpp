#include "holdfast/source/redis_increment.hpp"

#include <fmt/core.h>

#include <charconv>

#include "holdfast/db/redis_log.hpp"
#include "holdfast/format/sha256.hpp"

namespace holdfast::source {
namespace {

constexpr std::string_view k_append = "appendonlydir/appendonly.aof";
constexpr const char* k_whole_file = "dump.rdb";
// Each snapshot lists them all: beyond that, the lists would take more than a whole copy now and then.
constexpr std::size_t k_increments_max = 500;
constexpr std::uint64_t k_always_fine = 1 << 20;    // bytes of increments, however small the RDB is
constexpr std::size_t k_piece = std::size_t(256) << 10;

std::optional<std::uint64_t> number_of(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

// "db3:keys=12,expires=3,avg_ttl=0"
bool take_database(std::string_view line, std::map<std::uint64_t, db::RdbSummary::Database>& to) {
    const std::size_t colon = line.find(':');
    const auto number = number_of(line.substr(2, colon - 2));
    if (!number) return true;    // some other field
    db::RdbSummary::Database database;
    bool keys = false, expires = false;
    line.remove_prefix(colon + 1);
    while (!line.empty()) {
        const std::string_view part = line.substr(0, line.find(','));
        line.remove_prefix(std::min(line.size(), part.size() + 1));
        const auto value = number_of(part.substr(part.find('=') + 1));
        if (part.starts_with("keys=") && value) keys = true, database.keys = *value;
        if (part.starts_with("expires=") && value) expires = true, database.expires = *value;
    }
    to[*number] = database;
    return keys && expires;
}

// A name in the component's folder and nothing else: facts are read from the repository.
bool good_name(const std::string& name) {
    return name == k_whole_file || (name.starts_with(k_append) && name.find("..") == std::string::npos &&
                                    name.find('/', k_append.find('/') + 1) == std::string::npos);
}

std::string base_file() { return fmt::format("{}.1.base.rdb", k_append); }
std::string increment_file(std::size_t number) { return fmt::format("{}.{}.incr.aof", k_append, number); }

std::string append_manifest(std::size_t increments) {
    std::string text = fmt::format("file {} seq 1 type b\n", base_file().substr(base_file().find('/') + 1));
    for (std::size_t n = 1; n <= increments; ++n)
        text += fmt::format("file {} seq {} type i\n", increment_file(n).substr(increment_file(n).find('/') + 1), n);
    return text;
}

// The commands up to the moment. Nothing is in the snapshot when there were none.
Result<std::optional<RedisChain::Increment>> take_commands(const RedisChain& chain, const RedisMoment& moment,
                                                           db::RedisReplica& replica, db::RedisLogReader& reader,
                                                           CaptureContext& context) {
    if (replica.replication_id() != moment.position.replication_id)
        return fail(ErrorCode::changed, "the server has another replication ID than a moment ago");
    RedisChain::Increment increment;
    increment.file = increment_file(chain.increments.size() + 1);
    vault::StreamOptions options;
    options.cut = vault::Cut::dump();
    options.mode = 0600;
    HF_TRY(const auto writer, context.backup.start_stream(context.folder + "/" + increment.file, options));
    format::Sha256 sum;
    Bytes piece(k_piece);
    while (replica.offset() < moment.position.offset) {
        const std::uint64_t left = moment.position.offset - replica.offset();
        HF_TRY(const std::size_t n,
               replica.read_commands(ByteSpan(piece).first(std::min<std::uint64_t>(piece.size(), left))));
        HF_DO(reader.feed(ByteView(piece).first(n), [&](ByteView kept) -> Status {
            sum.update(kept);
            return writer->write(kept);
        }));
    }
    if (!reader.at_boundary())
        return fail(ErrorCode::corrupt, fmt::format("offset {} of the server lies inside a command or a transaction",
                                                    moment.position.offset));
    increment.commands = reader.commands();
    increment.bytes = reader.bytes_kept();
    if (increment.commands == 0) return std::optional<RedisChain::Increment>();
    HF_DO(writer->finish());
    increment.facts = json::Value::object({{"file", increment.file},
                                           {"from", chain.position.offset},
                                           {"to", moment.position.offset},
                                           {"commands", increment.commands},
                                           {"bytes", increment.bytes},
                                           {"digest", sum.finish().hex()}});
    return std::optional(std::move(increment));
}

}    // namespace

std::optional<RedisMoment> parse_redis_moment(std::string_view info) {
    RedisMoment moment;
    moment.version = db::info_field(info, "redis_version");
    moment.position.replication_id = db::info_field(info, "master_replid");
    const auto offset = number_of(db::info_field(info, "master_repl_offset"));
    if (moment.position.replication_id.size() != 40 || !offset) return std::nullopt;
    moment.position.offset = *offset;
    moment.has_backlog = db::info_field(info, "repl_backlog_active") == "1";
    moment.backlog_size = number_of(db::info_field(info, "repl_backlog_size")).value_or(0);
    if (info.find("# Keyspace") == std::string_view::npos) return std::nullopt;
    while (!info.empty()) {
        std::string_view line = info.substr(0, info.find('\n'));
        info.remove_prefix(std::min(info.size(), line.size() + 1));
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.starts_with("db") && line.find(':') != std::string_view::npos &&
            !take_database(line, moment.databases))
            return std::nullopt;
    }
    return moment;
}

std::uint64_t RedisChain::increment_bytes() const {
    std::uint64_t sum = 0;
    for (const Increment& increment : increments) sum += increment.bytes;
    return sum;
}

Result<RedisChain> parse_redis_chain(const json::Value& facts) {
    const auto unfit = [](std::string_view what) {
        return fail(ErrorCode::corrupt, fmt::format("the last copy tells no {}", what));
    };
    RedisChain chain;
    chain.position = {facts["replication_id"].text(), facts["offset"].natural(~std::uint64_t(0))};
    if (chain.position.replication_id.size() != 40 || chain.position.offset == ~std::uint64_t(0))
        return unfit("replication position");
    if (!facts["selected_database"].is_null()) chain.database = facts["selected_database"].natural();
    const bool whole = facts["base"].is_null();
    if (whole) {
        chain.base = json::Value::object();
        chain.base.set("file", k_whole_file);
        for (const char* name : {"taken", "version", "rdb_version", "offset", "bytes", "keys", "expires", "functions",
                                 "digest", "databases", "types"})
            chain.base.set(name, facts[name]);
    } else {
        chain.base = facts["base"];
    }
    const auto taken = parse_rfc3339(chain.base["taken"].text());
    chain.base_file = chain.base["file"].text();
    chain.base_bytes = chain.base["bytes"].natural();
    if (!taken || chain.base_bytes == 0 || chain.base["digest"].text().size() != 64 || !good_name(chain.base_file))
        return unfit("base");
    chain.base_taken = *taken;
    for (const json::Value& one : facts["increments"].items()) {
        RedisChain::Increment increment{one["file"].text(), one["commands"].natural(), one["bytes"].natural(), one};
        if (!good_name(increment.file) || increment.bytes == 0 || one["digest"].text().size() != 64)
            return unfit("increment");
        chain.increments.push_back(std::move(increment));
    }
    return chain;
}

std::string why_whole(const policy::RedisConfig& config, const RedisChain& chain, const RedisMoment& moment,
                      Timestamp now) {
    if (config.full_every_hours == 0) return "full_every_hours is 0";
    // Before 7.0 the stream has times to live as they were said, relative: replayed later, keys would live too long.
    unsigned major = 0;
    std::from_chars(moment.version.data(), moment.version.data() + moment.version.size(), major);
    if (major < 7) return "the server is older than 7.0: its stream does not say when keys expire";
    if (chain.base["types"]["module"].natural() > 0)
        return "it holds data types of modules, which a server of our own could not replay";
    const Duration age = now - chain.base_taken;
    // Also when the clock was set back: then nobody knows its age.
    if (age < Duration::zero() || age >= std::chrono::hours(config.full_every_hours))
        return fmt::format("the last whole copy is of {}", to_rfc3339(chain.base_taken));
    if (chain.increment_bytes() > std::max(k_always_fine, chain.base_bytes / 100 * config.increments_max_percent))
        return fmt::format("the increments have grown to {}, the whole copy had {}",
                           human_size(chain.increment_bytes()), human_size(chain.base_bytes));
    if (chain.increments.size() >= k_increments_max) return fmt::format("{} increments", chain.increments.size());
    if (moment.position.replication_id != chain.position.replication_id)
        return "the server has begun a new history (a restart, a failover, or it was without a replica for longer than "
               "repl-backlog-ttl)";
    if (moment.position.offset < chain.position.offset) return "the server is behind the last copy";
    if (!moment.has_backlog) return "the server keeps no replication backlog";
    return {};
}

Result<json::Value> capture_redis_increment(const RedisChain& chain, const Id& tree, const RedisMoment& moment,
                                            db::RedisReplica* replica, CaptureContext& context) {
    db::RedisLogReader reader(chain.database);
    std::optional<RedisChain::Increment> added;
    if (replica) {
        HF_TRY(added, take_commands(chain, moment, *replica, reader, context));
    }
    const auto again = [&](const std::string& file, const std::string& as) {
        return context.backup.reuse(tree, fmt::format("/{}/{}", context.folder, file),
                                    fmt::format("{}/{}", context.folder, as));
    };
    const bool whole = chain.increments.empty() && !added;
    json::Value base = chain.base, increments = json::Value::array();
    base.set("file", whole ? k_whole_file : base_file());
    HF_DO(again(chain.base_file, base["file"].text()));
    std::uint64_t bytes = chain.base_bytes, commands = 0;
    const auto count = [&](const RedisChain::Increment& increment) {
        increments.push(increment.facts);
        bytes += increment.bytes;
        commands += increment.commands;
    };
    for (const RedisChain::Increment& increment : chain.increments) {
        HF_DO(again(increment.file, increment.file));
        count(increment);
    }
    if (added) count(*added);
    if (!whole) {
        const std::string text = append_manifest(increments.items().size());
        HF_DO(context.backup.add_file(fmt::format("{}/{}.manifest", context.folder, k_append), as_bytes(text), 0600));
        bytes += text.size();
    }

    std::uint64_t keys = 0, expires = 0;
    json::Value databases = json::Value::array();
    for (const auto& [number, database] : moment.databases) {
        databases.push(json::Value::object({{"db", number}, {"keys", database.keys}, {"expires", database.expires}}));
        keys += database.keys;
        expires += database.expires;
    }
    json::Value facts =
        json::Value::object({{"how", fmt::format("increment, {} commands", added ? added->commands : 0)},
                             {"version", chain.base["version"]},
                             {"replication_id", moment.position.replication_id},
                             {"offset", moment.position.offset},
                             {"bytes", bytes},
                             {"keys", keys},
                             {"expires", expires},
                             {"commands", commands}});
    if (reader.database()) facts.set("selected_database", *reader.database());
    facts.set("databases", std::move(databases));
    facts.set("base", std::move(base));
    facts.set("increments", std::move(increments));
    return facts;
}

}    // namespace holdfast::source
