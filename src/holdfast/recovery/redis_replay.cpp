#include "holdfast/recovery/redis_replay.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "holdfast/db/rdb_writer.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/redis_scratch.hpp"
#include "holdfast/source/redis_increment.hpp"

namespace holdfast::recovery {
namespace {

using namespace std::chrono_literals;
using db::RdbCopy;

using Databases = std::map<std::uint64_t, db::RdbSummary::Database>;

Databases databases_of(const json::Value& facts) {
    Databases databases;
    for (const json::Value& one : facts["databases"].items())
        databases[one["db"].natural()] = {one["keys"].natural(), one["expires"].natural()};
    return databases;
}

std::string text_of(const Databases& databases) {
    std::string text;
    for (const auto& [number, database] : databases)
        text += fmt::format("{}db{}: {} keys, {} of them expire", text.empty() ? "" : "; ", number, database.keys,
                            database.expires);
    return text.empty() ? "no keys" : text;
}

constexpr std::size_t k_names_always = 1000;    // named keys, however few keys there are

// The keys that expire, set anew while the server loads it: then it takes none for expired. A scan may give a name twice.
constexpr std::string_view k_new_times = R"lua(
for _, number in ipairs(ARGV) do
  if _ > 1 then
    redis.call('SELECT', number)
    local cursor, seen = '0', {}
    repeat
      local page = redis.call('SCAN', cursor, 'COUNT', 1000)
      cursor = page[1]
      for _, key in ipairs(page[2]) do
        local at = redis.call('PEXPIRETIME', key)
        if at > 0 and not seen[key] then
          seen[key] = true
          if ARGV[1] == 'never' then redis.call('PERSIST', key)
          else redis.call('PEXPIREAT', key, string.format('%.0f', at + ARGV[1])) end
        end
      end
    until cursor == '0'
  end
end)lua";

std::int64_t unix_ms(Timestamp t) { return t.nanoseconds / 1'000'000; }

// One more file of the log: "EVAL … shift db db …".
Result<std::string> new_times(const RestoreContext& context) {
    std::string by = "never";
    if (context.expiry == Expiry::shifted) {
        const auto taken = parse_rfc3339(context.facts["taken"].text());
        if (!taken)
            return fail(ErrorCode::unsupported, "the snapshot does not say when this Redis was copied",
                        "it was made by an older program: restore without --expiry shifted");
        by = std::to_string(std::max<std::int64_t>(0, unix_ms(context.clock.now()) - unix_ms(*taken)));
    }
    std::vector<std::string> words = {"EVAL", std::string(k_new_times), "0", by};
    for (const auto& [number, database] : databases_of(context.facts)) words.push_back(std::to_string(number));
    std::string command = fmt::format("*{}\r\n", words.size());
    for (const std::string& word : words) command += fmt::format("${}\r\n{}\r\n", word.size(), word);
    return command;
}

Status save(const db::RedisLogin& login, Clock& clock) {
    HF_TRY(db::RedisClient client, db::RedisClient::connect(login));
    HF_DO(client.command({"BGSAVE"}));
    for (;;) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while the increments were replayed");
        HF_TRY(const db::RedisReply info, client.command({"INFO", "persistence"}));
        if (db::info_field(info.text(), "rdb_bgsave_in_progress") == "0") {
            if (db::info_field(info.text(), "rdb_last_bgsave_status") == "ok") return {};
            return fail(ErrorCode::store, "our redis-server cannot write the RDB of what it has replayed",
                        "is there room on the disk?");
        }
        clock.sleep(20ms);
    }
}

Status compare_databases(const Databases& now, const RestoreContext& context, std::string_view what) {
    Databases expected = databases_of(context.facts);
    if (context.expiry == Expiry::never)
        for (auto& [number, database] : expected) database.expires = 0;
    if (now == expected) return {};
    return fail(
        ErrorCode::mismatch, fmt::format("{} gives {}; the server said {}", what, text_of(now), text_of(expected)),
        "restore an earlier snapshot of which manifest.json says \"how\": \"whole\". Did something write into the "
        "server that it does not replicate (a writable replica, redis.set_repl)? Nothing was replaced");
}

// As a replica of nobody that ever answers it lets no key expire: what it holds is what was there at the offset.
std::string replay_settings(const std::string& folder, std::uint64_t databases) {
    return fmt::format(
        "dir \"{}\"\ndbfilename replayed.rdb\nappendonly yes\nappenddirname appendonlydir\n"
        "appendfilename appendonly.aof\naof-load-truncated no\nauto-aof-rewrite-percentage 0\nappendfsync no\n"
        "replicaof 127.0.0.1 1\ndatabases {}\n",
        folder, std::max<std::uint64_t>(16, databases));
}

Status write_append_manifest(const std::string& append, const std::vector<std::string>& increments) {
    std::string manifest = "file base.rdb seq 1 type b\n";
    for (std::size_t i = 0; i < increments.size(); ++i)
        manifest += fmt::format("file {} seq {} type i\n", os::file_name(increments[i]), i + 1);
    return os::write_file(append + "/appendonly.aof.manifest", as_bytes(manifest));
}

