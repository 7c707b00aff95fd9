#include "holdfast/vault/heal_blobs.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/id_set.hpp"
#include "holdfast/vault/index_writer.hpp"
#include "holdfast/vault/pack_builder.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using format::BlobType;
using storage::FileKind;

constexpr std::uint64_t k_pack_size = 16u << 20;
constexpr int k_compression_level = 3;

// New packs for blobs that were found again. Data and trees apart, as the format wants it.
class Rebuilder {
public:
    explicit Rebuilder(Repository& repository)
        : repository_(repository),
          cipher_(repository.master_key()),
          compressor_(k_compression_level),
          builders_{PackBuilder(repository.backend()), PackBuilder(repository.backend())} {}

    Status add(BlobType type, const Id& id, ByteView plain) {
        if (!(type == BlobType::tree ? trees_ : data_).insert(id)) return {};
        compressor_.compress(plain, frame_);
        const bool compressed = type == BlobType::tree || frame_.size() < plain.size();
        PackBuilder& builder = builders_[type == BlobType::tree];
        HF_TRY(const auto length, builder.append(cipher_, type, id, compressed ? ByteView(frame_) : plain,
                                                 compressed ? static_cast<std::uint32_t>(plain.size()) : 0));
        static_cast<void>(length);
        if (builder.full(k_pack_size)) HF_DO(seal(builder));
        return {};
    }
    /// All packs are safe.
    Result<std::vector<format::IndexPack>> finish() {
        for (PackBuilder& builder : builders_)
            if (!builder.empty()) HF_DO(seal(builder));
        HF_DO(repository_.backend().sync());
        return std::move(packs_);
    }

private:
    Status seal(PackBuilder& builder) {
        HF_TRY(format::IndexPack pack, builder.seal(cipher_));
        packs_.push_back(std::move(pack));
        builder = PackBuilder(repository_.backend());
        return {};
    }

    Repository& repository_;
    format::Cipher cipher_;
    format::Compressor compressor_;
    Bytes frame_;
    PackBuilder builders_[2];
    IdSet data_, trees_;
    std::vector<format::IndexPack> packs_;
};

std::vector<std::string> usual_live_paths(const std::string& path) {
    std::vector<std::string> candidates{path};
    // "config/etc/app.toml": below the component's folder stands the absolute path.
    if (const std::size_t slash = path.find('/', 1); slash != std::string::npos)
        candidates.push_back(path.substr(slash));
    return candidates;
}

class LiveSearch {
public:
    LiveSearch(Repository& repository, const HealOptions& options, std::set<Id>& lost, Rebuilder& rebuilder)
        : repository_(repository), options_(options), lost_(lost), rebuilder_(rebuilder) {}

    Status run() {
        HF_TRY(auto snapshots, repository_.snapshots([](const Id&, const Error&) {}));
        // The newest is likely to be most like what lies there now.
        std::ranges::reverse(snapshots);
        for (const SnapshotEntry& entry : snapshots) HF_DO(walk(entry.snapshot.tree, ""));
        return {};
    }

private:
    Status walk(const Id& id, const std::string& path) {
        // The same tree at another path may be alive there.
        if (lost_.empty() || !seen_.emplace(id, path).second) return {};
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while healing");
        const auto tree = repository_.read_tree(id);
        if (!tree) return {};
        for (const format::Node& node : tree->nodes) {
            const std::string below = path + '/' + node.name;
            if (node.type == format::NodeType::dir) HF_DO(walk(node.subtree, below));
            if (node.type == format::NodeType::file &&
                std::ranges::any_of(node.content, [&](const Id& blob) { return lost_.contains(blob); }))
                HF_DO(search(node, below));
        }
        return {};
    }

