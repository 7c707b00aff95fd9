// A plain folder into the vault: streams where a file is one artefact, an unpacked copy where it is an archive.

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "holdfast/db/rdb.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/os/scratch_folder.hpp"
#include "holdfast/plain/gzip.hpp"
#include "holdfast/plain/layout.hpp"
#include "holdfast/source/stack.hpp"
#include "holdfast/source/stack_manifest.hpp"
#include "holdfast/vault/backup.hpp"

namespace holdfast::plain {
namespace {

// One packed file, unpacked as it is read.
class Unpacked {
public:
    static Result<Unpacked> open(const std::string& path) {
        HF_TRY(os::Fd fd, os::open_file(path, O_RDONLY | O_NOFOLLOW));
        return Unpacked(std::move(fd));
    }
    Result<std::size_t> read(ByteSpan to) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while importing");
        return gunzip_->read(to);
    }

private:
    explicit Unpacked(os::Fd fd) : fd_(std::make_unique<os::Fd>(std::move(fd))) {
        gunzip_ = std::make_unique<Gunzip>([raw = fd_.get()](ByteSpan to) { return os::read_some(raw->get(), to); });
    }
    std::unique_ptr<os::Fd> fd_;
    std::unique_ptr<Gunzip> gunzip_;
};

// tar knows owners, links, times and attributes; it drops a leading '/' and refuses "..".
Status unpack_archive(Unpacked& archive, const std::string& into) {
    os::Command command;
    command.arguments = {"tar", "--extract", "--preserve-permissions", "--xattrs", "--file=-", "--directory=" + into};
    command.input = os::Stream::pipe;
    command.output = os::Stream::null;
    HF_TRY(auto process, os::Process::start(command));
    Bytes some(256 << 10);
    Status fed;
    for (;;) {
        const auto n = archive.read(some);
        if (!n) return fail(n.error());    // ~Process kills it
        if (*n == 0) break;
        fed = os::write_all(process.input(), ByteView(some).first(*n));
        if (!fed) break;
    }
    process.close_input();
    HF_TRY(const auto ended, process.wait());
    if (ended.ok() && fed) return {};
    return fail(ErrorCode::store, fmt::format("tar cannot unpack the archive: {}: {}", ended.text(), process.errors()),
                "is there room in the scratch folder?");
}

// What stands in the metadata of ours, or is found out about what scripts made.
struct Origin {
    bool ours = false;
    std::string stack, hostname, stamp, type;
    Timestamp time;
    json::Value manifest;    // ours: of the snapshot that was exported
};

// A file of the folder and the component that it belongs to.
struct Piece {
    std::string path, component, kind;
};

class Importer {
public:
    Importer(std::string folder, vault::Repository& repository, const ImportOptions& options)
        : folder_(std::move(folder)), repository_(repository), options_(options) {}

    Result<ImportReport> run() {
        HF_TRY(const auto judged, validate_folder(folder_));
        if (!judged.good()) {
            std::string why = judged.problems.empty() ? "" : judged.problems[0];
            for (const auto& file : judged.files)
                if (!file.good() && why.empty()) why = fmt::format("{}: {}", file.path, file.problem);
            return fail(ErrorCode::corrupt, fmt::format("{} is not good: {}", folder_, why),
                        "nothing was imported; `holdfast validate` says all that is wrong");
        }
        HF_DO(read_origin());
        HF_TRY(const auto pieces, list_pieces());
        const std::string path = "/holdfast/" + origin_.stack;
        HF_TRY(const auto there, repository_.snapshots());
        for (const auto& entry : there)
            if (entry.snapshot.time == origin_.time && entry.snapshot.paths == std::vector<std::string>{path})
                return fail(ErrorCode::exists,
                            fmt::format("the vault has snapshot {} of that stack and time", entry.id.brief()),
                            "restore from it, or `holdfast forget` it first");
        vault::BackupOptions backup;
        backup.hostname = origin_.hostname;
        backup.time = origin_.time;
        backup.paths = {path};
        backup.tags = {"holdfast", "imported"};
        if (!origin_.type.empty() && origin_.type != "full") backup.tags.push_back(origin_.type);
        backup.tags.insert(backup.tags.end(), options_.tags.begin(), options_.tags.end());
        backup.program_version = options_.program_version;
        HF_TRY(backup_, vault::Backup::start(repository_, std::move(backup)));
        for (const Piece& piece : pieces) {
            if (options_.say) options_.say(piece.component, "importing " + piece.path);
            auto taken = take(piece);
            if (!taken) return fail(std::move(taken).error().within(piece.path));
        }
        HF_TRY(ImportReport report, finish());
        return report;
    }

private:
    struct Component {
        std::string name, kind;
        json::Value facts;
        std::vector<std::string> artefacts;
        std::uint64_t bytes = 0, files = 0;
        json::Value databases = json::Value::array();
    };

