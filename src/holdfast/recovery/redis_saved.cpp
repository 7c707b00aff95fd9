#include "holdfast/recovery/redis_saved.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <thread>

#include "holdfast/db/rdb.hpp"
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
    HF_DO(read_content(context, node, path, [&](ByteView bytes) -> Status {
        if (look) HF_DO(look(bytes));
        return os::write_all(file.get(), bytes);
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

Status compare_databases(const Databases& now, const json::Value& facts, std::string_view what) {
    const Databases expected = databases_of(facts);
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
    HF_DO(compare_databases(moment->databases, context.facts, "replaying the increments"));
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

Status make_redis_rdb(const RestoreContext& context, const RedisSaved& saved, const std::string& staging,
                      const std::string& rdb) {
    const json::Value& base = context.facts["base"].is_null() ? context.facts : context.facts["base"];
    if (!saved.manifest) {
        HF_DO(write_and_check_rdb(context, saved.base, rdb, base));
        return {};
    }
    const std::string folder = staging + "/replay";
    HF_DO(os::make_folders(folder + "/appendonlydir"));
    HF_TRY(const Databases databases, write_and_check_rdb(context, saved.base, folder + "/" + saved.base.name, base));
    std::uint64_t needed = databases.empty() ? 1 : databases.rbegin()->first + 1;
    for (std::size_t i = 0; i < saved.increments.size(); ++i) {
        const RedisSaved::File& file = saved.increments[i];
        HF_TRY(const std::uint64_t highest,
               write_increment(context, file, context.facts["increments"].items()[i], folder + "/" + file.name));
        needed = std::max(needed, highest + 1);
    }
    HF_DO(write_content(context, saved.manifest->node, folder + "/" + saved.manifest->name));
    context.say(fmt::format("replaying {} increments in a server of our own", saved.increments.size()));
    HF_DO(replay(context, folder, needed));

    const std::string replayed = folder + "/replayed.rdb";
    {
        HF_TRY(const os::Fd file, os::open_file(replayed, O_RDONLY));
        HF_DO(os::sync_fd(file.get(), replayed));
    }
    if (std::rename(replayed.c_str(), rdb.c_str()) != 0)
        return fail(errno_error(errno, fmt::format("cannot rename {} to {}", replayed, rdb)));
    return os::remove_tree(folder);
}

}    // namespace holdfast::recovery
