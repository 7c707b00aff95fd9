#include "holdfast/keep/versions.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "holdfast/format/sha256.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::keep {
namespace {

// "20261127T170509.123Z"
std::string stamp(Timestamp at) {
    std::string text = to_rfc3339({at.nanoseconds - at.nanoseconds % 1'000'000});
    if (text.size() == 20) text.insert(19, ".");
    std::erase(text, '-');
    std::erase(text, ':');
    text.pop_back();
    while (text.size() < 19) text += '0';
    return text + "Z";
}

std::optional<Timestamp> parse_stamp(std::string_view text) {
    if (text.size() != 20) return std::nullopt;
    std::string full(text);
    full.insert(13, ":");
    full.insert(11, ":");
    full.insert(6, "-");
    full.insert(4, "-");
    const auto time = parse_rfc3339(full);
    return time ? std::optional(*time) : std::nullopt;
}

constexpr std::size_t k_number_digits = 8, k_stamp_size = 20, k_hash_digits = 64;

std::string version_name(std::uint64_t number, Timestamp at, const Id& content, std::string_view extension) {
    return fmt::format("{:08}-{}-{}{}", number, stamp(at), content.hex(), extension);
}

std::optional<Version> parse_version_name(std::string_view name) {
    const std::size_t dash = name.find('-');
    Version version;
    if (dash == std::string_view::npos || dash < k_number_digits || dash > 19) return std::nullopt;
    const auto [end, error] = std::from_chars(name.data(), name.data() + dash, version.number);
    if (error != std::errc() || end != name.data() + dash) return std::nullopt;
    name.remove_prefix(dash + 1);
    if (name.size() < k_stamp_size + 1 + k_hash_digits || name[k_stamp_size] != '-') return std::nullopt;
    const auto at = parse_stamp(name.substr(0, k_stamp_size));
    const auto content = Id::parse(name.substr(k_stamp_size + 1, k_hash_digits));
    const std::string_view extension = name.substr(k_stamp_size + 1 + k_hash_digits);
    // "….json-tmp-1a2b": what a killed write left.
    if (!at || !content || (!extension.empty() && !extension.starts_with('.')) ||
        extension.find("-tmp-") != std::string_view::npos)
        return std::nullopt;
    version.at = *at;
    version.content = *content;
    return version;
}

bool is_unfinished(std::string_view name) { return name.find("-tmp-") != std::string_view::npos; }

// One keeper at a time, whichever process it is in. A file and not the folder: NFS locks only what is open for writing.
Result<os::Fd> lock(const std::string& folder) {
    HF_TRY(os::Fd fd, os::open_file(folder + "/lock", O_RDWR | O_CREAT, 0600));
    while (::flock(fd.get(), LOCK_EX) != 0)
        if (errno != EINTR) return fail(errno_error(errno, fmt::format("cannot lock {}/lock", folder)));
    return fd;
}

Result<std::vector<Version>> list_versions(const std::string& folder) {
    const auto names = os::list_folder(folder);
    if (!names && names.error().code == ErrorCode::not_found) return std::vector<Version>{};
    if (!names) return fail(names.error());
    std::vector<Version> versions;
    for (const std::string& name : *names) {
        auto version = parse_version_name(name);
        if (!version) continue;
        version->file = folder + "/" + name;
        const auto status = os::status_of(version->file);
        if (!status) continue;    // pruned meanwhile
        version->size = static_cast<std::uint64_t>(status->st_size);
        versions.push_back(*std::move(version));
    }
    std::ranges::stable_sort(versions, {}, &Version::number);
    return versions;
}

}    // namespace

std::string versions_folder(std::string_view path, std::string_view root) {
    const std::string name = os::file_name(path);
    if (!root.empty()) return fmt::format("{}/{}-{}", root, name, format::sha256(as_bytes(path)).brief());
    const std::string parent = os::parent_folder(path);
    return fmt::format("{}/.holdfast/{}", parent == "/" ? "" : parent, name);
}

Versions::Versions(std::string folder, std::string_view name) : folder_(std::move(folder)) {
    const std::size_t dot = name.rfind('.');
    if (dot != std::string_view::npos && name.size() - dot <= 16) extension_ = name.substr(dot);
}

Result<std::vector<Version>> Versions::list() const { return list_versions(folder_); }

Result<std::string> Versions::read(const Version& version) const {
    HF_TRY(std::string content, os::read_text(version.file, k_document_size_max));
    if (format::sha256(as_bytes(content)) != version.content)
        return fail(ErrorCode::corrupt, fmt::format("{} does not hold what was kept: its hash differs", version.file),
                    "another version is used; `holdfast config versions` lists them");
    return content;
}

Result<std::optional<Version>> Versions::keep(std::string_view content, Timestamp now, unsigned count) const {
    if (content.size() > k_document_size_max)
        return fail(ErrorCode::usage, fmt::format("{} is too long for a configuration", human_size(content.size())));
    HF_DO(os::make_folders(folder_));
    HF_TRY(const os::Fd locked, lock(folder_));
    HF_TRY(auto versions, list_versions(folder_));
    Version version;
    version.content = format::sha256(as_bytes(content));
    version.size = content.size();
    version.at = {now.nanoseconds - now.nanoseconds % 1'000'000};
    // One whose bytes were damaged since is no reason not to keep them again.
    const bool known =
        !versions.empty() && versions.back().content == version.content && read(versions.back()).has_value();
    if (!known) {
        version.number = versions.empty() ? 1 : versions.back().number + 1;
        version.file = folder_ + "/" + version_name(version.number, version.at, version.content, extension_);
        HF_DO(os::write_new_file(version.file, as_bytes(content)));
        os::crash_point("keep.kept");
        versions.push_back(version);
    }
    // Not before the new one is durable. A failure to prune loses nothing: the next one tries again.
    for (std::size_t i = 0; i + std::max(count, 1u) < versions.size(); ++i) ::unlink(versions[i].file.c_str());
    if (const auto names = os::list_folder(folder_))
        for (const std::string& name : *names)
            if (is_unfinished(name)) ::unlink((folder_ + "/" + name).c_str());
    return known ? std::nullopt : std::optional(std::move(version));
}

Result<std::optional<Versions::Loaded>> Versions::newest_valid(policy::DocumentFormat format) const {
    HF_TRY(auto versions, list());
    unsigned skipped = 0;
    for (auto version = versions.rbegin(); version != versions.rend(); ++version, ++skipped) {
        auto content = read(*version);
        if (content && !policy::find_fault(*content, format))
            return std::optional(Loaded{std::move(*version), *std::move(content), skipped});
    }
    return std::optional<Loaded>();
}

Result<std::string> Versions::set_aside(std::string_view content, Timestamp now) const {
    const std::string rejected = folder_ + "/rejected";
    HF_DO(os::make_folders(rejected));
    HF_TRY(const os::Fd locked, lock(folder_));
    HF_TRY(const auto there, list_versions(rejected));
    const Id id = format::sha256(as_bytes(content));
    for (const Version& version : there)
        if (version.content == id && read(version)) return version.file;
    const std::uint64_t number = there.empty() ? 1 : there.back().number + 1;
    std::string file = rejected + "/" + version_name(number, now, id, extension_);
    HF_DO(os::write_new_file(file, as_bytes(content)));
    return file;
}

}    // namespace holdfast::keep
