#include "holdfast/vault/parity.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <set>

#include "holdfast/base/log.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using format::ParityGroup;
using format::ParityMember;
using storage::FileKind;
using storage::FileName;

constexpr std::size_t k_members_max = 50;
constexpr FileName k_config{FileKind::config, {}};

// Files that share groups: one kind of importance, sizes within a factor of two, so that padding costs little.
using Class = std::pair<int, int>;
Class class_of(const FileName& name, std::uint64_t size) {
    const int bits = std::bit_width(size);
    switch (name.kind) {
        case FileKind::pack:
            return {0, std::max(bits, 17)};
        case FileKind::index:
            return {1, std::max(bits, 13)};
        default:
            return {2, std::max(bits, 11)};
    }
}

std::size_t parity_count(const Class& of, std::size_t members, unsigned percent) {
    const std::size_t least = of.first == 2 ? 2 : 1;
    return std::clamp((members * percent + 99) / 100, least, format::k_parity_shards_max);
}

struct File {
    FileName name;
    std::uint64_t size = 0;
};

std::string shard_path(const std::string& folder, const ParityGroup& group, std::size_t shard) {
    return fmt::format("{}/{}-{:02d}", folder, to_hex(group.id), shard);
}

// Encodes one group and writes its files. A member that is not what its name says is named in `damaged`.
class GroupWriter {
public:
    GroupWriter(Repository& repository, const ParityOptions& options, std::function<void(std::uint64_t)> count)
        : repository_(repository), options_(options), count_(std::move(count)) {}

    Status write(const std::vector<File>& files, std::size_t parity, std::set<FileName>& damaged) {
        ParityGroup group;
        os::random_bytes(group.id);
        group.repository = repository_.config().id;
        group.block_size = options_.block_size;
        for (const File& file : files) {
            group.members.push_back({kind_of(file.name.kind), file.name.id, file.size, {}});
            group.members.back().sums.resize((file.size + group.block_size - 1) / group.block_size);
            group.shard_size = std::max(group.shard_size, file.size);
        }
        group.parity_sums.assign(parity, std::vector<std::uint64_t>(group.block_count()));
        const std::size_t header_size = format::parity_header_size(group);

        std::vector<os::AtomicFile> shards;
        for (std::size_t i = 0; i < parity; ++i) {
            HF_TRY(auto shard, os::AtomicFile::create(shard_path(options_.folder, group, i), 0400));
            shards.push_back(std::move(shard));
        }
        HF_DO(encode(files, group, header_size, shards, damaged));
        if (!damaged.empty()) return {};
        const Bytes header = format::encode_parity_header(group);
        HF_ASSERT(header.size() == header_size);
        Bytes end = header;
        append_le(end, static_cast<std::uint64_t>(header_size));
        for (os::AtomicFile& shard : shards) {
            HF_DO(os::pwrite_all(shard.fd(), header, 0));
            HF_DO(os::pwrite_all(shard.fd(), end, header_size + group.shard_size));
        }
        for (os::AtomicFile& shard : shards) HF_DO(shard.commit());
        return {};
    }

private:
    Status encode(const std::vector<File>& files, ParityGroup& group, std::size_t header_size,
                  const std::vector<os::AtomicFile>& shards, std::set<FileName>& damaged) {
        const format::ParityCode code(files.size(), shards.size());
        std::vector<Bytes> data(files.size()), parity(shards.size());
        std::vector<format::Sha256> hashes(files.size());
        for (std::uint64_t n = 0; n < group.block_count(); ++n) {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while making parity");
            const std::size_t length = group.block_length(group.shard_size, n);
            std::vector<const std::byte*> from;
            std::vector<std::byte*> to;
            for (std::size_t i = 0; i < files.size(); ++i) {
                data[i].assign(length, std::byte(0));
                from.push_back(data[i].data());
                const ByteSpan part = ByteSpan(data[i]).first(group.block_length(files[i].size, n));
                if (part.empty()) continue;
                if (const auto read = repository_.backend().read_at(files[i].name, n * group.block_size, part); !read) {
                    damaged.insert(files[i].name);
                    continue;
                }
                hashes[i].update(part);
                group.members[i].sums[n] = format::parity_sum(part);
                count_(part.size());
            }
            for (Bytes& block : parity) {
                block.resize(length);
                to.push_back(block.data());
            }
            code.encode(length, from, to);
            for (std::size_t i = 0; i < parity.size(); ++i) {
                group.parity_sums[i][n] = format::parity_sum(parity[i]);
                HF_DO(os::pwrite_all(shards[i].fd(), parity[i], header_size + n * group.block_size));
            }
        }
        for (std::size_t i = 0; i < files.size(); ++i) {
            group.members[i].sha256 = hashes[i].finish();
            if (files[i].name.kind != FileKind::config) {
                if (group.members[i].sha256 != files[i].name.id) damaged.insert(files[i].name);
                continue;
            }
            // The config's content is known good when it opens.
            HF_TRY(const Bytes config, repository_.backend().read(k_config));
            Bytes plain;
            if (format::sha256(config) != group.members[i].sha256 ||
                !format::Cipher(repository_.master_key()).open(config, plain))
                damaged.insert(k_config);
        }
        return {};
    }

