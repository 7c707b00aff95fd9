#include "holdfast/vault/reachable.hpp"

#include <mutex>

#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using format::BlobType;

class ReachableTest : public VaultTest {
protected:
    void SetUp() override {
        init();
        write("src/a/b/large", noise(4'000'000, 1));
        write("src/a/small", "small");
        write("src/same", "small");
        HF_OK(back_up(path("src")));
        write("src/a/b/later", noise(2'000'000, 2));
        HF_OK(back_up(path("src")));
        reopen();
        HF_OK(repository_->load_index());
    }
    std::vector<Id> roots() {
        std::vector<Id> trees;
        const auto snapshots = repository_->snapshots();
        EXPECT_TRUE(snapshots);
        for (const SnapshotEntry& entry : *snapshots) trees.push_back(entry.snapshot.tree);
        return trees;
    }
};

TEST_F(ReachableTest, AllSnapshotsTogetherNeedEveryBlobOfAFreshRepository) {
    std::set<Id> seen;
    std::mutex mutex;
    MarkOptions options;
    options.visit = [&](const Id& id, const format::Tree&) -> Status {
        const std::scoped_lock lock(mutex);
        EXPECT_TRUE(seen.insert(id).second) << "a tree was read twice";
        return {};
    };
    const auto found = find_reachable(*repository_, roots(), options);
    HF_OK(found);
    EXPECT_TRUE(found->missing().empty());
    EXPECT_EQ(found->tree_count(), seen.size());
    EXPECT_EQ(found->tree_count() + found->data_count(), repository_->state().index.blob_count());
    std::size_t blobs = 0;
    found->for_each([&](const BlobPlace& place) {
        ++blobs;
        EXPECT_TRUE(found->contains(place.blob.type, place.blob.id));
    });
    EXPECT_EQ(blobs, repository_->state().index.blob_count());
}

TEST_F(ReachableTest, OneSnapshotNeedsOnlyItsOwnAndMatchesAPlainWalk) {
    const Id root = roots().front();
    std::set<Id> trees, data;
    std::vector<Id> todo{root};
    while (!todo.empty()) {
        const Id id = todo.back();
        todo.pop_back();
        if (!trees.insert(id).second) continue;
        const auto tree = repository_->read_tree(id);
        HF_OK(tree);
        for (const format::Node& node : tree->nodes) {
            if (node.type == format::NodeType::dir) todo.push_back(node.subtree);
            data.insert(node.content.begin(), node.content.end());
        }
    }
    const auto found = find_reachable(*repository_, std::vector<Id>{root, root});
    HF_OK(found);
    EXPECT_EQ(found->tree_count(), trees.size());
    EXPECT_EQ(found->data_count(), data.size());
    EXPECT_LT(found->tree_count() + found->data_count(), repository_->state().index.blob_count());
    for (const Id& id : data) EXPECT_TRUE(found->contains(BlobType::data, id));
    for (const Id& id : data) EXPECT_FALSE(found->contains(BlobType::tree, id));
}

TEST_F(ReachableTest, ACopyOfABlobCountsOnceAndUnderEitherPlace) {
    const auto& index = repository_->state().index;
    const BlobIndex::Numbered first = index.at(0);
    format::IndexPack copy;
    copy.id = format::sha256(as_bytes("another pack"));
    copy.blobs.push_back(first.blob);
    const auto copy_number = static_cast<std::uint32_t>(index.blob_count());
    repository_->state().index.add(copy);
    EXPECT_EQ(index.number(first.blob.type, first.blob.id), 0u);
    EXPECT_EQ(index.first_of(copy_number), 0u);
    const auto found = find_reachable(*repository_, roots());
    HF_OK(found);
    EXPECT_EQ(found->tree_count() + found->data_count(), index.blob_count() - 1);
    EXPECT_TRUE(found->contains(0));
    EXPECT_FALSE(found->contains(copy_number));
}

TEST_F(ReachableTest, WhatNoIndexNamesIsListedWithWhoNeedsIt) {
    // The index of the second run is lost.
    const auto all = repository_->state().index.blob_count();
    const auto indexes = files_of(storage::FileKind::index);
    ASSERT_EQ(indexes.size(), 2u);
    for (const std::string& lost : indexes) {
        const auto bytes = os::read_file(lost);
        HF_OK(bytes);
        HF_OK(os::remove_tree(lost));
        reopen();
        HF_OK(repository_->load_index());
        const auto found = find_reachable(*repository_, roots());
        HF_OK(found);
        EXPECT_LT(found->tree_count() + found->data_count(), all);
        ASSERT_FALSE(found->missing().empty());
        EXPECT_EQ(found->missing().front().id == found->missing().front().needed_by, false);
        HF_OK(os::write_file(lost, *bytes));
    }
}

TEST_F(ReachableTest, ADamagedTreeStopsTheWalkUnlessSomebodyTakesIt) {
    const Id root = roots().back();
    const BlobPlace place = repository_->places(BlobType::tree, root).front();
    flip_byte(repo_path() + '/' + storage::relative_path({storage::FileKind::pack, place.pack}),
              place.blob.offset + 20);
    const auto stopped = find_reachable(*repository_, roots());
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, ErrorCode::corrupt);
    std::vector<Id> unreadable;
    MarkOptions options;
    options.unreadable = [&](const Id& id, const Error&) { unreadable.push_back(id); };
    HF_OK(find_reachable(*repository_, roots(), options));
    EXPECT_EQ(unreadable, std::vector<Id>{root});
}

}    // namespace
}    // namespace holdfast::vault