Status move(const std::string& from, const std::string& to) {
    if (std::rename(from.c_str(), to.c_str()) == 0) return {};
    return fail(errno_error(errno, fmt::format("cannot rename {} to {}", from, to)));
}

void count(Databases& to, const db::RdbKey& key) {
    db::RdbSummary::Database& database = to[key.database];
    ++database.keys;
    database.expires += key.expires_ms != -1;
}

// The base in two: keys that the increments name (with all functions, which they may change), and the rest.
class Splice {
public:
    Splice(const db::RedisTouched& touched, std::string rest, std::string named)
        : touched_(touched), rest_path_(std::move(rest)), named_path_(std::move(named)) {}

    /// False: the base has what cannot be split. Then nothing is in its place.
    Result<bool> split(const RestoreContext& context, const RedisSaved& saved, RedisProof proof) {
        const json::Value& expected = context.facts["base"];
        version_ = static_cast<unsigned>(expected["rdb_version"].natural(k_version));
        HF_TRY(rest_, create(rest_path_));
        HF_TRY(named_, create(named_path_));
        bool splits = true;
        const RdbCopy copy{[&](RdbCopy::Part part, std::uint64_t database, std::string_view name) -> Status {
                               return choose(part, database, name, splits);
                           },
                           [&](ByteView bytes) { return to_ ? to_->write(bytes) : Status(); }};
        db::RdbOptions options{[&](const db::RdbKey& key) {
                                   if (to_ == &*rest_) count(databases_, key);
                               },
                               &copy, proof == RedisProof::content};
        HF_TRY(const db::RdbSummary summary, read_saved_rdb(context, saved.base, options));
        // A base without a checksum is to be read in full, and one of another version has another head.
        if (!splits || (!summary.has_checksum && proof != RedisProof::content) || summary.version != version_)
            return false;
        if (summary.bytes != expected["bytes"].natural() || summary.keys != expected["keys"].natural() ||
            (proof == RedisProof::content && summary.digest() != expected["digest"].text()))
            return fail(ErrorCode::mismatch,
                        fmt::format("{}/{} in the snapshot is not what its manifest describes: {} keys in {} bytes, "
                                    "and {} in {}",
                                    context.folder, saved.base.name, summary.keys, summary.bytes,
                                    expected["keys"].natural(), expected["bytes"].natural()),
                        "run `holdfast check --read-data`, and restore from another snapshot; nothing was replaced");
        HF_DO(named_->finish());
        return true;
    }

    /// What the server made of the named keys goes behind the rest. False: it is of another version.
    Result<bool> join(const RestoreContext& context, const std::string& replayed) {
        const RdbCopy copy{[&](RdbCopy::Part part, std::uint64_t database, std::string_view name) -> Status {
                               to_ = part == RdbCopy::Part::key || part == RdbCopy::Part::function ? &*rest_ : nullptr;
                               if (part != RdbCopy::Part::key) return {};
                               if (!touched_.may_touch(name))
                                   return fail(ErrorCode::internal, "a replayed key is named by no command");
                               if (selected_ == database) return {};
                               selected_ = database;
                               return rest_->select(database);
                           },
                           [&](ByteView bytes) { return to_ ? to_->write(bytes) : Status(); }};
        selected_.reset();
        HF_TRY(const db::RdbSummary summary,
               db::read_rdb_file(replayed, {[&](const db::RdbKey& key) { count(databases_, key); }, &copy, false}));
        if (summary.version != version_) return false;
        HF_DO(compare_databases(databases_, context, "replaying the increments"));
        HF_DO(rest_->finish());
        return true;
    }

private:
    static constexpr std::uint64_t k_version = 10;    // of Redis 7.0; older programs wrote none into the manifest

    Result<std::optional<db::RdbWriter>> create(const std::string& path) const {
        HF_TRY(db::RdbWriter writer, db::RdbWriter::create(path, version_));
        return std::optional(std::move(writer));
    }

    Status choose(RdbCopy::Part part, std::uint64_t database, std::string_view name, bool& splits) {
        using Part = RdbCopy::Part;
        to_ = &*rest_;
        switch (part) {
            case Part::module_aux:
                splits = false;
                return {};
            // Where the base ended in the history of its server: with what comes behind, it no longer does.
            case Part::aux:
                if (name.starts_with("repl-") || name.starts_with("aof-")) to_ = nullptr;
                return {};
            case Part::function:
                to_ = &*named_;
                return {};
            case Part::key:
                if (!touched_.may_touch(name)) return {};
                to_ = &*named_;
                if (selected_ == database) return {};
                selected_ = database;
                return named_->select(database);
            case Part::database:
            case Part::other:
                return {};
        }
        return {};
    }

    const db::RedisTouched& touched_;
    const std::string rest_path_, named_path_;
    unsigned version_ = 0;
    std::optional<db::RdbWriter> rest_, named_;
    db::RdbWriter* to_ = nullptr;    // of the part that is read
    std::optional<std::uint64_t> selected_;    // in named_, then in what is joined
    Databases databases_;
};

