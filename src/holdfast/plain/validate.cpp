#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "holdfast/db/rdb.hpp"
#include "holdfast/format/sha256.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/plain/layout.hpp"
#include "holdfast/plain/tar_check.hpp"

namespace holdfast::plain {
namespace {

std::string plural(std::uint64_t n, std::string_view one, std::string_view many) {
    return fmt::format("{} {}", n, n == 1 ? one : many);
}

// A file's bytes, hashed on their way.
class HashedFile {
public:
    static Result<HashedFile> open(const std::string& path) {
        HF_TRY(os::Fd fd, os::open_file(path, O_RDONLY | O_NOFOLLOW));
        return HashedFile(std::move(fd));
    }
    Result<std::size_t> read(ByteSpan to) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
        HF_TRY(const std::size_t n, os::read_some(fd_.get(), to));
        sum_.update(to.first(n));
        size_ += n;
        return n;
    }
    /// Of the whole file: what nobody has read yet is read now.
    Result<std::string> sha256() {
        Bytes buffer(256 << 10);
        for (;;) {
            HF_TRY(const std::size_t n, read(buffer));
            if (n == 0) return sum_.finish().hex();
        }
    }
    std::uint64_t size() const { return size_; }

private:
    explicit HashedFile(os::Fd fd) : fd_(std::move(fd)) {}
    os::Fd fd_;
    format::Sha256 sum_;
    std::uint64_t size_ = 0;
};

// pg_dump and pg_dumpall say in their first lines what comes, and in their last ones that it was all.
Result<std::string> check_sql(const ByteSource& source) {
    constexpr std::size_t k_window = 4096;
    std::string begin, end;
    Bytes buffer(256 << 10);
    std::uint64_t size = 0;
    for (;;) {
        HF_TRY(const std::size_t n, source(buffer));
        if (n == 0) break;
        const std::string_view some = as_text(ByteView(buffer).first(n));
        size += n;
        if (begin.size() < k_window) begin += some.substr(0, k_window - begin.size());
        end += some.substr(some.size() - std::min(some.size(), k_window));
        if (end.size() > k_window) end.erase(0, end.size() - k_window);
    }
    if (size == 0)
        return fail(ErrorCode::corrupt, "the dump is empty", "pg_dump failed when it was made; take another backup");
    if (begin.find("PostgreSQL database dump") == begin.npos &&
        begin.find("PostgreSQL database cluster dump") == begin.npos)
        return fail(ErrorCode::corrupt, "it does not begin as pg_dump begins",
                    "it is no dump of pg_dump in plain form");
    if (end.find("PostgreSQL database dump complete") == end.npos &&
        end.find("PostgreSQL database cluster dump complete") == end.npos)
        return fail(ErrorCode::corrupt, "it does not end as pg_dump ends: the dump was cut",
                    "pg_dump was stopped when it was made (disk full, timeout); take another backup");
    return human_size(size) + " of SQL";
}

Result<std::string> check_rdb(const ByteSource& source) {
    HF_TRY(const db::RdbSummary summary, db::read_rdb(source));
    return fmt::format("{}, RDB version {}{}", plural(summary.keys, "key", "keys"), summary.version,
                       summary.has_checksum ? "" : ", without a checksum of its own");
}

Result<std::string> check_archive(const ByteSource& source) {
    HF_TRY(const TarFacts facts, check_tar(source));
    return fmt::format("{}, {}", plural(facts.files, "file", "files"), human_size(facts.bytes));
}

Result<std::string> check_any(const ByteSource& source) {
    Bytes buffer(256 << 10);
    std::uint64_t size = 0;
    for (;;) {
        HF_TRY(const std::size_t n, source(buffer));
        if (n == 0) return human_size(size) + " unpacked";
        size += n;
    }
}

Result<std::string> check_content(std::string_view name, HashedFile& file) {
    const ByteSource raw = [&](ByteSpan to) { return file.read(to); };
    if (!name.ends_with(".gz")) {
        if (name.ends_with(".sql")) return check_sql(raw);
        if (name.ends_with(".rdb")) return check_rdb(raw);
        if (name.ends_with(".tar")) return check_archive(raw);
        return std::string("not looked into");
    }
    Gunzip gunzip(raw);
    const ByteSource unpacked = [&](ByteSpan to) { return gunzip.read(to); };
    if (name.ends_with(".sql.gz")) return check_sql(unpacked);
    if (name.ends_with(".rdb.gz")) return check_rdb(unpacked);
    if (name.ends_with(".tar.gz")) return check_archive(unpacked);
    return check_any(unpacked);
}

// "<64 digits>  name" or "<64 digits> *name", as sha256sum writes it; paths in front of the name are allowed.
Result<std::string> read_sum(const std::string& path, const std::string& name) {
    HF_TRY(const std::string text, os::read_text(path, 64 << 10));
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = std::string_view(text).substr(at, end - at);
        at = end + 1;
        if (line.size() < 67 || line[64] != ' ' || (line[65] != ' ' && line[65] != '*')) continue;
        const auto id = Id::parse(line.substr(0, 64));
        if (id && os::file_name(line.substr(66)) == name) return id->hex();
    }
    return fail(ErrorCode::corrupt, fmt::format("{} says nothing about {}", os::file_name(path), name),
                "sha256sum could not use it either: the backup was not finished");
}

struct Part {
    std::string folder;
    bool needed;    // each layout has it
    bool summed;    // and a .sha256 for each of its files, in the scripts' layout, too
};
const std::vector<Part> k_parts = {
    {"database", true, true}, {"redis", true, true}, {"config", true, false}, {"logs", false, false}};