    Status read_origin() {
        HF_TRY(const std::string text, os::read_text(folder_ + "/" + k_info_name, 16 << 20));
        HF_TRY(const json::Value info, json::parse(text, k_info_name));
        origin_.ours = info["layout_version"].integer() > 0;
        origin_.stack = info["stack"].text(options_.stack);
        origin_.hostname = info["hostname"].text();
        origin_.type = info["backup_type"].text();
        origin_.stamp = info["timestamp"].text(os::file_name(folder_));
        if (origin_.ours) {
            HF_TRY(origin_.time, parse_rfc3339(info["time"].text()));
            HF_TRY(const std::string manifest, os::read_text(folder_ + "/metadata/manifest.json", 256 << 20));
            HF_TRY(origin_.manifest, json::parse(manifest, "metadata/manifest.json"));
            HF_DO(source::check_manifest(origin_.manifest, "metadata/manifest.json"));
            for (const json::Value& file : info["files"].items())
                listed_.push_back({file["path"].text(), file["component"].text(), file["kind"].text()});
        } else {
            HF_TRY(origin_.time, options_.time_of(origin_.stamp));
        }
        if (origin_.stack.empty())
            return fail(ErrorCode::usage, "the folder does not say of which stack it is",
                        "use a configuration, or --stack NAME");
        return {};
    }

    bool left_out(const Piece& piece) const {
        return std::ranges::any_of(options_.without,
                                   [&](const std::string& w) { return w == piece.component || w == piece.kind; });
    }

    Result<std::vector<Piece>> list_pieces() const {
        std::vector<Piece> pieces = listed_;
        if (!origin_.ours)
            for (const auto& [folder, kind] : std::map<std::string, std::string>{
                     {"database", "postgres"}, {"redis", "redis"}, {"config", "files"}, {"logs", "logs"}}) {
                const auto names = os::list_folder(folder_ + "/" + folder);
                if (!names) continue;
                for (const std::string& name : *names) {
                    if (!name.ends_with(".sql.gz") && !name.ends_with(".rdb.gz") && !name.ends_with(".tar.gz"))
                        continue;
                    pieces.push_back({folder + "/" + name, options_.name_of(kind), kind});
                }
            }
        std::erase_if(pieces, [&](const Piece& piece) { return left_out(piece); });
        if (pieces.empty()) return fail(ErrorCode::not_found, "there is nothing to import");
        for (const Piece& piece : pieces)
            if (!origin_.ours && piece.path.ends_with(".tar.gz") && options_.root.empty())
                return fail(ErrorCode::usage, fmt::format("{} does not say where its files belong", piece.path),
                            "name the folder with --root /srv/trading-system, or leave it out with --without files "
                            "--without logs");
        return pieces;
    }

    Component& component(const Piece& piece) {
        for (Component& one : components_)
            if (one.name == piece.component) return one;
        Component fresh;
        fresh.name = piece.component;
        fresh.kind = piece.kind;
        for (const json::Value& entry : origin_.manifest["components"].items())
            if (entry["name"].text() == piece.component) fresh.facts = entry["facts"];
        if (!fresh.facts.is_object()) fresh.facts = json::Value::object();
        components_.push_back(std::move(fresh));
        return components_.back();
    }

