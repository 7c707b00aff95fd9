#include "holdfast/recovery/redis_saved.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <thread>

#include "holdfast/db/rdb.hpp"
#include "holdfast/db/rdb_crc64.hpp"
#include "holdfast/db/redis_log.hpp"
#include "holdfast/format/sha256.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/redis_scratch.hpp"
#include "holdfast/source/redis_increment.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

using namespace std::chrono_literals;

constexpr const char* k_manifest = "appendonlydir/appendonly.aof.manifest";
constexpr const char* k_remedy =
    "run `holdfast check --read-data`, and restore from another snapshot; nothing was replaced";

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

Status read_content(const RestoreContext& context, const format::Node& node, const std::string& path,
                    const std::function<Status(ByteView)>& sink) {
    return vault::read_content(context.repository, node, [&](ByteView bytes) -> Status {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while writing " + path);
        return sink(bytes);
    });
}

Status write_content(const RestoreContext& context, const format::Node& node, const std::string& path,
                     const std::function<Status(ByteView)>& look = {}) {
    HF_TRY(const os::Fd file, os::open_file(path, O_WRONLY | O_CREAT | O_TRUNC));
    // The disk works while we read on: the sync at the end then waits for the last piece only.
    constexpr std::uint64_t k_step = 8 << 20;
    std::uint64_t written = 0, started = 0;
    HF_DO(read_content(context, node, path, [&](ByteView bytes) -> Status {
        if (look) HF_DO(look(bytes));
        HF_DO(os::write_all(file.get(), bytes));
        written += bytes.size();
        if (written - started >= k_step) {
            ::sync_file_range(file.get(), static_cast<off_t>(started), static_cast<off_t>(written - started),
                              SYNC_FILE_RANGE_WRITE);
            started = written;
        }
        return {};
    }));
    return os::sync_fd(file.get(), path);
}

// Reads the RDB while it is written: its digest takes about as long as the disk does. The pipe bounds what lies in between.
Result<db::RdbSummary> write_rdb(const RestoreContext& context, const format::Node& node, const std::string& path) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail(errno_error(errno, "cannot make a pipe"));
    const os::Fd out(ends[0]);
    os::Fd in(ends[1]);
    Result<db::RdbSummary> summary = fail(ErrorCode::internal, "not read");
    std::thread reader([&] {
        summary = db::read_rdb([&](ByteSpan to) { return os::read_some(out.get(), to); });
        // Whoever writes must not wait for one that has seen enough.
        Bytes rest(std::size_t(64) << 10);
        for (auto n = os::read_some(out.get(), rest); n && *n > 0;) n = os::read_some(out.get(), rest);
    });
    const Status written = [&]() -> Status {
        HF_TRY(const os::Fd file, os::open_file(path, O_WRONLY | O_CREAT | O_TRUNC));
        HF_DO(read_content(context, node, path, [&](ByteView bytes) -> Status {
            HF_DO(os::write_all(in.get(), bytes));
            return os::write_all(file.get(), bytes);
        }));
        in.reset();
        return os::sync_fd(file.get(), path);
    }();
    in.reset();
    reader.join();
    if (!written) return fail(written.error());
    return summary;
}

// Whole, with a right checksum, and the content that the manifest names. Returns the databases it has.
Result<Databases> write_and_check_rdb(const RestoreContext& context, const RedisSaved::File& file,
                                      const std::string& path, const json::Value& expected) {
    const std::string what = fmt::format("{}/{} in the snapshot", context.folder, file.name);
    auto summary = write_rdb(context, file.node, path);
    if (!summary) return fail(std::move(summary).error().within(what));
    const std::uint64_t keys = expected["keys"].natural();
    const std::string digest = expected["digest"].text();
    if (summary->keys == keys && summary->digest() == digest) return std::move(summary->databases);
    return fail(ErrorCode::mismatch,
                fmt::format("{} holds {} keys with digest {}, its manifest says {} keys and {}", what, summary->keys,
                            summary->digest().substr(0, 8), keys, digest.substr(0, 8)),
                k_remedy);
}

