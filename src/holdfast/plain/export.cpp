// A snapshot laid out for the day on which there is no holdfast: each part is one stream through gzip and SHA-256 into its file.

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <thread>

#include "holdfast/db/postgres_tools.hpp"
#include "holdfast/format/sha256.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/file_lock.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/plain/gzip.hpp"
#include "holdfast/plain/layout.hpp"
#include "holdfast/source/stack.hpp"
#include "holdfast/source/stack_manifest.hpp"
#include "holdfast/vault/dump_archive.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::plain {
namespace {

using Sink = std::function<Status(ByteView)>;

// Writes into a file that exists under a provisional folder, so plain writes do; durable when finish() returns.
class PackedFile {
public:
    static Result<PackedFile> create(const std::string& path) {
        HF_TRY(os::Fd fd, os::open_file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
        return PackedFile(std::move(fd), path);
    }
    Status write(ByteView bytes) {
        plain_size_ += bytes.size();
        return gzip_->write(bytes);
    }
    Status finish(ExportedFile& facts) {
        HF_DO(gzip_->finish());
        HF_DO(os::sync_fd(out_->fd.get(), out_->path));
        facts.size = out_->size;
        facts.plain_size = plain_size_;
        facts.sha256 = out_->sum.finish().hex();
        return os::write_new_file(out_->path + ".sha256",
                                  as_bytes(fmt::format("{}  {}\n", facts.sha256, os::file_name(out_->path))));
    }

private:
    struct Out {
        os::Fd fd;
        std::string path;
        format::Sha256 sum;
        std::uint64_t size = 0;
    };
    PackedFile(os::Fd fd, const std::string& path) : out_(std::make_unique<Out>(std::move(fd), path)) {
        gzip_ = std::make_unique<Gzip>([out = out_.get()](ByteView bytes) -> Status {
            out->sum.update(bytes);
            out->size += bytes.size();
            auto written = os::write_all(out->fd.get(), bytes);
            if (!written) return fail(std::move(written).error().within(out->path));
            return {};
        });
    }
    std::unique_ptr<Out> out_;
    std::unique_ptr<Gzip> gzip_;
    std::uint64_t plain_size_ = 0;
};

// The archive of pg_dump as the script that psql reads. pg_restore needs no server for it.
Status as_sql(const vault::Repository& repository, const format::Node& dump, const db::PostgresTool& tool,
              const Sink& sink) {
    os::Command command;
    command.arguments = {tool.path, "--format=custom", "--file=-"};
    command.input = os::Stream::pipe;
    HF_TRY(auto process, os::Process::start(command));
    Status fed;
    bool refused = false;    // it closed its end: its own words say why
    Status read;
    {
        const std::jthread feeder([&] {
            fed = vault::read_content(repository, dump, [&](ByteView bytes) -> Status {
                auto written = os::write_all(process.input(), bytes);
                refused |= !written;
                return written;
            });
            process.close_input();
        });
        Bytes some(256 << 10);
        for (;;) {
            if (os::stop_requested()) read = fail(ErrorCode::cancelled, "stopped while exporting a database");
            auto got = read ? os::read_some(process.output(), some) : fail(Error(read.error()));
            if (got && *got == 0) break;
            if (got) read = sink(ByteView(some).first(*got));
            if (got && read) continue;
            if (read) read = fail(std::move(got).error());
            process.kill(SIGKILL);    // the feeder's pipe breaks
            break;
        }
    }
    if (!read) return read;
    if (!fed && !refused) return fed;
    HF_TRY(const auto ended, process.wait());
    if (ended.ok() && fed) return {};
    return fail(db::postgres_tool_error("pg_restore", ended, process.errors()));
}

Status read_file(const std::string& path, const Sink& sink) {
    HF_TRY(const os::Fd file, os::open_file(path, O_RDONLY));
    Bytes buffer(std::size_t(1) << 20);
    for (;;) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while exporting " + path);
        HF_TRY(const std::size_t n, os::read_some(file.get(), buffer));
        if (n == 0) return {};
        HF_DO(sink(ByteView(buffer).first(n)));
    }
}

class Exporter {
public:
    Exporter(const vault::Repository& repository, const vault::SnapshotEntry& snapshot, const ExportOptions& options,
             std::string folder)
        : repository_(repository), snapshot_(snapshot), options_(options), folder_(std::move(folder)) {}