    // "database/trading_db_20240101_020000.sql.gz" is "trading_db".
    std::string stem(const Piece& piece) const {
        std::string name = os::file_name(piece.path);
        name.resize(std::min(name.size(), name.find('.')));
        if (const std::string tail = "_" + origin_.stamp; name.ends_with(tail)) name.resize(name.size() - tail.size());
        return name;
    }

    Status take(const Piece& piece) {
        if (piece.path.ends_with(".tar.gz")) return take_archive(piece);
        Component& to = component(piece);
        if (piece.kind == "postgres") return take_sql(piece, to);
        if (piece.kind == "duckdb") {
            const bool wal = piece.path.ends_with(".wal.gz");
            return stream(piece, to, fmt::format("duckdb/{}.duckdb{}", piece.component, wal ? ".wal" : ""));
        }
        const std::string name = stem(piece);
        if (piece.path.ends_with(".rdb.gz")) return take_rdb(piece, to);
        return stream(piece, to, piece.component + (name.ends_with("settings") ? "/config.json" : "/acl.txt"));
    }

    // Returns what it was, plain, as a stream into the snapshot; `look` sees the bytes, too.
    Status stream(const Piece& piece, Component& to, const std::string& place) {
        HF_TRY(Unpacked file, Unpacked::open(folder_ + "/" + piece.path));
        HF_TRY(const auto writer, backup_->start_stream(place, options_of()));
        Bytes some(256 << 10);
        for (;;) {
            HF_TRY(const std::size_t n, file.read(some));
            if (n == 0) break;
            HF_DO(writer->write(ByteView(some).first(n)));
        }
        return done(to, place, *writer);
    }
    vault::StreamOptions options_of() const {
        vault::StreamOptions options;
        options.cut = vault::Cut::dump();
        options.mode = 0600;
        options.mtime = origin_.time;
        return options;
    }
    Status done(Component& to, const std::string& place, vault::StreamWriter& writer) {
        HF_TRY(const auto receipt, writer.finish());
        to.bytes += receipt.size;
        written_[place] = receipt.size;
        const std::string top = to.kind == "duckdb" ? place : to.name;
        if (std::ranges::find(to.artefacts, top) == to.artefacts.end()) to.artefacts.push_back(top);
        return {};
    }

    Status take_rdb(const Piece& piece, Component& to) {
        const std::string place = to.name + "/dump.rdb";
        HF_TRY(Unpacked file, Unpacked::open(folder_ + "/" + piece.path));
        HF_TRY(const auto writer, backup_->start_stream(place, options_of()));
        HF_TRY(const db::RdbSummary summary, db::read_rdb([&](ByteSpan into) -> Result<std::size_t> {
                   HF_TRY(const std::size_t n, file.read(into));
                   HF_DO(writer->write(into.first(n)));
                   return n;
               }));
        HF_DO(done(to, place, *writer));
        if (origin_.ours) {
            if (to.facts["digest"].text() == summary.digest() && to.facts["keys"].natural() == summary.keys) return {};
            return fail(ErrorCode::mismatch,
                        fmt::format("it holds {} keys that are not those of its manifest", summary.keys),
                        "it was not exported from the snapshot that its metadata names");
        }
        json::Value databases = json::Value::array();
        for (const auto& [number, database] : summary.databases)
            databases.push(
                json::Value::object({{"db", number}, {"keys", database.keys}, {"expires", database.expires}}));
        to.facts = json::Value::object({{"version", summary.server_version},
                                        {"rdb_version", summary.version},
                                        {"bytes", summary.bytes},
                                        {"checksum", summary.has_checksum},
                                        {"keys", summary.keys},
                                        {"expires", summary.expires},
                                        {"functions", summary.functions},
                                        {"digest", summary.digest()},
                                        {"databases", std::move(databases)}});
        return {};
    }

