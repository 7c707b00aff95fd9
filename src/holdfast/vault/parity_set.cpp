#include "holdfast/vault/parity_set.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "holdfast/format/crypto.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::vault {
namespace {

using format::ParityMemberKind;
using storage::FileKind;
using storage::FileName;

constexpr std::pair<FileKind, ParityMemberKind> k_kinds[] = {{FileKind::config, ParityMemberKind::config},
                                                             {FileKind::key, ParityMemberKind::key},
                                                             {FileKind::pack, ParityMemberKind::pack},
                                                             {FileKind::index, ParityMemberKind::index},
                                                             {FileKind::snapshot, ParityMemberKind::snapshot}};

struct ParsedName {
    std::string group;
    std::size_t shard = 0;
    bool old = false;
};

std::optional<ParsedName> parse_name(std::string_view name) {
    ParsedName parsed;
    if (name.ends_with(".old")) {
        parsed.old = true;
        name.remove_suffix(4);
    }
    std::array<std::byte, 16> id;
    if (name.size() != 35 || name[32] != '-' || !from_hex(name.substr(0, 32), id)) return std::nullopt;
    parsed.group = name.substr(0, 32);
    if (name[33] < '0' || name[33] > '9' || name[34] < '0' || name[34] > '9') return std::nullopt;
    parsed.shard = static_cast<std::size_t>(name[33] - '0') * 10 + static_cast<std::size_t>(name[34] - '0');
    return parsed;
}

struct Headers {
    std::optional<format::ParityGroup> group;    // from whichever of the two is good
    bool both = false;
    bool known = true;    // false: of a later version
};

Result<format::ParityGroup> read_header(int fd, std::uint64_t at, std::uint64_t size, std::uint64_t file_size) {
    // A size that the file does not have costs no memory.
    if (size > file_size || at > file_size - size)
        return fail(ErrorCode::corrupt, "the header of a parity file ends early");
    Bytes header(size);
    HF_TRY(const std::size_t got, os::pread_full(fd, header, at));
    header.resize(got);
    return format::decode_parity_header(header);
}

// It stands at both ends, so that one damaged byte costs nothing even where a group has a single parity file.
Headers read_headers(const std::string& path) {
    Headers headers;
    const auto fd = os::open_file(path, O_RDONLY);
    struct stat st;
    if (!fd || ::fstat(fd->get(), &st) != 0) return headers;
    const auto file_size = static_cast<std::uint64_t>(st.st_size);
    Bytes start(format::k_parity_header_start), end(k_parity_trailer);
    if (file_size < start.size() + end.size() || !os::pread_full(fd->get(), start, 0) ||
        !os::pread_full(fd->get(), end, file_size - end.size()))
        return headers;
    const auto first_size = format::parity_header_size(start);
    headers.known = first_size || first_size.error().code != ErrorCode::unsupported;
    const auto last_size = load_le<std::uint64_t>(end.data());
    auto first = first_size ? read_header(fd->get(), 0, *first_size, file_size)
                            : Result<format::ParityGroup>(fail(first_size.error()));
    auto last = last_size <= file_size - end.size()
                    ? read_header(fd->get(), file_size - end.size() - last_size, last_size, file_size)
                    : Result<format::ParityGroup>(fail(ErrorCode::corrupt, "no header at the end"));
    headers.both = first && last && *first == *last;
    if (first)
        headers.group = *std::move(first);
    else if (last)
        headers.group = *std::move(last);
    return headers;
}

}    // namespace

FileName name_of(const format::ParityMember& member) {
    for (const auto& [file, parity] : k_kinds)
        if (parity == member.kind) return {file, file == FileKind::config ? Id{} : member.sha256};
    HF_ASSERT(false);
    return {};
}

ParityMemberKind kind_of(FileKind kind) {
    for (const auto& [file, parity] : k_kinds)
        if (file == kind) return parity;
    HF_ASSERT(false);
    return {};
}

