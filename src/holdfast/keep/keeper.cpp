#include "holdfast/keep/keeper.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <deque>

#include "holdfast/format/sha256.hpp"
#include "holdfast/keep/in_place.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::keep {
namespace {

struct Step {
    std::string folder, name;
    bool operator==(const Step&) const = default;
};

void put_before(std::deque<std::string>& parts, std::string_view path) {
    std::vector<std::string> more;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        if (const auto part = path.substr(at, end - at); !part.empty() && part != ".") more.emplace_back(part);
        at = end + 1;
    }
    parts.insert(parts.begin(), more.begin(), more.end());
}

// Every name whose change changes what `path` leads to: each link on the way (Kubernetes swaps one in the middle), and the
// file, or the first name that is not there.
std::vector<Step> steps_to(const std::string& path) {
    std::vector<Step> steps;
    std::deque<std::string> parts;
    put_before(parts, path);
    std::string folder = "/";
    for (int links = 0; !parts.empty() && links < 40;) {
        const std::string name = parts.front();
        parts.pop_front();
        if (name == "..") {
            folder = os::parent_folder(folder);
            continue;
        }
        const std::string full = (folder == "/" ? "" : folder) + "/" + name;
        const auto status = os::status_of(full, false);
        if (status && S_ISLNK(status->st_mode)) {
            steps.push_back({folder, name});
            std::string target(4096, '\0');
            const ssize_t length = ::readlink(full.c_str(), target.data(), target.size());
            if (length <= 0) break;
            target.resize(static_cast<std::size_t>(length));
            if (target.starts_with('/')) folder = "/";
            put_before(parts, target);
            ++links;
        } else if (status && S_ISDIR(status->st_mode) && !parts.empty()) {
            folder = full;
        } else {
            steps.push_back({folder, name});
            break;
        }
    }
    return steps;
}

// What is at the file; nullopt: nothing is.
Result<std::optional<std::string>> read_present(const std::string& path) {
    const auto status = os::status_of(path);
    if (!status && status.error().code == ErrorCode::not_found) return std::optional<std::string>();
    if (!status) return fail(status.error());
    if (!S_ISREG(status->st_mode))
        return fail(ErrorCode::unsupported, fmt::format("{} is not a file", path), "name files in [[keep]]");
    auto content = os::read_text(path, k_document_size_max);
    if (!content && content.error().code == ErrorCode::not_found) return std::optional<std::string>();
    if (!content) return fail(content.error());
    return std::optional(*std::move(content));
}

KeptFile with_options(const policy::KeepConfig& config, const std::string& path, policy::DocumentFormat format) {
    KeptFile file;
    file.path = path;
    file.format = format;
    file.versions = versions_folder(path, config.versions_folder);
    file.count = config.versions;
    file.size_max = std::uint64_t(config.size_max_kib) << 10;
    file.restore = config.restore_invalid;
    file.settle = std::chrono::milliseconds(config.settle_milliseconds);
    return file;
}

std::optional<policy::DocumentFormat> format_for(const policy::KeepConfig& config, const std::string& path) {
    return config.format ? config.format : policy::document_format(path);
}

}    // namespace

std::vector<KeptFile> kept_files(const policy::Config& config) {
    std::vector<KeptFile> files;
    for (const auto& keep : config.keep)
        for (const std::string& path : keep.paths)
            files.push_back(with_options(keep, path, format_for(keep, path).value_or(policy::DocumentFormat::text)));
    return files;
}

std::optional<KeptFile> kept_file(const policy::Config* config, const std::string& path) {
    if (config)
        for (const KeptFile& file : kept_files(*config))
            if (file.path == path) return file;
    const auto format = policy::document_format(path);
    return format ? std::optional(with_options({}, path, *format)) : std::nullopt;
}

Judgement judge(const KeptFile& file, std::string_view content) {
    return {policy::find_fault(content, file.format), content.size() > file.size_max};
}

std::string_view to_text(Happening::Kind kind) {
    switch (kind) {
        case Happening::Kind::kept:
            return "kept";
        case Happening::Kind::invalid:
            return "invalid";
        case Happening::Kind::restored:
            return "restored";
        case Happening::Kind::too_long:
            return "too_long";
        case Happening::Kind::missing:
            return "missing";
        case Happening::Kind::failed:
            return "failed";
    }
    return "";
}

Result<Replacement> restore_version(const KeptFile& file, const Version& version,
                                    const std::optional<std::string>& present, Timestamp now) {
    const Versions versions(file.versions, file.path);
    HF_TRY(const std::string content, versions.read(version));
    Replacement done{version, ""};
    if (!present) {
        auto written = os::write_new_file(file.path, as_bytes(content));
        if (!written && written.error().code == ErrorCode::exists)
            return fail(ErrorCode::changed, fmt::format("{} was written meanwhile", file.path), "look at it again");
        HF_DO(written);
        return done;
    }
    // Before anything takes its place.
    if (judge(file, *present).good()) {
        HF_DO(versions.keep(*present, now, file.count));
    } else {
        HF_TRY(done.aside, versions.set_aside(*present, now));
    }
    HF_DO(put_over(file.path, content, format::sha256(as_bytes(*present))));
    return done;
}

Result<Replacement> restore_newest(const KeptFile& file, const std::optional<std::string>& present, Timestamp now) {
    HF_TRY(const auto newest, Versions(file.versions, file.path).newest_valid(file.format));
    if (!newest)
        return fail(ErrorCode::not_found, fmt::format("no good version of {} is kept", file.path),
                    "mend the file; from then on each change is kept");
    return restore_version(file, newest->version, present, now);
}