    Status component(const json::Value& entry, bool alone) {
        const std::string name = entry["name"].text(), kind = entry["kind"].text();
        name_ = name;
        kind_ = kind;
        if (kind == "postgres") return postgres(entry["facts"], alone ? "" : name + "_");
        if (kind == "redis") return redis(entry["facts"], alone ? "" : name + "_");
        if (kind == "duckdb") return duckdb();
        if (kind == "files") return archive("config", name);
        if (kind == "logs") return archive("logs", name);
        return archive(kind, name);
    }
    std::vector<ExportedFile>& files() { return files_; }

private:
    Result<std::optional<format::Node>> find(const std::string& path) const {
        auto node = repository_.find_node(snapshot_.snapshot.tree, path);
        if (!node && node.error().code == ErrorCode::not_found) return std::optional<format::Node>();
        if (!node) return fail(node.error());
        return std::optional(*std::move(node));
    }

    Status pack(const std::string& part, const std::string& name, const std::function<Status(const Sink&)>& produce) {
        HF_DO(os::make_folders(folder_ + "/" + part));
        ExportedFile facts;
        facts.component = name_;
        facts.kind = kind_;
        facts.path = part + "/" + name;
        HF_TRY(PackedFile file, PackedFile::create(folder_ + "/" + facts.path));
        HF_DO(produce([&](ByteView bytes) { return file.write(bytes); }));
        HF_DO(file.finish(facts));
        os::crash_point("export.file");
        files_.push_back(std::move(facts));
        return {};
    }
    Status pack_content(const std::string& part, const std::string& name, const format::Node& node) {
        return pack(part, name, [&](const Sink& sink) { return vault::read_content(repository_, node, sink); });
    }
    // The paths in it are absolute ones without the first '/': `tar -xzf … -C /` puts everything back.
    Status archive(const std::string& part, const std::string& name) {
        HF_TRY(const format::Node node, repository_.find_node(snapshot_.snapshot.tree, "/" + name_));
        return pack(part, fmt::format("{}_{}.tar.gz", name, options_.stamp), [&](const Sink& sink) {
            return vault::dump_archive(repository_, node, "", vault::ArchiveKind::tar, sink);
        });
    }

    Status postgres(const json::Value& facts, const std::string& prefix) {
        int major = 0;
        const std::string version = facts["pg_dump_version"].text();
        std::from_chars(version.data(), version.data() + version.size(), major);
        std::optional<db::PostgresTool> tool;
        bool any = false;
        for (const json::Value& database : facts["databases"].items()) {
            const std::string file = database["file"].text();
            HF_TRY(const auto node, find(fmt::format("/{}/{}", name_, file)));
            if (!node || !file.ends_with(".dump")) continue;
            if (!tool) {
                HF_TRY(tool, db::find_postgres_tool("pg_restore", major,
                                                    options_.bin_folder ? options_.bin_folder(name_) : ""));
            }
            any = true;
            const std::string stem = file.substr(0, file.size() - 5);
            HF_DO(pack("database", fmt::format("{}{}_{}.sql.gz", prefix, stem, options_.stamp),
                       [&](const Sink& sink) { return as_sql(repository_, *node, *tool, sink); }));
        }
        HF_TRY(const auto globals, find(fmt::format("/{}/globals.sql", name_)));
        if (globals)
            HF_DO(pack_content("database", fmt::format("{}globals_{}.sql.gz", prefix, options_.stamp), *globals));
        // Other ways to save a server: its folder as it is.
        return any || globals ? Status() : archive("database", name_);
    }

    Status redis(const json::Value& facts, const std::string& prefix) {
        HF_TRY(const auto dump, find(fmt::format("/{}/dump.rdb", name_)));
        const std::string packed = fmt::format("{}dump_{}.rdb.gz", prefix, options_.stamp);
        if (dump) {
            HF_DO(pack_content("redis", packed, *dump));
        } else if (!options_.replay_redis || facts["base"].is_null()) {
            return archive("redis", name_);
        } else {
            const auto replayed = options_.replay_redis(name_, facts, [&](const std::string& rdb) {
                return pack("redis", packed, [&](const Sink& sink) { return read_file(rdb, sink); });
            });
            // Nothing here that could replay them: a server of another machine loads the parts as they are.
            if (!replayed && replayed.error().code == ErrorCode::not_found) {
                if (options_.say)
                    options_.say(name_, "its increments are not made one RDB: " + replayed.error().message);
                return archive("redis", name_);
            }
            HF_DO(replayed);
        }
        for (const auto& [file, name, extension] :
             {std::array{"config.json", "settings", "json"}, {"acl.txt", "acl", "txt"}}) {
            HF_TRY(const auto node, find(fmt::format("/{}/{}", name_, file)));
            if (node)
                HF_DO(pack_content("redis", fmt::format("{}{}_{}.{}.gz", prefix, name, options_.stamp, extension),
                                   *node));
        }
        return {};
    }

