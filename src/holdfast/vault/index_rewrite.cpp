#include "holdfast/vault/index_rewrite.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/vault/index_writer.hpp"
#include "holdfast/vault/removal.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

constexpr std::uint64_t k_header_max = (16u << 20) + format::k_envelope_overhead;
// Most tables come with the first read: some 400 blobs.
constexpr std::uint64_t k_first_read = 16u << 10;

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
    IndexWriter writer(repository, lock);
    for (format::IndexPack& pack : packs)
        if (!pack.blobs.empty()) HF_DO(writer.add(std::move(pack)));
    HF_DO(writer.finish());
    os::crash_point("replace_index.written");
    std::vector<storage::FileName> obsolete;
    for (const Id& id : old)
        if (!writer.written().contains(id)) obsolete.push_back({FileKind::index, id});
    HF_DO(remove_files(repository, lock, obsolete));
    HF_DO(repository.load_index(true));
    return writer.written().size();
}

}    // namespace holdfast::vault