bool ParityFiles::intact() const {
    return std::ranges::all_of(whole, [](bool good) { return good; });
}

Result<ParitySet> ParitySet::load(const std::string& folder, const Id* repository) {
    ParitySet set;
    auto names = os::list_folder(folder);
    if (!names) {
        if (names.error().code == ErrorCode::not_found) return set;
        return fail(std::move(names).error());
    }
    std::map<std::string, std::vector<std::pair<ParsedName, std::string>>> by_group;
    for (const std::string& name : *names)
        if (const auto parsed = parse_name(name))
            by_group[parsed->group].emplace_back(*parsed, fmt::format("{}/{}", folder, name));
    for (const auto& [id, files] : by_group) {
        std::optional<ParityFiles> found;
        std::vector<std::pair<std::size_t, std::string>> good;
        bool known = true;
        for (const auto& [parsed, path] : files) {
            Headers headers = read_headers(path);
            known &= headers.known;
            auto& group = headers.group;
            if (!group || to_hex(group->id) != id || parsed.shard >= group->parity_sums.size()) continue;
            if (headers.both) good.emplace_back(parsed.shard, path);
            if (found) continue;
            found.emplace();
            found->header_size = format::parity_header_size(*group);
            found->group = *std::move(group);
        }
        if (!found) {
            if (!known) continue;    // not ours to judge
            for (const auto& [parsed, path] : files) set.unreadable_.push_back(path);
            continue;
        }
        if (repository && found->group.repository != *repository) continue;
        found->paths.resize(found->group.parity_sums.size());
        found->whole.resize(found->paths.size());
        for (const auto& [parsed, path] : files) {
            if (parsed.shard >= found->paths.size()) continue;
            found->paths[parsed.shard] = path;
            found->old |= parsed.old;
            const auto st = os::status_of(path);
            if (!st) continue;
            set.bytes_ += static_cast<std::uint64_t>(st->st_size);
            found->made = {std::int64_t(st->st_mtim.tv_sec) * 1'000'000'000 + st->st_mtim.tv_nsec};
            found->whole[parsed.shard] = static_cast<std::uint64_t>(st->st_size) ==
                                             2 * found->header_size + found->group.shard_size + k_parity_trailer &&
                                         std::ranges::find(good, std::pair(parsed.shard, path)) != good.end();
        }
        set.groups_.push_back(*std::move(found));
    }
    return set;
}

ParityReader::ParityReader(storage::Backend& backend, const ParityFiles& files)
    : backend_(backend),
      files_(files),
      code_(files.group.members.size(), files.group.parity_sums.size()),
      missing_(files.group.members.size()) {}

bool ParityReader::read_member(std::size_t member, std::uint64_t block, Bytes& to) {
    const format::ParityMember& of = files_.group.members[member];
    to.assign(stripe_length(block), std::byte(0));
    const std::size_t length = files_.group.block_length(of.size, block);
    if (length == 0) return true;    // behind its end all is zero
    if (missing_[member]) return false;
    const ByteSpan part = ByteSpan(to).first(length);
    if (const auto read = backend_.read_at(name_of(of), block * files_.group.block_size, part); !read) {
        missing_[member] = read.error().code == ErrorCode::not_found;
        return false;
    }
    return format::parity_sum(part) == of.sums[block];
}

bool ParityReader::read_parity(std::size_t shard, std::uint64_t block, Bytes& to) {
    to.resize(stripe_length(block));
    if (files_.paths[shard].empty()) return false;
    const auto fd = os::open_file(files_.paths[shard], O_RDONLY);
    if (!fd) return false;
    const auto got = os::pread_full(fd->get(), to, files_.header_size + block * files_.group.block_size);
    return got && *got == to.size() && format::parity_sum(to) == files_.group.parity_sums[shard][block];
}

Status ParityReader::rebuild(std::size_t member, std::uint64_t block, Bytes& to) {
    if (read_member(member, block, to)) return {};
    const std::size_t k = files_.group.members.size(), m = files_.group.parity_sums.size();
    std::vector<Bytes> good;
    std::vector<std::size_t> rows;
    Bytes next;
    for (std::size_t row = 0; row < k + m && rows.size() < k; ++row) {
        if (row == member) continue;
        if (!(row < k ? read_member(row, block, next) : read_parity(row - k, block, next))) continue;
        rows.push_back(row);
        good.push_back(std::move(next));
    }
    if (rows.size() < k)
        return fail(
            ErrorCode::corrupt,
            fmt::format("more is damaged than parity can repair: {} of {} blocks at one place are whole, {} are "
                        "needed",
                        rows.size(), k + m, k));
    std::vector<const std::byte*> blocks;
    for (const Bytes& b : good) blocks.push_back(b.data());
    to.resize(stripe_length(block));
    code_.recover(to.size(), rows, blocks, member, to.data());
    return {};
}

std::size_t ParityReader::count_damaged(std::uint64_t block) {
    std::size_t damaged = 0;
    Bytes bytes;
    for (std::size_t i = 0; i < files_.group.members.size(); ++i) damaged += !read_member(i, block, bytes);
    for (std::size_t i = 0; i < files_.group.parity_sums.size(); ++i) damaged += !read_parity(i, block, bytes);
    return damaged;
}

namespace {

class ParitySource final : public FileSource {
public:
    ParitySource(storage::Backend& backend, ParitySet set) : backend_(backend), set_(std::move(set)) {}
    std::string label() const override { return "parity"; }
    Result<Listing> list() override {
        Listing all;
        for (const ParityFiles& files : set_.groups())
            for (const format::ParityMember& member : files.group.members)
                // What was deleted on purpose is not offered as if it were missing.
                if (!files.old || member.kind == ParityMemberKind::index || member.kind == ParityMemberKind::snapshot)
                    all[name_of(member)] = member.size;
        return all;
    }
    Status fetch(const FileName& name, const std::function<Status(ByteView)>& sink) override {
        Error error{ErrorCode::not_found, fmt::format("parity does not cover {}", describe(name)), ""};
        for (const ParityFiles& files : set_.groups())
            for (std::size_t i = 0; i < files.group.members.size(); ++i) {
                if (name_of(files.group.members[i]) != name) continue;
                // All of it is tried before any of it is handed on: another group may have it, too.
                if (auto status = rebuild(files, i, [](ByteView) { return Status(); }); !status) {
                    error = std::move(status).error();
                    if (error.code == ErrorCode::cancelled) return fail(std::move(error));
                    continue;
                }
                return rebuild(files, i, sink);
            }
        return fail(std::move(error));
    }

private:
    Status rebuild(const ParityFiles& files, std::size_t member, const std::function<Status(ByteView)>& sink) {
        ParityReader reader(backend_, files);
        const format::ParityMember& of = files.group.members[member];
        format::Sha256 sha256;
        Bytes block;
        for (std::uint64_t n = 0; n < of.sums.size(); ++n) {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while repairing by parity");
            HF_DO(reader.rebuild(member, n, block));
            const ByteView part = ByteView(block).first(files.group.block_length(of.size, n));
            sha256.update(part);
            HF_DO(sink(part));
        }
        if (sha256.finish() == of.sha256) return {};
        return fail(ErrorCode::corrupt, fmt::format("{} cannot be put together from parity", describe(name_of(of))));
    }

    storage::Backend& backend_;
    const ParitySet set_;
};

}    // namespace

Result<std::unique_ptr<FileSource>> parity_source(storage::Backend& backend, const std::string& folder) {
    HF_TRY(ParitySet set, ParitySet::load(folder, nullptr));
    return std::make_unique<ParitySource>(backend, std::move(set));
}

}    // namespace holdfast::vault
