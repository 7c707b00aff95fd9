#include "holdfast/vault/index_rewrite.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

constexpr std::uint64_t k_header_max = (16u << 20) + format::k_envelope_overhead;
// Most tables come with the first read: some 400 blobs.
constexpr std::uint64_t k_first_read = 16u << 10;
constexpr std::size_t k_index_blobs_max = 50'000;

}    // namespace

Result<std::vector<format::PackedBlob>> read_pack_table(const Repository& repository, const Id& pack,
                                                        std::uint64_t size) {
    const auto bad = [&](std::string_view how) {
        return fail(ErrorCode::corrupt, fmt::format("pack {}: its table of blobs {}", pack.hex(), how),
                    "`holdfast repair packs` saves what is whole in it");
    };
    constexpr std::uint64_t k_least = format::k_pack_trailer + format::k_envelope_overhead;
    if (size < k_least) return bad("is not there: the file is too short");
    storage::Backend& backend = repository.backend();
    Bytes tail(std::min(size, k_first_read));
    HF_DO(backend.read_at({FileKind::pack, pack}, size - tail.size(), tail));
    const std::uint64_t length = load_le<std::uint32_t>(tail.data() + tail.size() - format::k_pack_trailer);
    if (length < format::k_envelope_overhead || length > k_header_max || length > size - format::k_pack_trailer)
        return bad("has a length that cannot be");
    if (length + format::k_pack_trailer > tail.size()) {
        tail.resize(length + format::k_pack_trailer);
        HF_DO(backend.read_at({FileKind::pack, pack}, size - tail.size(), tail));
    }
    Bytes plain;
    const ByteView envelope = ByteView(tail).subspan(tail.size() - format::k_pack_trailer - length, length);
    if (!repository.state().openers.get()->cipher().open(envelope, plain)) return bad("does not decrypt");
    auto table = format::decode_pack_header(plain);
    if (!table) return bad("cannot be read");
    if (format::pack_size(*table) != size) return bad("does not fit the file's size");
    return table;
}

Result<std::size_t> replace_index(Repository& repository, const RepositoryLock& lock,
                                  std::vector<format::IndexPack> packs) {
    std::vector<Id> old;
    HF_DO(repository.backend().list(FileKind::index, [&](const Id& id, std::uint64_t) { old.push_back(id); }));
    std::erase_if(packs, [](const format::IndexPack& pack) { return pack.blobs.empty(); });
    std::set<Id> written;
    for (std::size_t at = 0; at < packs.size();) {
        std::size_t end = at, blobs = 0;
        while (end < packs.size() && (end == at || blobs + packs[end].blobs.size() <= k_index_blobs_max))
            blobs += packs[end++].blobs.size();
        const std::vector<format::IndexPack> part(
            std::make_move_iterator(packs.begin() + static_cast<std::ptrdiff_t>(at)),
            std::make_move_iterator(packs.begin() + static_cast<std::ptrdiff_t>(end)));
        HF_TRY(const Id id, repository.write_document(FileKind::index, format::encode_index(part)));
        written.insert(id);
        at = end;
    }
    HF_DO(repository.backend().sync());
    HF_DO(lock.still_held());
    for (const Id& id : old) {
        if (written.contains(id)) continue;
        const auto removed = repository.backend().remove({FileKind::index, id});
        if (!removed && removed.error().code != ErrorCode::not_found)
            return fail(Error(removed.error()).within("removing the old index " + id.brief()));
    }
    HF_DO(repository.backend().sync());
    HF_DO(repository.load_index(true));
    return written.size();
}

}    // namespace holdfast::vault
