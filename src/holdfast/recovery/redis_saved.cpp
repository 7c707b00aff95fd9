#include "holdfast/recovery/redis_saved.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <thread>

#include "holdfast/db/rdb.hpp"
#include "holdfast/db/rdb_crc64.hpp"
#include "holdfast/db/redis_log.hpp"
#include "holdfast/format/sha256.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/redis_increment.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

constexpr const char* k_manifest = "appendonlydir/appendonly.aof.manifest";
constexpr const char* k_remedy =
    "run `holdfast check --read-data`, and restore from another snapshot; nothing was replaced";

std::string name_of(const RestoreContext& context, const RedisSaved::File& file) {
    return fmt::format("{}/{} in the snapshot", context.folder, file.name);
}

Status read_content(const RestoreContext& context, const format::Node& node, const std::string& path,
                    vault::Processors processors, const std::function<Status(ByteView)>& sink) {
    return vault::read_content(
        context.repository, node,
        [&](ByteView bytes) -> Status {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while writing " + path);
            return sink(bytes);
        },
        processors);
}

Status write_content(const RestoreContext& context, const format::Node& node, const std::string& path, Synced synced,
                     vault::Processors processors, const std::function<Status(ByteView)>& look) {
    HF_TRY(const os::Fd file, os::open_file(path, O_WRONLY | O_CREAT | O_TRUNC));
    // The disk works while we read on: the sync at the end then waits for the last piece only.
    constexpr std::uint64_t k_step = 8 << 20;
    std::uint64_t written = 0, started = 0;
    HF_DO(read_content(context, node, path, processors, [&](ByteView bytes) -> Status {
        HF_DO(look(bytes));
        HF_DO(os::write_all(file.get(), bytes));
        written += bytes.size();
        if (synced == Synced::yes && written - started >= k_step) {
            ::sync_file_range(file.get(), static_cast<off_t>(started), static_cast<off_t>(written - started),
                              SYNC_FILE_RANGE_WRITE);
            started = written;
        }
        return {};
    }));
    return synced == Synced::yes ? os::sync_fd(file.get(), path) : Status();
}

// Whole, with a right checksum, and the content that the manifest names.
Status check_rdb(const RestoreContext& context, const RedisSaved::File& file, const Result<db::RdbSummary>& summary,
                 const json::Value& expected) {
    if (!summary) return fail(summary.error());
    const std::uint64_t keys = expected["keys"].natural();
    const std::string digest = expected["digest"].text();
    if (summary->keys == keys && summary->digest() == digest) return {};
    return fail(ErrorCode::mismatch,
                fmt::format("{} holds {} keys with digest {}, its manifest says {} keys and {}", name_of(context, file),
                            summary->keys, summary->digest().substr(0, 8), keys, digest.substr(0, 8)),
                k_remedy);
}

// Writes it and looks at its checksum alone. The vault has proven every byte against the hash under which the backup stored it,
// and that backup read all of it: what remains is that it all came, and nothing else.
Status write_rdb_by_checksum(const RestoreContext& context, const RedisSaved::File& file, const std::string& path,
                             const json::Value& expected, vault::Processors processors) {
    std::uint64_t crc = 0;
    Bytes held;    // the last eight bytes: the checksum itself
    const Status written = write_content(context, file.node, path, Synced::yes, processors, [&](ByteView bytes) {
        held.insert(held.end(), bytes.begin(),
                    bytes.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(bytes.size(), 8)));
        if (bytes.size() < 8) {
            if (held.size() > 8) {
                crc = db::crc64_jones(crc, ByteView(held).first(held.size() - 8));
                held.erase(held.begin(), held.end() - 8);
            }
            return Status();
        }
        held.resize(held.size() - 8);
        crc = db::crc64_jones(crc, held);
        crc = db::crc64_jones(crc, bytes.first(bytes.size() - 8));
        held.assign(bytes.end() - 8, bytes.end());
        return Status();
    });
    if (!written) return written;
    const std::uint64_t told = held.size() == 8 ? load_le<std::uint64_t>(held.data()) : 0;
    if (told == 0) {    // the server ran with rdbchecksum no: reading all of it tells
        auto summary = db::read_rdb_file(path);
        if (!summary) return fail(std::move(summary).error().within(name_of(context, file)));
        return check_rdb(context, file, summary, expected);
    }
    if (told == crc && file.node.size == expected["bytes"].natural()) return {};
    return fail(ErrorCode::corrupt,
                fmt::format("{} has the checksum {:016x} and not {:016x}", name_of(context, file), crc, told),
                k_remedy);
}

}    // namespace