    Status take_sql(const Piece& piece, Component& to) {
        std::string name = stem(piece);
        if (const std::string front = to.name + "_"; origin_.ours && name.starts_with(front) && !known(to, name))
            name.erase(0, front.size());
        if (name == "globals" && to.facts["globals"].is_object()) return stream(piece, to, to.name + "/globals.sql");
        const std::string file = name + ".sql", place = to.name + "/" + file;
        HF_DO(stream(piece, to, place));
        json::Value facts = json::Value::object({{"name", name}});
        for (const json::Value& database : to.facts["databases"].items())
            if (database["file"].text() == name + ".dump") facts = database;
        facts.set("file", file).set("format", "plain").set("bytes", written_[place]);
        to.databases.push(std::move(facts));
        return {};
    }
    static bool known(const Component& to, const std::string& name) {
        return name == "globals" ||
               std::ranges::any_of(to.facts["databases"].items(), [&](const json::Value& database) {
                   return database["file"].text() == name + ".dump";
               });
    }

    Status take_archive(const Piece& piece) {
        Component& to = component(piece);
        HF_TRY(const os::ScratchFolder scratch, os::ScratchFolder::create("import", options_.scratch));
        HF_TRY(Unpacked file, Unpacked::open(folder_ + "/" + piece.path));
        HF_DO(unpack_archive(file, scratch.path()));
        vault::PathOptions paths;
        paths.under = to.name + (origin_.ours ? "" : options_.root);
        paths.base = scratch.path();
        HF_TRY(const auto names, os::list_folder(scratch.path()));
        json::Value taken = json::Value::array();
        for (const std::string& name : names) {
            HF_TRY(const auto summary, backup_->add_path(scratch.path() + "/" + name, paths));
            if (!summary.unreadable.empty()) return fail(summary.unreadable[0].second);
            to.files += summary.files;
            to.bytes += summary.bytes;
            taken.push(options_.root + "/" + name);
        }
        if (std::ranges::find(to.artefacts, to.name) == to.artefacts.end()) to.artefacts.push_back(to.name);
        if (!origin_.ours)
            to.facts = json::Value::object({{"paths", std::move(taken)},
                                            {"files", to.files},
                                            {"bytes", to.bytes},
                                            {"unreadable", json::Value::array()}});
        else if ((to.kind == "files" || to.kind == "logs") && to.files != to.facts["files"].natural())
            return fail(
                ErrorCode::mismatch,
                fmt::format("it holds {} files, and its manifest says {}", to.files, to.facts["files"].natural()),
                "it was not exported from the snapshot that its metadata names");
        return {};
    }

    Result<ImportReport> finish() {
        source::StackReport stack;
        stack.complete = true;
        for (Component& one : components_) {
            if (!one.databases.items().empty()) one.facts.set("databases", std::move(one.databases));
            source::ComponentReport report;
            report.name = one.name;
            report.kind = one.kind;
            report.complete = report.saved = true;
            report.artefacts = std::move(one.artefacts);
            report.bytes = one.bytes;
            report.facts = std::move(one.facts);
            stack.components.push_back(std::move(report));
        }
        ImportReport report;
        report.time = origin_.time;
        report.manifest = source::make_manifest(
            {origin_.stack, origin_.hostname, options_.program_version, origin_.time, origin_.time}, stack);
        report.manifest.set("imported_from", folder_);
        HF_DO(backup_->add_file(source::k_manifest_name, as_bytes(json::dump(report.manifest, 2) + "\n")));
        HF_TRY(const auto outcome, backup_->commit());
        report.snapshot = outcome.snapshot;
        report.summary = outcome.summary;
        return report;
    }

    std::string folder_;
    vault::Repository& repository_;
    const ImportOptions& options_;
    Origin origin_;
    std::vector<Piece> listed_;
    std::unique_ptr<vault::Backup> backup_;
    std::vector<Component> components_;
    std::map<std::string, std::uint64_t> written_;
};

}    // namespace

Result<ImportReport> import_folder(const std::string& folder, vault::Repository& repository,
                                   const ImportOptions& options) {
    return Importer(folder, repository, options).run();
}

}    // namespace holdfast::plain