    Repository& repository_;
    const ParityOptions& options_;
    std::function<void(std::uint64_t)> count_;
};

Status remove_files(const ParityFiles& files) {
    for (const std::string& path : files.paths)
        if (!path.empty() && ::unlink(path.c_str()) != 0 && errno != ENOENT)
            return fail(errno_error(errno, "cannot remove " + path));
    return {};
}

// Kept under another name from now on; its time says since when.
Status retire(const ParityFiles& files) {
    for (const std::string& path : files.paths) {
        if (path.empty()) continue;
        ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
        if (::rename(path.c_str(), (path + ".old").c_str()) != 0)
            return fail(errno_error(errno, "cannot rename " + path));
    }
    return {};
}

class Updater {
public:
    Updater(Repository& repository, const ParityOptions& options) : repository_(repository), options_(options) {}

    Result<ParityReport> run() {
        HF_TRY(const auto lock, repository_.lock(LockMode::shared));
        HF_DO(repository_.load_index(true));
        HF_TRY(here_, list_repository(repository_.backend()));
        HF_DO(os::make_folders(options_.folder));
        HF_DO(remove_leftovers());
        HF_TRY(const ParitySet set, ParitySet::load(options_.folder, &repository_.config().id));
        sort_groups(set);
        HF_DO(make_groups());
        os::crash_point("parity.made");
        HF_DO(lock->still_held());
        for (const ParityFiles* files : replaced_) HF_DO(remove_files(*files));
        os::crash_point("parity.replaced");
        for (const ParityFiles* files : retired_) HF_DO(retire(*files));
        // Neither of their headers can be read and no other file describes them: they help nobody.
        for (const std::string& path : set.unreadable()) ::unlink(path.c_str());
        HF_DO(os::sync_folder(options_.folder));
        HF_TRY(const ParitySet now, ParitySet::load(options_.folder, &repository_.config().id));
        for (const ParityFiles& files : now.groups()) report_.parity_files += files.paths.size();
        report_.parity_bytes = now.bytes();
        for (const auto& [name, size] : here_) {
            if (!covered_.contains(name)) continue;
            ++report_.files;
            report_.bytes += size;
        }
        return std::move(report_);
    }

private:
    // Of a run that was killed.
    Status remove_leftovers() {
        HF_TRY(const auto names, os::list_folder(options_.folder));
        for (const std::string& name : names)
            if (name.find("-tmp-") != std::string::npos) ::unlink(fmt::format("{}/{}", options_.folder, name).c_str());
        return {};
    }