// Writes it and looks at its checksum alone. The vault has proven every byte against the hash under which the backup stored it,
// and that backup read all of it: what remains is that it all came, and nothing else.
Status write_rdb_by_checksum(const RestoreContext& context, const RedisSaved::File& file, const std::string& path,
                             const json::Value& expected) {
    std::uint64_t crc = 0;
    Bytes held;    // the last eight bytes: the checksum itself
    const Status written = write_content(context, file.node, path, [&](ByteView bytes) -> Status {
        held.insert(held.end(), bytes.begin(),
                    bytes.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(bytes.size(), 8)));
        if (bytes.size() < 8) {
            if (held.size() > 8) {
                crc = db::crc64_jones(crc, ByteView(held).first(held.size() - 8));
                held.erase(held.begin(), held.end() - 8);
            }
            return {};
        }
        held.resize(held.size() - 8);
        crc = db::crc64_jones(crc, held);
        crc = db::crc64_jones(crc, bytes.first(bytes.size() - 8));
        held.assign(bytes.end() - 8, bytes.end());
        return {};
    });
    if (!written) return written;
    const std::uint64_t told = held.size() == 8 ? load_le<std::uint64_t>(held.data()) : 0;
    if (told == 0) {    // the server ran with rdbchecksum no: reading all of it tells
        HF_TRY([[maybe_unused]] const auto databases, write_and_check_rdb(context, file, path, expected));
        return {};
    }
    if (told == crc && file.node.size == expected["bytes"].natural()) return {};
    return fail(ErrorCode::corrupt,
                fmt::format("{}/{} in the snapshot has the checksum {:016x} and not {:016x}", context.folder, file.name,
                            crc, told),
                k_remedy);
}

// Returns the highest database that the increment selects.
Result<std::uint64_t> write_increment(const RestoreContext& context, const RedisSaved::File& file,
                                      const json::Value& expected, const std::string& path) {
    db::RedisLogReader reader;
    format::Sha256 sum;
    const Status written = write_content(context, file.node, path, [&](ByteView bytes) -> Status {
        sum.update(bytes);
        return reader.feed(bytes, [](ByteView) -> Status { return {}; });
    });
    const std::string name = fmt::format("{}/{} in the snapshot", context.folder, file.name);
    if (!written) return fail(Error(written.error()).within(name));
    if (reader.at_boundary() && reader.commands() == expected["commands"].natural() &&
        reader.bytes_read() == expected["bytes"].natural() && sum.finish().hex() == expected["digest"].text())
        return reader.database_max();
    return fail(
        ErrorCode::mismatch,
        fmt::format("{} holds {} commands in {} bytes, or other ones than those that its manifest names ({} in {})",
                    name, reader.commands(), reader.bytes_read(), expected["commands"].natural(),
                    expected["bytes"].natural()),
        k_remedy);
}

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

// The server finds its files in `folder`, loads them and leaves one RDB there.
Status replay(const RestoreContext& context, const std::string& folder, std::uint64_t databases) {
    // As a replica of nobody that ever answers it lets no key expire: what it holds is what was there at the offset.
    HF_TRY(const ScratchRedis server,
           ScratchRedis::start(fmt::format("dir \"{}\"\ndbfilename replayed.rdb\nappendonly yes\n"
                                           "appenddirname appendonlydir\nappendfilename appendonly.aof\n"
                                           "aof-load-truncated no\nauto-aof-rewrite-percentage 0\nappendfsync no\n"
                                           "replicaof 127.0.0.1 1\ndatabases {}\n",
                                           folder, std::max<std::uint64_t>(16, databases)),
                               context.clock));
    HF_TRY(db::RedisClient client, db::RedisClient::connect(server.login()));
    HF_TRY(const db::RedisReply info, client.command({"INFO"}));
    const auto moment = source::parse_redis_moment(info.text());
    if (!moment) return fail(ErrorCode::store, "our redis-server does not tell what it holds");
    HF_DO(compare_databases(moment->databases, context, "replaying the increments"));
    return save(server.login(), context.clock);
}

}    // namespace