    Status search(const format::Node& node, const std::string& path) {
        for (const std::string& live : options_.live_paths ? options_.live_paths(path) : usual_live_paths(path)) {
            // Without waiting for a pipe that nobody writes to.
            const auto fd = os::open_file(live, O_RDONLY | O_NONBLOCK);
            struct stat st;
            if (!fd || ::fstat(fd->get(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
            HF_DO(take(node, fd->get()));
        }
        return {};
    }

    // Where a blob lay in the file is the sum of the lengths before it; what lies there now is it if it hashes to its ID.
    Status take(const format::Node& node, int fd) {
        std::uint64_t at = 0;
        for (const Id& blob : node.content) {
            const auto place = repository_.state().index.first_place(BlobType::data, blob);
            if (!place) return {};
            const std::uint64_t length =
                place->uncompressed_length ? place->uncompressed_length : place->length - format::k_envelope_overhead;
            if (lost_.contains(blob)) {
                Bytes plain(length);
                const auto got = os::pread_full(fd, plain, at);
                if (got && *got == length && format::sha256(plain) == blob) {
                    HF_DO(rebuilder_.add(BlobType::data, blob, plain));
                    lost_.erase(blob);
                }
            }
            at += length;
        }
        return {};
    }

    Repository& repository_;
    const HealOptions& options_;
    std::set<Id>& lost_;
    Rebuilder& rebuilder_;
    std::set<std::pair<Id, std::string>> seen_;
};

// Index files without the packs that leave, and with those that come; then the old files go.
Status rewrite_index(Repository& repository, const std::set<Id>& leaving,
                     const std::vector<format::IndexPack>& coming) {
    std::vector<Id> all, old;
    HF_DO(repository.backend().list(FileKind::index, [&](const Id& id, std::uint64_t) { all.push_back(id); }));
    if (!coming.empty()) {
        HF_TRY(const Id written, repository.write_document(FileKind::index, format::encode_index(coming)));
        static_cast<void>(written);
    }
    for (const Id& id : all) {
        const auto json = repository.read_document({FileKind::index, id});
        if (!json) continue;    // damaged; it names nothing that anyone can use
        HF_TRY(auto packs, format::decode_index(*json, "index " + id.brief()));
        if (std::erase_if(packs, [&](const auto& pack) { return leaving.contains(pack.id); }) == 0) continue;
        old.push_back(id);
        if (packs.empty()) continue;
        HF_TRY(const Id written, repository.write_document(FileKind::index, format::encode_index(packs)));
        static_cast<void>(written);
    }
    HF_DO(repository.backend().sync());
    for (const Id& id : old) HF_DO(repository.backend().remove({FileKind::index, id}));
    HF_DO(repository.backend().sync());
    return repository.load_index(true);
}

Result<format::IndexPack> read_pack_table(Repository& repository, const Id& id, std::uint64_t size) {
    constexpr std::uint64_t k_header_max = 16u << 20;
    const auto bad = [&] {
        return fail(ErrorCode::corrupt, fmt::format("the table of pack {} is damaged", id.brief()));
    };
    if (size < format::k_pack_trailer + format::k_envelope_overhead) return bad();
    Bytes trailer(format::k_pack_trailer);
    HF_DO(repository.backend().read_at({FileKind::pack, id}, size - trailer.size(), trailer));
    const auto length = load_le<std::uint32_t>(trailer.data());
    if (length < format::k_envelope_overhead || length > k_header_max || length > size - trailer.size()) return bad();
    Bytes envelope(length), plain;
    HF_DO(repository.backend().read_at({FileKind::pack, id}, size - trailer.size() - length, envelope));
    if (!format::Cipher(repository.master_key()).open(envelope, plain)) return bad();
    HF_TRY(auto blobs, format::decode_pack_header(plain));
    if (format::pack_size(blobs) != size) return bad();
    return format::IndexPack{id, std::move(blobs)};
}

}    // namespace

Result<std::vector<Id>> remake_packs(Repository& repository, const std::vector<Id>& bad, const HealOptions& options,
                                     SetAside& aside, HealReport& report) {
    const std::set<Id> bad_set(bad.begin(), bad.end());
    std::map<Id, format::IndexPack> tables;
    for (format::IndexPack& pack : repository.state().index.packs())
        if (bad_set.contains(pack.id)) tables.emplace(pack.id, std::move(pack));
    std::set<Id> lost_data, lost_trees;
    for (const auto& [id, pack] : tables)
        for (const format::PackedBlob& blob : pack.blobs)
            if (!repository.read_blob(blob.type, blob.id))
                (blob.type == BlobType::tree ? lost_trees : lost_data).insert(blob.id);

    Rebuilder rebuilder(repository);
    const std::size_t lost_before = lost_data.size();
    if (options.live_files && !lost_data.empty()) HF_DO(LiveSearch(repository, options, lost_data, rebuilder).run());
    const std::size_t found = lost_before - lost_data.size();

    std::vector<Id> stay;
    std::set<Id> leaving;
    for (const auto& [id, pack] : tables) {
        const bool all_there = std::ranges::none_of(pack.blobs, [&](const format::PackedBlob& blob) {
            return (blob.type == BlobType::tree ? lost_trees : lost_data).contains(blob.id);
        });
        if (!all_there) {
            stay.push_back(id);
            continue;
        }
        leaving.insert(id);
        for (const format::PackedBlob& blob : pack.blobs)
            if (const auto plain = repository.read_blob(blob.type, blob.id))
                HF_DO(rebuilder.add(blob.type, blob.id, *plain));
    }
    HF_TRY(const auto packs, rebuilder.finish());
    if (packs.empty() && leaving.empty()) return stay;
    HF_DO(rewrite_index(repository, leaving, packs));
    for (const Id& id : leaving) {
        HF_DO(aside.keep(repository.backend(), {FileKind::pack, id}));
        if (auto gone = repository.backend().remove({FileKind::pack, id});
            !gone && gone.error().code != ErrorCode::not_found)
            return fail(std::move(gone).error());
        report.healed.push_back({describe({FileKind::pack, id}), "its own blobs and live files"});
    }
    if (found > 0 && leaving.empty())
        report.healed.push_back({fmt::format("{} blobs of {} damaged packs", found, tables.size()), "live files"});
    HF_DO(repository.backend().sync());
    return stay;
}

Result<std::size_t> index_orphans(Repository& repository) {
    std::vector<std::pair<Id, std::uint64_t>> orphans;
    HF_DO(repository.backend().list(FileKind::pack, [&](const Id& id, std::uint64_t size) {
        if (!repository.state().index.pack_number(id)) orphans.emplace_back(id, size);
    }));
    std::vector<format::IndexPack> found;
    for (const auto& [id, size] : orphans)
        if (auto pack = read_pack_table(repository, id, size)) found.push_back(*std::move(pack));
    for (std::size_t at = 0; at < found.size();) {
        std::vector<format::IndexPack> part;
        for (std::size_t blobs = 0; at < found.size() && (part.empty() || blobs < k_index_blobs_max); ++at) {
            blobs += found[at].blobs.size();
            part.push_back(std::move(found[at]));
        }
        HF_TRY(const Id written, repository.write_document(FileKind::index, format::encode_index(part)));
        static_cast<void>(written);
    }
    HF_DO(repository.backend().sync());
    return found.size();
}

namespace {

class LossWalk {
public:
    LossWalk(Repository& repository, std::set<Id> unreadable)
        : repository_(repository), unreadable_(std::move(unreadable)) {}

    Status run(HealReport& report) {
        HF_TRY(const auto snapshots, repository_.snapshots([](const Id&, const Error&) {}));
        for (const SnapshotEntry& entry : snapshots) {
            HF_TRY(const bool clean, walk(entry.snapshot.tree, "", entry.id.brief()));
            static_cast<void>(clean);
        }
        const auto lines = [](const std::map<std::string, std::string>& from, std::vector<std::string>& to) {
            for (const auto& [path, in] : from) to.push_back(fmt::format("{} (in {})", path.empty() ? "/" : path, in));
        };
        lines(files_, report.lost_files);
        lines(trees_, report.lost_trees);
        return {};
    }

private:
    static void note(std::map<std::string, std::string>& to, const std::string& path, const std::string& snapshot) {
        std::string& in = to[path];
        in += (in.empty() ? "" : ", ") + snapshot;
    }

    Result<bool> walk(const Id& id, const std::string& path, const std::string& snapshot) {
        if (clean_.contains(id)) return true;
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while listing what is lost");
        const auto tree = repository_.read_tree(id);
        if (!tree) {
            note(trees_, path, snapshot);
            return false;
        }
        bool clean = true;
        for (const format::Node& node : tree->nodes) {
            const std::string below = path + '/' + node.name;
            if (node.type == format::NodeType::dir) {
                HF_TRY(const bool clean_below, walk(node.subtree, below, snapshot));
                clean &= clean_below;
            }
            if (node.type != format::NodeType::file) continue;
            const bool whole = std::ranges::all_of(node.content, [&](const Id& blob) {
                return repository_.has_blob(BlobType::data, blob) && !unreadable_.contains(blob);
            });
            if (!whole) note(files_, below, snapshot);
            clean &= whole;
        }
        if (clean) clean_.insert(id);
        return clean;
    }

    Repository& repository_;
    const std::set<Id> unreadable_;
    std::set<Id> clean_;
    std::map<std::string, std::string> files_, trees_;
};

}    // namespace

Status list_losses(Repository& repository, HealReport& report) {
    // Of the packs that stayed damaged: what opens in no copy. Those that are whole by their hash need no look.
    std::set<Id> unreadable;
    Listing here;
    HF_TRY(here, list_repository(repository.backend()));
    for (const format::IndexPack& pack : repository.state().index.packs()) {
        const storage::FileName name{FileKind::pack, pack.id};
        const auto found = here.find(name);
        if (found != here.end() && found->second == format::pack_size(pack.blobs) &&
            !find_damage(repository.backend(), name))
            continue;
        for (const format::PackedBlob& blob : pack.blobs)
            if (blob.type == BlobType::data && !repository.read_blob(blob.type, blob.id)) unreadable.insert(blob.id);
    }
    return LossWalk(repository, std::move(unreadable)).run(report);
}

}    // namespace holdfast::vault