    // Which groups stay, which are made anew, and which are only waiting to be forgotten.
    void sort_groups(const ParitySet& set) {
        std::set<Id> named;
        for (const format::IndexPack& pack : repository_.state().index.packs()) named.insert(pack.id);
        std::vector<const ParityFiles*> open;
        for (const ParityFiles& files : set.groups()) {
            if (files.old) {
                if (repository_.clock().now() - files.made > options_.keep_old) replaced_.push_back(&files);
                continue;
            }
            bool gone = false, needed = false;
            for (const ParityMember& member : files.group.members) {
                const FileName name = name_of(member);
                const auto found = here_.find(name);
                const bool there = found != here_.end() && found->second == member.size;
                // There with another size: damaged, so this group is needed, too.
                const bool lost =
                    name.kind == FileKind::pack ? !there && named.contains(name.id) : !there && found != here_.end();
                if (lost) report_.lost.push_back(describe(name));
                needed |= lost;
                gone |= !there;
            }
            const FileName first = name_of(files.group.members[0]);
            const Class of = class_of(first, files.group.shard_size);
            const std::size_t k = files.group.members.size();
            if (!needed && gone) {
                (first.kind == FileKind::pack ? replaced_ : retired_).push_back(&files);
            } else if (!needed &&
                       (!files.intact() || files.group.parity_sums.size() != parity_count(of, k, options_.percent) ||
                        (options_.reread && !reads_well(files)))) {
                replaced_.push_back(&files);
            } else if (!needed && k < k_members_max) {
                open.push_back(&files);
            } else {
                keep(files);
            }
        }
        // A group with room is made anew only when there is something to put in.
        std::set<Class> fresh;
        std::set<FileName> in_open;
        for (const ParityFiles* files : open)
            for (const ParityMember& member : files->group.members) in_open.insert(name_of(member));
        for (const auto& [name, size] : here_)
            if (size > 0 && !covered_.contains(name) && !in_open.contains(name)) fresh.insert(class_of(name, size));
        for (const ParityFiles* files : open) {
            const bool grows = std::ranges::any_of(files->group.members, [&](const ParityMember& member) {
                return fresh.contains(class_of(name_of(member), member.size));
            });
            if (grows)
                replaced_.push_back(files);
            else
                keep(*files);
        }
    }

    void keep(const ParityFiles& files) {
        ++report_.groups_kept;
        for (const ParityMember& member : files.group.members) covered_.insert(name_of(member));
    }

    bool reads_well(const ParityFiles& files) {
        ParityReader reader(repository_.backend(), files);
        Bytes block;
        for (std::size_t i = 0; i < files.paths.size(); ++i)
            for (std::uint64_t n = 0; n < files.group.block_count(); ++n)
                if (!reader.read_parity(i, n, block)) return false;
        return true;
    }

    Status make_groups() {
        std::map<Class, std::vector<File>> todo;
        std::uint64_t total = 0, done = 0;
        for (const auto& [name, size] : here_)
            if (size > 0 && !covered_.contains(name)) {
                todo[class_of(name, size)].push_back({name, size});
                total += size;
            }
        GroupWriter writer(repository_, options_, [&](std::uint64_t bytes) {
            done += bytes;
            if (options_.progress) options_.progress(std::min(done, total), total);
        });
        for (auto& [of, files] : todo) {
            std::ranges::sort(files, std::greater(), &File::size);
            for (std::size_t at = 0; at < files.size(); at += k_members_max) {
                const std::size_t count = std::min(k_members_max, files.size() - at);
                const auto from = files.begin() + static_cast<std::ptrdiff_t>(at);
                HF_DO(make_group(of, {from, from + static_cast<std::ptrdiff_t>(count)}, writer));
            }
        }
        return {};
    }

    // A damaged file must not become what the others are repaired with: it is left out and told.
    Status make_group(const Class& of, std::vector<File> files, GroupWriter& writer) {
        while (!files.empty()) {
            std::set<FileName> damaged;
            HF_DO(writer.write(files, parity_count(of, files.size(), options_.percent), damaged));
            if (damaged.empty()) break;
            for (const FileName& name : damaged) {
                report_.damaged.push_back(describe(name));
                keep_old_cover(name);
            }
            std::erase_if(files, [&](const File& file) { return damaged.contains(file.name); });
        }
        if (files.empty()) return {};
        ++report_.groups_made;
        for (const File& file : files) covered_.insert(file.name);
        return {};
    }