    Status duckdb() {
        HF_TRY(const format::Node file,
               repository_.find_node(snapshot_.snapshot.tree, fmt::format("/duckdb/{}.duckdb", name_)));
        HF_DO(pack_content("duckdb", fmt::format("{}_{}.duckdb.gz", name_, options_.stamp), file));
        HF_TRY(const auto wal, find(fmt::format("/duckdb/{}.duckdb.wal", name_)));
        return wal ? pack_content("duckdb", fmt::format("{}_{}.duckdb.wal.gz", name_, options_.stamp), *wal) : Status();
    }

    const vault::Repository& repository_;
    const vault::SnapshotEntry& snapshot_;
    const ExportOptions& options_;
    std::string folder_, name_, kind_;
    std::vector<ExportedFile> files_;
};

json::Value info_of(const ExportReport& report, const json::Value& manifest, const vault::SnapshotEntry& snapshot,
                    const ExportOptions& options) {
    std::string type = "full";
    for (const char* known : {"pre-deployment", "incremental", "daily", "weekly", "monthly"})
        if (std::ranges::find(snapshot.snapshot.tags, known) != snapshot.snapshot.tags.end()) type = known;
    return json::Value::object({{"layout_version", 1},
                                {"timestamp", options.stamp},
                                {"time", to_rfc3339(snapshot.snapshot.time)},
                                {"backup_type", type},
                                {"stack", manifest["stack"]},
                                {"hostname", snapshot.snapshot.hostname},
                                {"snapshot", snapshot.id.hex()},
                                {"program", options.program_version},
                                {"complete", report.complete()},
                                {"files", files_json(report)},
                                {"missing", missing_json(report)}});
}

std::string summary_of(const ExportReport& report, const json::Value& info) {
    std::string text =
        fmt::format("Backup {}\n\nTaken    {}\nHost     {}\nStack    {}\nType     {}\nSnapshot {}\nWritten by {}\n\n",
                    info["timestamp"].text(), info["time"].text(), info["hostname"].text(), info["stack"].text(),
                    info["backup_type"].text(), info["snapshot"].text(), info["program"].text());
    for (const ExportedFile& file : report.files)
        text +=
            fmt::format("{:>10}  {}  ({} unpacked)\n", human_size(file.size), file.path, human_size(file.plain_size));
    for (const auto& one : report.missing)
        text += fmt::format("MISSING     {} ({}): {}\n", one.component, one.kind, one.why);
    return text + R"(
Check
  (cd database && sha256sum -c *.sha256) && gunzip -t database/*.sql.gz      and so in each folder
Bring back
  gunzip -c database/globals_*.sql.gz | psql -d postgres                     roles first; what exists already is an error
  createdb NAME && gunzip -c database/NAME_*.sql.gz | psql -v ON_ERROR_STOP=1 -d NAME
  gunzip -c redis/dump_*.rdb.gz > /var/lib/redis/dump.rdb                    with Redis stopped, and appendonly no at first
  tar -xzf config/config_*.tar.gz -C /                                       paths in it are the absolute ones
)";
}

// Files are synced where they are written; here the names.
Status sync_folders(const std::string& folder) {
    HF_TRY(const auto names, os::list_folder(folder));
    for (const std::string& name : names) {
        const std::string path = folder + "/" + name;
        HF_TRY(const auto status, os::status_of(path, false));
        if (S_ISDIR(status.st_mode)) HF_DO(os::sync_folder(path));
    }
    return os::sync_folder(folder);
}

bool wanted(const ExportOptions& options, const std::string& name, const std::string& kind) {
    const auto names = [&](const std::vector<std::string>& list) {
        return std::ranges::any_of(list, [&](const std::string& one) { return one == name || one == kind; });
    };
    return (options.only.empty() || names(options.only)) && !names(options.without);
}

Status check_choice(const ExportOptions& options, const json::Value& manifest) {
    for (const auto* list : {&options.only, &options.without})
        for (const std::string& word : *list)
            if (std::ranges::none_of(manifest["components"].items(), [&](const json::Value& one) {
                    return one["name"].text() == word || one["kind"].text() == word;
                }))
                return fail(ErrorCode::not_found, fmt::format("the snapshot holds no component '{}'", word),
                            "`holdfast ls` lists what it holds");
    return {};
}

}    // namespace

json::Value files_json(const ExportReport& report) {
    json::Value files = json::Value::array();
    for (const ExportedFile& file : report.files)
        files.push(json::Value::object({{"path", file.path},
                                        {"component", file.component},
                                        {"kind", file.kind},
                                        {"size", file.size},
                                        {"plain_size", file.plain_size},
                                        {"sha256", file.sha256}}));
    return files;
}

json::Value missing_json(const ExportReport& report) {
    json::Value missing = json::Value::array();
    for (const auto& one : report.missing)
        missing.push(json::Value::object({{"component", one.component}, {"kind", one.kind}, {"why", one.why}}));
    return missing;
}

Result<ExportReport> export_snapshot(const vault::Repository& repository, const vault::SnapshotEntry& snapshot,
                                     const ExportOptions& options) {
    auto found = source::read_manifest(repository, snapshot);
    if (!found && found.error().code == ErrorCode::not_found)
        return fail(ErrorCode::not_found,
                    fmt::format("snapshot {} is of plain paths, not of a stack", snapshot.id.brief()),
                    "`holdfast restore SNAPSHOT --target FOLDER` lays its files out");
    HF_TRY(const json::Value manifest, std::move(found));
    HF_DO(check_choice(options, manifest));
    ExportReport report;
    report.folder = options.target + "/" + options.stamp;
    if (os::exists(report.folder))
        return fail(ErrorCode::exists, fmt::format("{} is there already", report.folder),
                    "validate it (`holdfast validate`), or name another --target");
    HF_DO(os::make_folders(options.target));
    const std::string provisional = fmt::format("{}/.{}.partial", options.target, options.stamp);
    HF_DO(os::make_folders(provisional));
    HF_TRY(const os::Fd held, os::open_file(provisional, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    HF_DO(os::lock_alone(held.get(), fmt::format("the same export runs already ({} is in use)", provisional),
                         "wait for it"));
    auto done = [&]() -> Status {
        // What a killed export left.
        HF_TRY(const auto left, os::list_folder(provisional));
        for (const std::string& name : left) HF_DO(os::remove_tree(provisional + "/" + name));
        Exporter exporter(repository, snapshot, options, provisional);
        for (const json::Value& entry : manifest["components"].items()) {
            const std::string name = entry["name"].text(), kind = entry["kind"].text(), status = entry["status"].text();
            if (!wanted(options, name, kind)) {
                report.missing.push_back({name, kind, "left out when this was exported", true});
                continue;
            }
            if (status != "complete")
                report.missing.push_back({name, kind, entry["why"].text("part of it could not be read"), false});
            if (status == "failed" || status == "damaged") continue;    // nothing of it, or no copy of it
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped before " + name);
            if (options.say) options.say(name, "exporting");
            const auto same = std::ranges::count_if(manifest["components"].items(),
                                                    [&](const json::Value& one) { return one["kind"].text() == kind; });
            auto exported = exporter.component(entry, same == 1);
            if (!exported) return fail(std::move(exported).error().within(name));
        }
        report.files = std::move(exporter.files());
        if (report.files.empty())
            return fail(ErrorCode::not_found, "there is nothing to export", "see --only and --without");
        const json::Value info = info_of(report, manifest, snapshot, options);
        HF_DO(os::make_folders(provisional + "/metadata"));
        HF_DO(os::write_new_file(provisional + "/" + k_info_name, as_bytes(json::dump(info, 2) + "\n")));
        HF_DO(os::write_new_file(provisional + "/metadata/manifest.json", as_bytes(json::dump(manifest, 2) + "\n")));
        HF_DO(os::write_new_file(provisional + "/metadata/backup_summary.txt", as_bytes(summary_of(report, info))));
        HF_DO(sync_folders(provisional));
        os::crash_point("export.written");
        if (::renameat2(AT_FDCWD, provisional.c_str(), AT_FDCWD, report.folder.c_str(), RENAME_NOREPLACE) != 0)
            return fail(errno_error(errno, "cannot name " + report.folder));
        os::crash_point("export.named");
        return os::sync_folder(options.target);
    }();
    if (!done) {
        if (const auto removed = os::remove_tree(provisional); !removed && done.error().hint.empty())
            return fail(done.error().code, done.error().message, fmt::format("remove {} by hand", provisional));
        return fail(std::move(done).error());
    }
    return report;
}

}    // namespace holdfast::plain