Result<RedisSaved> find_redis_saved(const RestoreContext& context) {
    RedisSaved saved;
    const auto find = [&](std::string name) -> Result<RedisSaved::File> {
        HF_TRY(format::Node node, context.repository.find_node(context.snapshot.snapshot.tree,
                                                               fmt::format("/{}/{}", context.folder, name)));
        if (node.type != format::NodeType::file)
            return fail(ErrorCode::corrupt, fmt::format("{}/{} in the snapshot is no file", context.folder, name));
        saved.bytes += node.size;
        return RedisSaved::File{std::move(name), std::move(node)};
    };
    if (context.facts["base"].is_null()) {
        HF_TRY(saved.base, find("dump.rdb"));
        return saved;
    }
    HF_TRY(const source::RedisChain chain, source::parse_redis_chain(context.facts));
    HF_TRY(saved.base, find(chain.base_file));
    for (const auto& increment : chain.increments) {
        HF_TRY(RedisSaved::File file, find(increment.file));
        saved.increments.push_back(std::move(file));
    }
    if (!saved.increments.empty()) {
        HF_TRY(saved.manifest, find(k_manifest));
    }
    return saved;
}

Result<RedisParts> write_redis_parts(const RestoreContext& context, const RedisSaved& saved, const std::string& folder,
                                     RedisProof proof) {
    const json::Value& base = context.facts["base"].is_null() ? context.facts : context.facts["base"];
    RedisParts parts;
    parts.base = folder + "/base.rdb";
    if (proof == RedisProof::checksum) {
        HF_DO(write_rdb_by_checksum(context, saved.base, parts.base, base));
        for (const json::Value& one : base["databases"].items())
            parts.databases = std::max(parts.databases, one["db"].natural() + 1);
    } else {
        HF_TRY(const Databases databases, write_and_check_rdb(context, saved.base, parts.base, base));
        if (!databases.empty()) parts.databases = databases.rbegin()->first + 1;
    }
    for (std::size_t i = 0; i < saved.increments.size(); ++i) {
        parts.increments.push_back(fmt::format("{}/{}.incr.aof", folder, i + 1));
        HF_TRY(const std::uint64_t highest,
               write_increment(context, saved.increments[i], context.facts["increments"].items()[i],
                               parts.increments.back()));
        parts.databases = std::max(parts.databases, highest + 1);
    }
    return parts;
}

Status make_redis_rdb(const RestoreContext& context, const RedisSaved& saved, const std::string& staging,
                      const std::string& rdb, RedisProof proof) {
    const auto move = [&](const std::string& from, const std::string& to) -> Status {
        if (std::rename(from.c_str(), to.c_str()) == 0) return {};
        return fail(errno_error(errno, fmt::format("cannot rename {} to {}", from, to)));
    };
    const std::string folder = staging + "/replay", append = folder + "/appendonlydir";
    HF_DO(os::make_folders(append));
    HF_TRY(RedisParts parts, write_redis_parts(context, saved, append, proof));
    if (!saved.manifest && context.expiry == Expiry::as_now) {
        HF_DO(move(parts.base, rdb));
        return os::remove_tree(folder);
    }
    if (context.expiry != Expiry::as_now) {
        HF_TRY(const std::string command, new_times(context));
        parts.increments.push_back(append + "/new-times.incr.aof");
        HF_DO(os::write_file(parts.increments.back(), as_bytes(command)));
    }
    std::string manifest = "file base.rdb seq 1 type b\n";
    for (std::size_t i = 0; i < parts.increments.size(); ++i)
        manifest += fmt::format("file {} seq {} type i\n", os::file_name(parts.increments[i]), i + 1);
    HF_DO(os::write_file(append + "/appendonly.aof.manifest", as_bytes(manifest)));
    context.say(fmt::format("replaying {} increments in a server of our own{}", saved.increments.size(),
                            context.expiry == Expiry::as_now ? "" : ", which sets the times anew"));
    HF_DO(replay(context, folder, parts.databases));

    const std::string replayed = folder + "/replayed.rdb";
    {
        HF_TRY(const os::Fd file, os::open_file(replayed, O_RDONLY));
        HF_DO(os::sync_fd(file.get(), replayed));
    }
    HF_DO(move(replayed, rdb));
    return os::remove_tree(folder);
}

}    // namespace holdfast::recovery
