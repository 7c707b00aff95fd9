#include "holdfast/vault/prune.hpp"

#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class PruneTest : public VaultTest {
protected:
    /// Snapshots that share some and change some; then every second one goes. Each run's small files, more than there
    /// are packs open at once, of which some stay and some are replaced, make packs that are needed in part.
    void fill(int runs = 6) {
        write("src/stays", noise(2'000'000, 1));
        for (int i = 0; i < runs; ++i) {
            write("src/changes", noise(1'500'000, static_cast<std::uint64_t>(100 + i)));
            write("src/folder/" + std::to_string(i), noise(200'000, static_cast<std::uint64_t>(200 + i)));
            for (int j = 0; j < 24; ++j) {
                const std::string name = j % 3 == 0 ? std::to_string(i) + '-' + std::to_string(j) : std::to_string(j);
                write("src/small/" + name, noise(10'000, static_cast<std::uint64_t>(1000 + 100 * i + j)));
            }
            HF_OK(back_up(path("src")));
        }
    }
    void forget_every_second() {
        const auto entries = repository_->snapshots();
        HF_OK(entries);
        for (std::size_t i = 0; i + 1 < entries->size(); i += 2)
            HF_OK(repository_->backend().remove({FileKind::snapshot, (*entries)[i].id}));
    }
    Result<PruneReport> pruned(PruneOptions options = {}) {
        HF_TRY(const auto lock, repository_->lock(LockMode::exclusive));
        options.limits.pack_size_target = 1u << 20;
        return prune(*repository_, *lock, options);
    }
    std::uint64_t stored_bytes() {
        std::uint64_t bytes = 0;
        EXPECT_TRUE(repository_->backend().list(FileKind::pack, [&](const Id&, std::uint64_t n) { bytes += n; }));
        return bytes;
    }
    void expect_whole() {
        const auto report = checked();
        EXPECT_TRUE(report.ok()) << all_of(report.errors);
        EXPECT_TRUE(report.hints.empty()) << all_of(report.hints);
        HF_OK(os::remove_tree(path("out")));
        HF_OK(restore_latest("out"));
        EXPECT_EQ(listing(path("out") + path("src")), listing(path("src")));
    }
    Ran restic(const std::string& arguments) { return sh("exec restic -q -r \"$1\" " + arguments, {repo_path()}); }
};

TEST_F(PruneTest, FreesWhatForgottenSnapshotsAloneNeeded) {
    init();
    fill();
    forget_every_second();
    const std::uint64_t before = stored_bytes();
    PruneOptions exact;
    exact.limits.max_unused = {MaxUnused::Kind::bytes, 0, 0};
    exact.dry_run = true;
    const auto planned = pruned(exact);
    HF_OK(planned);
    EXPECT_EQ(stored_bytes(), before);
    EXPECT_GT(planned->statistics.freed_bytes(), 0u);
    exact.dry_run = false;
    const auto report = pruned(exact);
    HF_OK(report);
    EXPECT_EQ(report->statistics.freed_bytes(), planned->statistics.freed_bytes());
    EXPECT_EQ(report->statistics.unused_after(), 0u);
    EXPECT_GT(report->new_packs, 0u);
    EXPECT_LT(stored_bytes(), before);
    expect_whole();
    reopen();
    expect_whole();
    const auto again = pruned(exact);
    HF_OK(again);
    EXPECT_EQ(again->statistics.unused.blobs, 0u);
    const auto peer = restic("check --read-data");
    EXPECT_TRUE(peer.ok) << peer.output;
}

TEST_F(PruneTest, RemovesAllWhenNoSnapshotIsLeft) {
    init();
    fill(2);
    for (const std::string& snapshot : files_of(FileKind::snapshot)) HF_OK(os::remove_tree(snapshot));
    HF_OK(pruned());
    EXPECT_TRUE(files_of(FileKind::pack).empty());
    EXPECT_TRUE(files_of(FileKind::index).empty());
    HF_OK(back_up(path("src")));
    expect_whole();
}

TEST_F(PruneTest, WhatIsOnlyTriedToBeForgottenCountsAsGone) {
    init();
    fill(4);
    const auto entries = repository_->snapshots();
    HF_OK(entries);
    PruneOptions options;
    options.dry_run = true;
    const auto before = pruned(options);
    HF_OK(before);
    EXPECT_EQ(before->statistics.unused.blobs, 0u);
    options.without = {(*entries)[0].id, (*entries)[1].id};
    const auto planned = pruned(options);
    HF_OK(planned);
    EXPECT_GT(planned->statistics.unused.blobs, 0u);
    EXPECT_EQ(planned->snapshots, 2u);
}

TEST_F(PruneTest, CopiesEnvelopesAsTheyAre) {
    init();
    fill();
    forget_every_second();
    PruneOptions exact;
    exact.limits.max_unused = {MaxUnused::Kind::bytes, 0, 0};
    HF_OK(repository_->load_index());
    std::set<std::string> before;    // nonces: an envelope that is made anew has another one
    const auto nonces = [&] {
        std::set<std::string> all;
        EXPECT_TRUE(repository_->load_index());
        for (const format::IndexPack& pack : repository_->state().index.packs())
            for (const format::PackedBlob& blob : pack.blobs) {
                Bytes nonce(16);
                EXPECT_TRUE(repository_->backend().read_at({FileKind::pack, pack.id}, blob.offset, nonce));
                all.insert(to_hex(nonce));
            }
        return all;
    };
    before = nonces();
    HF_OK(pruned(exact));
    for (const std::string& nonce : nonces()) EXPECT_TRUE(before.contains(nonce));
}

TEST_F(PruneTest, OfTwoCopiesOneStays) {
    init();
    write("src/a", noise(3'000'000, 1));
    HF_OK(back_up(path("src")));
    // A rival that did not know of our index.
    const auto index = files_of(FileKind::index).front();
    const auto bytes = os::read_file(index);
    HF_OK(bytes);
    HF_OK(os::remove_tree(index));
    reopen();
    HF_OK(back_up(path("src"), nullptr, small_packs()));
    HF_OK(os::write_file(index, *bytes));
    reopen();
    const std::uint64_t before = stored_bytes();
    const auto report = pruned();
    HF_OK(report);
    EXPECT_GT(report->statistics.duplicate.blobs, 0u);
    EXPECT_LT(stored_bytes(), before * 6 / 10);
    expect_whole();
}

TEST_F(PruneTest, PacksThatNoIndexNamesGoAndSmallIndexFilesAreMerged) {
    init();
    fill(12);
    HF_OK(os::write_file(repo_path() + "/data/00/" + std::string(64, '0'), as_bytes("left by a killed run")));
    EXPECT_EQ(files_of(FileKind::index).size(), 12u);
    const auto report = pruned();
    HF_OK(report);
    EXPECT_EQ(report->statistics.unindexed.blobs, 1u);
    EXPECT_EQ(files_of(FileKind::index).size(), 1u);
    expect_whole();
}

TEST_F(PruneTest, RemovesNothingWhenANeededBlobIsMissing) {
    init();
    fill();
    forget_every_second();
    const auto indexes = files_of(FileKind::index);
    HF_OK(os::remove_tree(indexes.front()));
    reopen();
    const auto packs = files_of(FileKind::pack);
    const auto report = pruned();
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::corrupt);
    EXPECT_EQ(files_of(FileKind::pack), packs);
}

TEST_F(PruneTest, RemovesNothingWhenANeededPackIsMissingOrShort) {
    init();
    fill();
    forget_every_second();
    const Id tree = repository_->find_snapshot("latest").value().snapshot.tree;
    HF_OK(repository_->load_index());
    const auto pack =
        repo_path() + '/' +
        storage::relative_path({FileKind::pack, repository_->places(format::BlobType::tree, tree)[0].pack});
    const auto bytes = os::read_file(pack);
    HF_OK(bytes);
    const auto count = files_of(FileKind::pack).size();
    HF_OK(os::write_file(pack, ByteView(*bytes).first(bytes->size() - 1)));
    EXPECT_EQ(pruned().error().code, ErrorCode::corrupt);
    EXPECT_EQ(files_of(FileKind::pack).size(), count);
    HF_OK(os::remove_tree(pack));
    EXPECT_EQ(pruned().error().code, ErrorCode::corrupt);
    EXPECT_EQ(files_of(FileKind::pack).size(), count - 1);
    HF_OK(os::write_file(pack, *bytes));
    HF_OK(pruned());
    expect_whole();
}

TEST_F(PruneTest, ADamagedSnapshotStopsItBeforeAnything) {
    init();
    fill();
    forget_every_second();
    flip_byte(files_of(FileKind::snapshot).front());
    const auto packs = files_of(FileKind::pack);
    EXPECT_EQ(pruned().error().code, ErrorCode::corrupt);
    EXPECT_EQ(files_of(FileKind::pack), packs);
}

TEST_F(PruneTest, ADamagedBlobStopsTheCopyingAndNothingOldGoes) {
    init();
    write("src/keep", noise(700'000, 1));
    write("src/drop", noise(300'000, 2));
    BackupOptions one_pack;
    HF_OK(back_up(path("src"), nullptr, one_pack));
    HF_OK(os::remove_tree(path("src/drop")));
    HF_OK(back_up(path("src"), nullptr, one_pack));
    forget_every_second();
    // One byte of the blob that is still needed.
    const auto node =
        repository_->find_node(repository_->find_snapshot("latest").value().snapshot.tree, path("src/keep"));
    HF_OK(repository_->load_index());
    HF_OK(node);
    const auto place = repository_->places(format::BlobType::data, node->content[0]).front();
    flip_byte(repo_path() + '/' + storage::relative_path({FileKind::pack, place.pack}), place.blob.offset + 100);
    const auto packs = files_of(FileKind::pack);
    const auto report = pruned();
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::corrupt);
    EXPECT_NE(report.error().message.find(place.pack.hex()), std::string::npos) << report.error().message;
    const auto now = files_of(FileKind::pack);
    EXPECT_TRUE(std::includes(now.begin(), now.end(), packs.begin(), packs.end()));
    PruneOptions no_copying;
    no_copying.limits.max_repack = 0;
    HF_OK(pruned(no_copying));
}

TEST_F(PruneTest, WhatCannotBeMadeSmallerIsCompressedOnceAndThenLeft) {
    init();
    write("src/noise", noise(1'500'000));
    BackupOptions plain = small_packs();
    plain.compression_level = 0;
    HF_OK(back_up(path("src"), nullptr, plain));
    PruneOptions options;
    options.limits.uncompressed = true;
    const auto first = pruned(options);
    HF_OK(first);
    EXPECT_GT(first->new_packs, 0u);
    const auto second = pruned(options);
    HF_OK(second);
    EXPECT_EQ(second->new_packs, 0u);
    expect_whole();
    const Ran checked_by_restic = restic("check --read-data --no-cache");
    EXPECT_TRUE(checked_by_restic.ok) << checked_by_restic.output;
}

TEST_F(PruneTest, PrunesWhatResticWroteAndResticAgrees) {
    init();
    fill(2);
    for (int i = 0; i < 4; ++i) {
        write("src/changes", noise(1'500'000, static_cast<std::uint64_t>(300 + i)) + std::string(500'000, 'x'));
        ASSERT_TRUE(sh("cd /; exec restic -q -r \"$1\" backup \"$2\"", {repo_path(), path("src")}).ok);
    }
    forget_every_second();
    reopen();
    PruneOptions exact;
    exact.limits.max_unused = {MaxUnused::Kind::percent, 0, 0};
    const auto report = pruned(exact);
    HF_OK(report);
    EXPECT_GT(report->statistics.freed_bytes(), 0u);
    expect_whole();
    const auto peer = restic("check --read-data");
    EXPECT_TRUE(peer.ok) << peer.output;
    const auto rest = sh("exec restic -vv -r \"$1\" prune --dry-run", {repo_path()});
    EXPECT_TRUE(rest.ok && rest.output.find("unused:                0 blobs") != std::string::npos) << rest.output;
}

}    // namespace
}    // namespace holdfast::vault