struct Keeper::Watched {
    explicit Watched(KeptFile f) : file(std::move(f)), versions(file.versions, file.path), settler(file.settle) {}
    KeptFile file;
    Versions versions;
    Settler settler;
    bool first = true;
    // Parsing is spared while the bytes are the same.
    std::optional<Id> judged;
    Judgement judgement;
};

Keeper::Keeper(std::vector<KeptFile> files, Clock& clock) : clock_(clock) {
    for (KeptFile& file : files) files_.push_back(std::make_unique<Watched>(std::move(file)));
}
Keeper::Keeper(Keeper&&) noexcept = default;
Keeper::~Keeper() = default;

std::vector<std::string> Keeper::folders() const {
    std::vector<std::string> folders;
    for (const auto& watched : files_)
        for (Step& step : steps_to(watched->file.path)) folders.push_back(std::move(step.folder));
    std::ranges::sort(folders);
    folders.erase(std::ranges::unique(folders).begin(), folders.end());
    return folders;
}

std::optional<Instant> Keeper::due() const {
    std::optional<Instant> first;
    for (const auto& watched : files_)
        if (const auto due = watched->settler.due(); due && (!first || *due < *first)) first = due;
    return first;
}

std::vector<Happening> Keeper::look_at_all() {
    std::vector<Happening> happenings;
    for (const auto& watched : files_) look_at(*watched, false, happenings);
    return happenings;
}

std::vector<Happening> Keeper::look(const std::vector<os::FolderChange>& changes) {
    std::vector<Happening> happenings;
    const Instant now = clock_.instant();
    for (const auto& watched : files_) {
        bool concerned = watched->first, finished = false;
        if (!changes.empty())
            for (const Step& step : steps_to(watched->file.path))
                for (const os::FolderChange& change : changes) {
                    if (change.lost && (change.folder.empty() || change.folder == step.folder)) concerned = true;
                    if (change.folder != step.folder || change.name != step.name) continue;
                    concerned = true;
                    finished |= change.finished;
                }
        const auto due = watched->settler.due();
        if (concerned || (due && *due <= now)) look_at(*watched, finished, happenings);
    }
    return happenings;
}

void Keeper::look_at(Watched& watched, bool finished, std::vector<Happening>& happenings) {
    const KeptFile& file = watched.file;
    const auto tell = [&](Happening::Kind kind) -> Happening& {
        Happening& one = happenings.emplace_back();
        one.kind = kind;
        one.path = file.path;
        return one;
    };
    const auto failed = [&](const Error& error) {
        Happening& one = tell(Happening::Kind::failed);
        one.reason = error.message;
        one.hint = error.hint;
    };
    const Timestamp now = clock_.now();
    if (std::exchange(watched.first, false)) {
        // What a restore that was killed left beside the file may be the only copy of what somebody wrote.
        const auto left = left_over(file.path);
        if (left && !left->empty()) {
            if (const auto aside = watched.versions.set_aside(*left, now))
                remove_left_over(file.path);
            else
                failed(aside.error());
        }
    }
    const auto present = read_present(file.path);
    Seen seen;
    if (!present) {
        // Told once, as a content of its own.
        seen.content = format::sha256(as_bytes(present.error().message));
        if (watched.settler.look(clock_.instant(), seen)) failed(present.error());
        return;
    }
    if (*present) {
        seen.content = format::sha256(as_bytes(**present));
        if (watched.judged != seen.content) {
            watched.judgement = judge(file, **present);
            watched.judged = seen.content;
        }
        seen.good = watched.judgement.good();
        seen.finished = finished;
    }
    if (!watched.settler.look(clock_.instant(), seen)) return;

    if (!*present) {
        Happening& one = tell(Happening::Kind::missing);
        one.reason = fmt::format("{} is not there", file.path);
        one.hint = fmt::format("`holdfast config restore {}` brings the newest good version back", file.path);
        return;
    }
    if (seen.good) {
        auto kept = watched.versions.keep(**present, now, file.count);
        if (!kept) {
            watched.settler.forget();    // not kept, so not done with: the next look tries again
            return failed(kept.error());
        }
        if (*kept) tell(Happening::Kind::kept).version = std::move(*kept);
        return;
    }
    const Judgement& judgement = watched.judgement;
    if (!judgement.fault) {
        Happening& one = tell(Happening::Kind::too_long);
        one.reason =
            fmt::format("{} has {} bytes, and size_max_kib allows {}", file.path, (*present)->size(), file.size_max);
        one.hint = "it was not kept: shorten it, or raise size_max_kib in [[keep]]";
        return;
    }
    const auto invalid = [&](Happening::Kind kind, std::string hint) -> Happening& {
        Happening& one = tell(kind);
        one.fault = judgement.fault;
        one.reason = policy::fault_text(file.path, *judgement.fault);
        one.hint = std::move(hint);
        return one;
    };
    if (!file.restore) {
        invalid(Happening::Kind::invalid,
                fmt::format("mend it, or `holdfast config restore {}` brings the newest good version back", file.path));
        return;
    }
    auto replaced = restore_newest(file, *present, now);
    if (replaced) {
        Happening& one = invalid(Happening::Kind::restored, "");
        one.version = std::move(replaced->version);
        one.aside = std::move(replaced->aside);
        return;
    }
    if (replaced.error().code == ErrorCode::changed) return watched.settler.forget();    // its writer's word counts
    invalid(Happening::Kind::invalid, "");
    failed(replaced.error());
}

}    // namespace holdfast::keep
