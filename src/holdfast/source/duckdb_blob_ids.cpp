#include "holdfast/source/duckdb_blob_ids.hpp"

#include <algorithm>

#include "holdfast/base/xxh64.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::source {
namespace {

constexpr std::string_view k_magic = "HFDUCKI1", k_name = "/blob-ids";
constexpr std::size_t k_head_size = 16, k_entry_size = 48, k_sum_size = 8;
constexpr std::uint64_t k_file_max = std::uint64_t(1) << 32;

}    // namespace

DuckDbBlobIds parse_blob_ids(ByteView bytes) {
    DuckDbBlobIds ids;
    if (bytes.size() < k_head_size + k_sum_size || as_text(bytes.first(8)) != k_magic) return ids;
    const ByteView summed = bytes.first(bytes.size() - k_sum_size);
    const auto count = load_le<std::uint64_t>(bytes.data() + 8);
    if (count > bytes.size() / k_entry_size || summed.size() != k_head_size + count * k_entry_size ||
        load_le<std::uint64_t>(bytes.data() + summed.size()) != xxh64(summed))
        return ids;
    ids.entries_.reserve(static_cast<std::size_t>(count));
    for (const std::byte* at = bytes.data() + k_head_size; at != bytes.data() + summed.size(); at += k_entry_size) {
        const KeptBlock block{load_le<std::uint64_t>(at + 8), load_le<std::uint32_t>(at),
                              load_le<std::uint32_t>(at + 4)};
        DuckDbBlobIds::Entry entry{block.hash, {}, false};
        std::copy_n(at + 16, entry.id.bytes.size(), entry.id.bytes.begin());
        ids.entries_.insert_or_assign(DuckDbBlobIds::key(block), entry);
    }
    return ids;
}

DuckDbBlobIds DuckDbBlobIds::load(const std::string& folder) {
    const auto bytes = os::read_file(folder + std::string(k_name), k_file_max);
    return bytes ? parse_blob_ids(*bytes) : DuckDbBlobIds();
}

std::optional<Id> DuckDbBlobIds::find(const KeptBlock& block) {
    const auto found = entries_.find(key(block));
    if (found == entries_.end() || found->second.hash != block.hash) return std::nullopt;
    found->second.used = true;
    return found->second.id;
}

void DuckDbBlobIds::learn(const KeptBlock& block, const Id& id) {
    entries_.insert_or_assign(key(block), Entry{block.hash, id, true});
}

Status DuckDbBlobIds::save(const std::string& folder) const {
    const auto used = std::ranges::count_if(entries_, [](const auto& one) { return one.second.used; });
    Bytes out;
    out.reserve(k_head_size + static_cast<std::size_t>(used) * k_entry_size + k_sum_size);
    append(out, as_bytes(k_magic));
    append_le(out, static_cast<std::uint64_t>(used));
    for (const auto& [place, entry] : entries_) {
        if (!entry.used) continue;
        append_le(out, static_cast<std::uint32_t>(place >> 32));
        append_le(out, static_cast<std::uint32_t>(place));
        append_le(out, entry.hash);
        append(out, entry.id.bytes);
    }
    append_le(out, xxh64(out));
    return os::write_file(folder + std::string(k_name), out);
}

}    // namespace holdfast::source
