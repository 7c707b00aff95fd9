// What index and snapshots cost in memory, while they are read and afterwards.

#include <fstream>

#include "holdfast/vault/blob_index.hpp"
#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/pipeline.hpp"
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

TEST(IndexMemory, FiveMillionBlobsTakeLessThan10BytesEach) {
    constexpr std::size_t k_blobs = 5'000'000, k_each = 500;
    const std::uint64_t before = kilobytes("VmRSS");
    BlobIndex index;
    for (std::size_t i = 0; i < k_blobs / k_each / 10; ++i)
        for (const auto& pack : many_packs(10, k_each, i)) index.add(pack);
    EXPECT_EQ(index.blob_count(), k_blobs);
    // 4 bytes a slot of a table that is at least half full; the packs; and some blocks of the entries, which lie in a file.
    if (k_memory_is_ours) {
        EXPECT_LT((kilobytes("VmRSS") - before) * 1024, k_blobs * 10 + (std::uint64_t(4) << 20));
    }
    for (const auto& pack : many_packs(10, k_each, 77))
        for (const auto& blob : pack.blobs) ASSERT_TRUE(index.has(blob.type, blob.id));
    for (const auto& pack : many_packs(10, k_each, k_blobs))
        for (const auto& blob : pack.blobs) ASSERT_FALSE(index.has(blob.type, blob.id));
    HF_OK(index.status());
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
    // The index itself, and for each thread that reads (at most 4) one file as it lies in the storage (2.3 MB) and as blobs (2.4),
    // but not as JSON (7.3), let alone as a parser's tree. The second part does not grow with the repository.
    const std::uint64_t in_work = std::uint64_t(std::min(worker_count(), 4u)) * (7u << 20);
    if (k_memory_is_ours) {
        EXPECT_LT(grown, k_files * k_packs * k_each * 10 + in_work) << grown;
    }
    for (const auto& pack : many_packs(k_packs, k_each, 3))
        for (const auto& blob : pack.blobs) ASSERT_TRUE(repository_->has_blob(blob.type, blob.id));
}

// A Redis dump of 10 GiB has half a million blobs.
TEST_F(IndexMemoryTest, TheListOfAHugeFilesBlobsIsNoTextInMemory) {
    init();
    constexpr std::size_t k_blobs = 500'000;
    format::Node node;
    node.name = "dump.rdb";
    std::mt19937_64 random(9);
    node.content.resize(k_blobs);
    for (Id& id : node.content)
        for (std::size_t i = 0; i < id.bytes.size(); i += 8) store_le<std::uint64_t>(id.bytes.data() + i, random());
    const std::vector<const format::Node*> nodes{&node};
    HF_OK(repository_->load_index());
    auto lock = repository_->lock(LockMode::shared);
    HF_OK(lock);
    forget_peak();
    const std::uint64_t before = kilobytes("VmRSS");
    Id id;
    {
        Pipeline pipeline(*repository_, **lock, {});
        const auto store = [&] { return pipeline.store_tree(nodes); };
        const auto stored = store();
        HF_OK(stored);
        id = *stored;
        HF_OK(store());    // and once more, known by then
        HF_OK(pipeline.finish());
    }
    const std::uint64_t written = (kilobytes("VmHWM") - before) * 1024;
    const auto whole = repository_->read_blob(format::BlobType::tree, id);
    HF_OK(whole);
    EXPECT_EQ(as_text(*whole), format::encode(format::Tree{{node}}));
    forget_peak();
    const std::uint64_t between = kilobytes("VmRSS");
    const auto tree = repository_->read_tree(id);
    HF_OK(tree);
    const std::uint64_t read = (kilobytes("VmHWM") - between) * 1024;
    ASSERT_EQ(tree->nodes.size(), 1u);
    EXPECT_EQ(tree->nodes[0].content, node.content);
    if (k_memory_is_ours) {
        EXPECT_LT(written, 8u << 20) << written;    // neither its text, nor a frame, nor an envelope
        EXPECT_LT(read, k_blobs * 36 + (3u << 20)) << read;
    }
}

TEST_F(IndexMemoryTest, WhatAnIndexKnowsOfAHugeFilesBlobsTakes4BytesEach) {
    init();
    constexpr std::size_t k_packs = 500, k_each = 1000, k_blobs = k_packs * k_each;
    format::Node node;
    node.name = "dump.rdb";
    for (const format::IndexPack& pack : many_packs(k_packs, k_each, 9)) {
        repository_->state().index.add(pack);
        for (const format::PackedBlob& blob : pack.blobs) node.content.push_back(blob.id);
    }
    const std::vector<const format::Node*> nodes{&node};
    auto lock = repository_->lock(LockMode::shared);
    HF_OK(lock);
    Id id;
    {
        Pipeline pipeline(*repository_, **lock, {});
        const auto stored = pipeline.store_tree(nodes);
        HF_OK(stored);
        id = *stored;
        HF_OK(pipeline.finish());
    }
    node = {};
    forget_peak();
    const std::uint64_t before = kilobytes("VmRSS");
    Pipeline pipeline(*repository_, **lock, {});
    {
        const auto tree = repository_->read_numbered_tree(id);
        HF_OK(tree);
        ASSERT_EQ(tree->nodes.size(), 1u);
        EXPECT_EQ(tree->nodes[0].numbers.size(), k_blobs);
        const std::vector<const format::Node*> again{&tree->nodes[0]};
        const auto stored = pipeline.store_tree(again);
        HF_OK(stored);
        EXPECT_EQ(*stored, id);
    }
    // Not the 33 bytes of its envelope either.
    const std::uint64_t grown = (kilobytes("VmHWM") - before) * 1024;
    if (k_memory_is_ours) {
        EXPECT_LT(grown, k_blobs * 4 + (3u << 20)) << grown;
    }
    HF_OK(pipeline.finish());
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