    // The group that was to be replaced may be what brings the damaged file back.
    void keep_old_cover(const FileName& name) {
        std::erase_if(replaced_, [&](const ParityFiles* files) {
            return std::ranges::any_of(files->group.members,
                                       [&](const ParityMember& member) { return name_of(member) == name; });
        });
    }

    Repository& repository_;
    const ParityOptions& options_;
    Listing here_;
    std::set<FileName> covered_;
    std::vector<const ParityFiles*> replaced_, retired_;
    ParityReport report_;
};

}    // namespace

Result<ParityReport> update_parity(Repository& repository, const ParityOptions& options) {
    if (options.folder.empty())
        return fail(ErrorCode::usage, "parity needs a folder of this machine",
                    "set parity_folder in [repository] of holdfast.toml");
    return Updater(repository, options).run();
}

Result<ParityCheck> verify_parity(storage::Backend& backend, const std::string& folder,
                                  const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) {
    HF_TRY(const ParitySet set, ParitySet::load(folder, nullptr));
    HF_TRY(const Listing here, list_repository(backend));
    ParityCheck report;
    std::set<FileName> covered;
    std::uint64_t total = 0, done = 0;
    for (const ParityFiles& files : set.groups()) total += files.old ? 0 : files.group.block_count();
    for (const std::string& path : set.unreadable())
        report.repairable.push_back(fmt::format("{}: its header is damaged; `parity repair` makes it anew", path));
    for (const ParityFiles& files : set.groups()) {
        if (files.old) continue;
        ++report.groups;
        const ParityGroup& group = files.group;
        ParityReader reader(backend, files);
        const std::size_t k = group.members.size(), m = group.parity_sums.size();
        std::vector<std::uint64_t> damaged(k + m);
        std::vector<bool> lost(k + m);
        Bytes block;
        for (std::uint64_t n = 0; n < group.block_count(); ++n) {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while verifying parity");
            std::vector<std::size_t> bad;
            for (std::size_t i = 0; i < k + m; ++i)
                if (!(i < k ? reader.read_member(i, n, block) : reader.read_parity(i - k, n, block))) bad.push_back(i);
            for (const std::size_t i : bad) {
                ++damaged[i];
                if (bad.size() > m) lost[i] = true;
            }
            if (progress) progress(++done, total);
        }
        for (std::size_t i = 0; i < m; ++i)
            if (!files.whole[i]) damaged[k + i] = std::max<std::uint64_t>(damaged[k + i], 1);
        for (std::size_t i = 0; i < k + m; ++i) {
            std::string what = i < k ? describe(name_of(group.members[i]))
                                     : fmt::format("parity file {}-{:02d}", to_hex(group.id), i - k);
            if (i < k) {
                const FileName name = name_of(group.members[i]);
                covered.insert(name);
                ++report.files;
                report.bytes_read += group.members[i].size;
                // Longer than it was: every block fits, the file does not.
                const auto found = here.find(name);
                if (damaged[i] == 0 && found != here.end() && found->second != group.members[i].size) damaged[i] = 1;
            }
            if (damaged[i] == 0) continue;
            std::string line = fmt::format("{}: {} of {} blocks are damaged or missing", what, damaged[i],
                                           i < k ? group.members[i].sums.size() : group.block_count());
            (lost[i] && i < k ? report.beyond_repair : report.repairable).push_back(std::move(line));
        }
    }
    for (const auto& [name, size] : here) report.uncovered += size > 0 && !covered.contains(name);
    return report;
}

std::string parity_folder(const std::string& configured, const std::string& repository_location) {
    if (!configured.empty()) return configured;
    std::string_view location = repository_location;
    if (location.starts_with("local:")) location.remove_prefix(6);
    const std::size_t colon = location.find(':');
    if (location.empty() || (colon != std::string_view::npos && colon < location.find('/'))) return {};
    return os::absolute_path(location) + "/parity";
}

}    // namespace holdfast::vault
