// What index and snapshots cost in memory, while they are read and afterwards.

#include <fstream>

#include "holdfast/vault/blob_index.hpp"
#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/prune.hpp"
#include "holdfast/vault/removal.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool k_memory_is_ours = false;    // the sanitizers' own shadow would be measured
#else
constexpr bool k_memory_is_ours = true;
#endif

// Of this process, from /proc: "VmRSS" now, "VmHWM" at its peak.
std::uint64_t kilobytes(const std::string& key) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1));
    return 0;
}
void forget_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

std::vector<format::IndexPack> many_packs(std::size_t packs, std::size_t blobs_each, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto any_id = [&] {
        Id id;
        for (std::size_t i = 0; i < id.bytes.size(); i += 8) store_le<std::uint64_t>(id.bytes.data() + i, random());
        return id;
    };
    std::vector<format::IndexPack> all(packs);
    for (format::IndexPack& pack : all) {
        pack.id = any_id();
        std::uint32_t offset = 0;
        for (std::size_t i = 0; i < blobs_each; ++i, offset += 4000)
            pack.blobs.push_back({any_id(), format::BlobType::data, offset, 4000, 9000});
    }
    return all;
}

TEST(IndexMemory, FiveMillionBlobsTakeLessThan60BytesEach) {
    constexpr std::size_t k_blobs = 5'000'000, k_each = 500;
    const std::uint64_t before = kilobytes("VmRSS");
    BlobIndex index;
    for (std::size_t i = 0; i < k_blobs / k_each / 10; ++i)
        for (const auto& pack : many_packs(10, k_each, i)) index.add(pack);
    EXPECT_EQ(index.blob_count(), k_blobs);
    // 48 bytes an entry, 4 a slot of a table that is at least three eighths full; and the packs.
    if (k_memory_is_ours) {
        EXPECT_LT((kilobytes("VmRSS") - before) * 1024, k_blobs * 60 + (std::uint64_t(16) << 20));
    }
}

class IndexMemoryTest : public VaultTest {};

TEST_F(IndexMemoryTest, ReadingTheIndexDoesNotDoubleIt) {
    init();
    constexpr std::size_t k_files = 16, k_packs = 50, k_each = 1000;    // as many blobs a file as restic and we write
    for (std::size_t i = 0; i < k_files; ++i)
        HF_OK(repository_->write_document(storage::FileKind::index,
                                          format::encode_index(many_packs(k_packs, k_each, i))));
    reopen();
    forget_peak();
    const std::uint64_t before = kilobytes("VmRSS");
    HF_OK(repository_->load_index());
    const std::uint64_t grown = (kilobytes("VmHWM") - before) * 1024;
    EXPECT_EQ(repository_->state().index.blob_count(), k_files * k_packs * k_each);
    // The index itself (48 MB here), and for each thread that reads (at most 4) one file of 8 MB as JSON and as blobs, but not as a
    // parser's tree. The second part does not grow with the repository.
    const std::uint64_t in_work = std::uint64_t(std::min(worker_count(), 4u)) * (18u << 20);
    if (k_memory_is_ours) {
        EXPECT_LT(grown, k_files * k_packs * k_each * 60 + in_work) << grown;
    }
    for (const auto& pack : many_packs(k_packs, k_each, 3))
        for (const auto& blob : pack.blobs) ASSERT_TRUE(repository_->has_blob(blob.type, blob.id));
}

TEST_F(IndexMemoryTest, TenThousandSnapshotsAreFoundAndForgottenInLittleMemory) {
    init();
    write("src/file", "content");
    HF_OK(back_up(path("src")));
    constexpr std::int64_t k_snapshots = 10'000;
    const auto first = repository_->find_snapshot("latest");
    HF_OK(first);
    // As write_document() does, but without a sync of the disk for each.
    format::Compressor compressor(3);
    format::Cipher cipher(repository_->master_key());
    for (std::int64_t i = 1; i <= k_snapshots; ++i) {
        format::Snapshot snapshot = first->snapshot;
        snapshot.time = first->snapshot.time + std::chrono::minutes(i);
        std::array<std::byte, 16> nonce;
        os::random_bytes(nonce);
        Bytes envelope;
        cipher.seal(format::encode_unpacked(format::encode(snapshot), compressor), nonce, envelope);
        std::ofstream file(repo_path() + '/' +
                           storage::relative_path({storage::FileKind::snapshot, format::sha256(envelope)}));
        file << as_text(envelope);
        ASSERT_TRUE(file.flush());
    }
    reopen();
    forget_peak();
    const std::uint64_t before = kilobytes("VmRSS");
    HF_OK(repository_->load_index());
    const auto latest = repository_->find_snapshot("latest");
    HF_OK(latest);
    EXPECT_EQ(latest->snapshot.time, first->snapshot.time + std::chrono::minutes(k_snapshots));
    const auto all = repository_->snapshots();
    HF_OK(all);
    EXPECT_EQ(all->size(), k_snapshots + 1u);
    if (k_memory_is_ours) {
        EXPECT_LT(kilobytes("VmHWM") - before, 2u * k_snapshots);    // 2 KiB each
    }
    auto lock = repository_->lock(LockMode::exclusive);
    HF_OK(lock);
    std::vector<storage::FileName> files;
    for (const SnapshotEntry& entry : *all)
        if (entry.id != latest->id) files.push_back({storage::FileKind::snapshot, entry.id});
    HF_OK(remove_files(*repository_, **lock, files));
    HF_OK(prune(*repository_, **lock));
    lock->reset();
    const auto left = repository_->snapshots();
    HF_OK(left);
    EXPECT_EQ(left->size(), 1u);
    EXPECT_EQ(all_of(checked().errors), "");
}

}    // namespace
}    // namespace holdfast::vault