// False: all keys are to be replayed.
Result<bool> splice(const RestoreContext& context, const RedisSaved& saved, const std::string& folder,
                    const std::string& rdb, RedisProof proof, RedisStream* stream) {
    const json::Value& base = context.facts["base"];
    const std::string append = folder + "/appendonlydir";
    std::uint64_t databases = 1;
    for (const json::Value& one : base["databases"].items()) databases = std::max(databases, one["db"].natural() + 1);
    db::RedisTouched touched;
    std::vector<std::string> increments;
    for (std::size_t i = 0; i < saved.increments.size(); ++i) {
        increments.push_back(fmt::format("{}/{}.incr.aof", append, i + 1));
        HF_TRY(const std::uint64_t highest,
               write_redis_increment(context, saved, i, increments.back(), Synced::no, &touched));
        databases = std::max(databases, highest + 1);
    }
    // Where half of all keys are replayed, two RDBs more to write and read cost what they spare.
    if (!touched.names_all() || touched.names() > base["keys"].natural() / 2 + k_names_always) return false;
    if (stream) HF_DO(stream->follow(rdb));
    Splice spliced(touched, rdb, append + "/base.rdb");
    HF_TRY(const bool is_split, spliced.split(context, saved, proof));
    if (!is_split) return false;
    context.say(fmt::format("replaying {} increments in a server of our own, over the keys that they name",
                            saved.increments.size()));
    HF_DO(write_append_manifest(append, increments));
    HF_TRY(const ScratchRedis server, ScratchRedis::start(replay_settings(folder, databases), context.clock));
    HF_DO(save(server.login(), context.clock));
    return spliced.join(context, folder + "/replayed.rdb");
}

}    // namespace

Result<std::string> lay_out_replay(const RestoreContext& context, const RedisSaved& saved, const std::string& folder,
                                   RedisProof proof) {
    const std::string append = folder + "/appendonlydir";
    HF_DO(os::make_folders(append));
    HF_TRY(RedisParts parts, write_redis_parts(context, saved, append, proof));
    if (context.expiry != Expiry::as_now) {
        HF_TRY(const std::string command, new_times(context));
        parts.increments.push_back(append + "/new-times.incr.aof");
        HF_DO(os::write_file(parts.increments.back(), as_bytes(command)));
    }
    HF_DO(write_append_manifest(append, parts.increments));
    return replay_settings(folder, parts.databases);
}

Result<std::uint64_t> prove_replayed(const RestoreContext& context, const db::RedisLogin& login) {
    HF_TRY(db::RedisClient client, db::RedisClient::connect(login));
    HF_TRY(const db::RedisReply info, client.command({"INFO"}));
    const auto moment = source::parse_redis_moment(info.text());
    if (!moment) return fail(ErrorCode::store, "our redis-server does not tell what it holds");
    HF_DO(compare_databases(moment->databases, context, "replaying the increments"));
    std::uint64_t keys = 0;
    for (const auto& [number, database] : moment->databases) keys += database.keys;
    return keys;
}

Status make_redis_rdb(const RestoreContext& context, const RedisSaved& saved, const std::string& staging,
                      const std::string& rdb, RedisProof proof, RedisStream* stream) {
    const std::string folder = staging + "/replay", append = folder + "/appendonlydir";
    HF_DO(os::make_folders(append));
    if (saved.manifest && context.expiry == Expiry::as_now) {
        HF_TRY(const bool done, splice(context, saved, folder, rdb, proof, stream));
        HF_DO(os::remove_tree(folder));
        if (done) return {};
        if (stream) HF_DO(stream->abandon());    // what it has been fed is not what comes now
    } else if (!saved.manifest && context.expiry == Expiry::as_now) {
        if (stream) HF_DO(stream->follow(append + "/base.rdb"));
        const auto processors = stream && stream->follows() ? vault::Processors::spare_one : vault::Processors::all;
        HF_TRY(const RedisParts parts, write_redis_parts(context, saved, append, proof, processors));
        HF_DO(move(parts.base, rdb));
        return os::remove_tree(folder);
    }
    HF_TRY(const std::string settings, lay_out_replay(context, saved, folder, proof));
    context.say(fmt::format("replaying {} increments in a server of our own{}", saved.increments.size(),
                            context.expiry == Expiry::as_now ? ", over all keys" : ", which sets the times anew"));
    {
        HF_TRY(const ScratchRedis server, ScratchRedis::start(settings, context.clock));
        HF_TRY([[maybe_unused]] const std::uint64_t keys, prove_replayed(context, server.login()));
        HF_DO(save(server.login(), context.clock));
    }

    const std::string replayed = folder + "/replayed.rdb";
    {
        HF_TRY(const os::Fd file, os::open_file(replayed, O_RDONLY));
        HF_DO(os::sync_fd(file.get(), replayed));
    }
    HF_DO(move(replayed, rdb));
    return os::remove_tree(folder);
}

}    // namespace holdfast::recovery