Result<RedisSaved> find_redis_saved(const RestoreContext& context) {
    RedisSaved saved;
    // A large RDB makes its folder long to read: once for all files in it.
    std::map<std::string, format::Tree> folders;
    const auto folder_of = [&](const std::string& path) -> Result<const format::Tree*> {
        const std::string folder = os::parent_folder(path);
        if (const auto known = folders.find(folder); known != folders.end()) return &known->second;
        HF_TRY(const format::Node node, context.repository.find_node(context.snapshot.snapshot.tree, folder));
        if (node.type != format::NodeType::dir)
            return fail(ErrorCode::corrupt, folder + " in the snapshot is no folder");
        HF_TRY(format::Tree tree, context.repository.read_tree(node.subtree));
        return &folders.emplace(folder, std::move(tree)).first->second;
    };
    const auto find = [&](std::string name) -> Result<RedisSaved::File> {
        const std::string path = fmt::format("/{}/{}", context.folder, name);
        HF_TRY(const format::Tree* const folder, folder_of(path));
        const format::Node* const node = folder->find(os::file_name(path));
        if (!node) return fail(ErrorCode::not_found, fmt::format("the snapshot has no {}", path));
        if (node->type != format::NodeType::file)
            return fail(ErrorCode::corrupt, fmt::format("{} in the snapshot is no file", path));
        saved.bytes += node->size;
        return RedisSaved::File{std::move(name), *node};
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

Result<db::RdbSummary> read_saved_rdb(const RestoreContext& context, const RedisSaved::File& saved,
                                      const db::RdbOptions& options, const std::string& copy) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail(errno_error(errno, "cannot make a pipe"));
    const os::Fd out(ends[0]);
    os::Fd in(ends[1]);
    ::fcntl(in.get(), F_SETPIPE_SZ, 1 << 20);    // fewer turns from one thread to the other; less will do, too
    Result<db::RdbSummary> summary = fail(ErrorCode::internal, "not read");
    std::thread reader([&] {
        summary = db::read_rdb([&](ByteSpan to) { return os::read_some(out.get(), to); }, options);
        // Whoever writes must not wait for one that has seen enough.
        Bytes rest(std::size_t(64) << 10);
        for (auto n = os::read_some(out.get(), rest); n && *n > 0;) n = os::read_some(out.get(), rest);
    });
    const Status written = [&]() -> Status {
        os::Fd file;
        if (!copy.empty()) {
            HF_TRY(file, os::open_file(copy, O_WRONLY | O_CREAT | O_TRUNC));
        }
        HF_DO(read_content(context, saved.node, saved.name, vault::Processors::all, [&](ByteView bytes) -> Status {
            HF_DO(os::write_all(in.get(), bytes));
            return copy.empty() ? Status() : os::write_all(file.get(), bytes);
        }));
        in.reset();
        return copy.empty() ? Status() : os::sync_fd(file.get(), copy);
    }();
    in.reset();
    reader.join();
    if (!written) return fail(written.error());
    if (!summary) return fail(std::move(summary).error().within(name_of(context, saved)));
    return summary;
}

Result<std::uint64_t> write_redis_increment(const RestoreContext& context, const RedisSaved& saved, std::size_t which,
                                            const std::string& path, Synced synced, db::RedisTouched* touched) {
    const RedisSaved::File& file = saved.increments[which];
    const json::Value& expected = context.facts["increments"].items()[which];
    db::RedisLogReader reader(std::nullopt, touched);
    format::Sha256 sum;
    const Status written =
        write_content(context, file.node, path, synced, vault::Processors::all, [&](ByteView bytes) -> Status {
            sum.update(bytes);
            return reader.feed(bytes, [](ByteView) -> Status { return {}; });
        });
    const std::string name = name_of(context, file);
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

Result<RedisParts> write_redis_parts(const RestoreContext& context, const RedisSaved& saved, const std::string& folder,
                                     RedisProof proof, vault::Processors processors) {
    const json::Value& base = context.facts["base"].is_null() ? context.facts : context.facts["base"];
    RedisParts parts;
    parts.base = folder + "/base.rdb";
    if (proof == RedisProof::checksum) {
        HF_DO(write_rdb_by_checksum(context, saved.base, parts.base, base, processors));
        for (const json::Value& one : base["databases"].items())
            parts.databases = std::max(parts.databases, one["db"].natural() + 1);
    } else {
        const auto summary = read_saved_rdb(context, saved.base, {}, parts.base);
        HF_DO(check_rdb(context, saved.base, summary, base));
        if (!summary->databases.empty()) parts.databases = summary->databases.rbegin()->first + 1;
    }
    for (std::size_t i = 0; i < saved.increments.size(); ++i) {
        parts.increments.push_back(fmt::format("{}/{}.incr.aof", folder, i + 1));
        HF_TRY(const std::uint64_t highest,
               write_redis_increment(context, saved, i, parts.increments.back(), Synced::yes));
        parts.databases = std::max(parts.databases, highest + 1);
    }
    return parts;
}

}    // namespace holdfast::recovery