class Validator {
public:
    Validator(std::string folder, const ValidationOptions& options) : folder_(std::move(folder)), options_(options) {}

    Result<ValidationReport> run() {
        HF_TRY(const auto status, os::status_of(folder_));
        if (!S_ISDIR(status.st_mode))
            return fail(ErrorCode::not_found, fmt::format("{} is not a folder", folder_),
                        "name one such as 20240101_020000");
        HF_DO(read_info());
        HF_TRY(const auto names, os::list_folder(folder_));
        bool any = false;
        for (const std::string& name : names) {
            const auto part = os::status_of(folder_ + "/" + name, false);
            if (!part || !S_ISDIR(part->st_mode) || name == "metadata") continue;
            any = true;
            HF_DO(folder_of(name));
        }
        if (!any)
            return fail(ErrorCode::not_found,
                        fmt::format("{} holds no backup: neither database/ nor redis/ …", folder_),
                        "name one such as 20240101_020000");
        missing_parts(names);
        for (const auto& [path, sum] : listed_)
            if (!seen_.contains(path))
                report_.problems.push_back(fmt::format("{} is listed in {} and not there", path, k_info_name));
        return std::move(report_);
    }

private:
    Status read_info() {
        const auto text = os::read_text(folder_ + "/" + k_info_name, 16 << 20);
        if (!text && text.error().code == ErrorCode::not_found) {
            report_.problems.push_back(fmt::format("{} is missing", k_info_name));
            return {};
        }
        if (!text) return fail(text.error());
        const auto info = json::parse(*text, k_info_name);
        if (!info) {
            report_.problems.push_back(info.error().message);
            return {};
        }
        ours_ = (*info)["layout_version"].integer() > 0;
        if ((*info)["layout_version"].integer() > 1)
            return fail(ErrorCode::unsupported, fmt::format("{} was written by a later version of holdfast", folder_),
                        "update holdfast");
        for (const json::Value& file : (*info)["files"].items()) {
            if (file["path"].text().empty()) continue;
            listed_[file["path"].text()] = file["sha256"].text();
        }
        for (const json::Value& one : (*info)["missing"].items())
            report_.notes.push_back(fmt::format("{} ({}) is not in it: {}", one["component"].text(), one["kind"].text(),
                                                one["why"].text()));
        return {};
    }

    // Ours say what they hold. The scripts' hold database, redis and config.
    void missing_parts(const std::vector<std::string>& names) {
        for (const Part& part : k_parts) {
            const bool there = std::ranges::find(names, part.folder) != names.end();
            if (there && !filled_.contains(part.folder))
                report_.problems.push_back(fmt::format("{}/ is empty", part.folder));
            if (there || ours_) continue;
            if (part.needed)
                report_.problems.push_back(fmt::format("{}/ is missing", part.folder));
            else
                report_.notes.push_back(fmt::format("{}/ is not in it", part.folder));
        }
    }

    Status folder_of(const std::string& part) {
        HF_TRY(const auto names, os::list_folder(folder_ + "/" + part));
        for (const std::string& name : names) {
            const std::string path = part + "/" + name;
            if (name.ends_with(".sha256")) {
                if (std::ranges::find(names, name.substr(0, name.size() - 7)) == names.end())
                    report_.problems.push_back(fmt::format("{} is there, and its file is not", path));
                continue;
            }
            filled_.insert(part);
            if (options_.say) options_.say(path);
            HF_TRY(ValidatedFile file, one(part, name));
            report_.files.push_back(std::move(file));
        }
        return {};
    }

    Result<ValidatedFile> one(const std::string& part, const std::string& name) {
        ValidatedFile file;
        file.path = part + "/" + name;
        file.kind = part;
        seen_.insert(file.path);
        const auto bad = [&](const Error& error) {
            if (!file.problem.empty()) return;
            file.problem = error.message;
            file.hint = error.hint;
        };
        auto opened = HashedFile::open(folder_ + "/" + file.path);
        if (!opened) {
            bad(opened.error());
            return file;
        }
        auto content = check_content(name, *opened);
        if (!content && content.error().code == ErrorCode::cancelled) return fail(content.error());
        HF_TRY(const std::string sum, opened->sha256());
        file.size = opened->size();
        // A wrong sum says more than what it did to the content.
        const std::string beside = folder_ + "/" + file.path + ".sha256";
        const bool summed = std::ranges::any_of(k_parts, [&](const Part& p) { return p.folder == part && p.summed; });
        const Error differs{ErrorCode::corrupt, "its SHA-256 is not the one that is written down",
                            "it was damaged since: take another copy"};
        if (os::exists(beside)) {
            const auto said = read_sum(beside, name);
            if (!said)
                bad(said.error());
            else if (*said != sum)
                bad(differs);
        } else if (summed || ours_) {
            bad({ErrorCode::corrupt, "its .sha256 is missing", "the backup was not finished, or not copied whole"});
        }
        if (const auto listed = listed_.find(file.path); listed != listed_.end() && listed->second != sum) bad(differs);
        if (!content) bad(content.error());
        if (content) file.facts = *std::move(content);
        return file;
    }

    std::string folder_;
    const ValidationOptions& options_;
    ValidationReport report_;
    bool ours_ = false;
    std::map<std::string, std::string> listed_;    // path, SHA-256
    std::set<std::string> seen_, filled_;
};

}    // namespace

bool ValidationReport::good() const { return problems.empty() && std::ranges::all_of(files, &ValidatedFile::good); }

Result<ValidationReport> validate_folder(const std::string& folder, const ValidationOptions& options) {
    return Validator(folder, options).run();
}

}    // namespace holdfast::plain
