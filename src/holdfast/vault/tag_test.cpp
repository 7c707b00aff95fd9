#include "holdfast/vault/tag.hpp"

#include <algorithm>

#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/rewrite.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

TEST(Tag, SetAddAndRemove) {
    using Tags = std::vector<std::string>;
    EXPECT_EQ(changed_tags({"a", "b"}, {Tags{"c", "c"}, {}, {}}), Tags{"c"});
    EXPECT_EQ(changed_tags({"a", "b"}, {Tags{}, {}, {}}), Tags{});
    EXPECT_EQ(changed_tags({"a", "b"}, {{}, {"b", "c"}, {"a", "x"}}), (Tags{"b", "c"}));
    EXPECT_FALSE(check_tags({"a,b"}));
    EXPECT_FALSE(check_tags({""}));
}

class ChangeTest : public VaultTest {
protected:
    void SetUp() override {
        init();
        write("src/keep/a", noise(100'000, 1));
        write("src/keep/secret.pem", noise(50'000, 2));
        write("src/other/b", "bbb");
        write("src/c", "c");
        BackupOptions options = small_packs();
        options.tags = {"first"};
        HF_OK(back_up(path("src"), nullptr, options));
        write("src/other/b", "changed");
        HF_OK(back_up(path("src")));
    }
    std::vector<SnapshotEntry> all() {
        auto entries = repository_->snapshots();
        EXPECT_TRUE(entries);
        return entries.value_or(std::vector<SnapshotEntry>{});
    }
    Result<std::vector<Rewritten>> rewritten(const RewriteOptions& options) {
        HF_TRY(const auto lock, repository_->lock(LockMode::exclusive));
        const auto entries = all();
        return rewrite(*repository_, *lock, entries, entries, options);
    }
    Result<std::vector<Replacement>> tagged(const TagChange& change) {
        HF_TRY(const auto lock, repository_->lock(LockMode::exclusive));
        const auto entries = all();
        return tag(*repository_, *lock, entries, entries, change);
    }
    Ran restic(const std::string& arguments) { return sh("exec restic -q -r \"$1\" " + arguments, {repo_path()}); }
    Id subtree(const SnapshotEntry& entry, const std::string& name) {
        const auto node = repository_->find_node(entry.snapshot.tree, path(name));
        EXPECT_TRUE(node);
        return node ? node->subtree : Id{};
    }
};

TEST_F(ChangeTest, ATagMakesANewFileThatRemembersTheFirstOne) {
    const auto before = all();
    HF_OK(tagged({{}, {"audit"}, {}}));
    HF_OK(tagged({{}, {"second"}, {"first"}}));
    const auto after = all();
    ASSERT_EQ(after.size(), 2u);
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_NE(after[i].id, before[i].id);
        EXPECT_EQ(after[i].snapshot.original, before[i].id);    // the first ID, also after the second change
        EXPECT_EQ(after[i].snapshot.tree, before[i].snapshot.tree);
        EXPECT_EQ(after[i].snapshot.tags, (std::vector<std::string>{"audit", "second"}));
        ASSERT_TRUE(after[i].snapshot.summary);
        EXPECT_EQ(after[i].snapshot.summary->data_added, before[i].snapshot.summary->data_added);
    }
    const auto again = tagged({{}, {"audit"}, {}});
    HF_OK(again);
    EXPECT_TRUE(again->empty());
    const auto peer = restic("snapshots --tag audit,second");
    EXPECT_NE(peer.output.find("2 snapshots"), std::string::npos) << peer.output;
    EXPECT_TRUE(restic("check --read-data").ok);
}

TEST_F(ChangeTest, WhatIsExcludedIsGoneAndTheRestKeepsItsTrees) {
    const auto before = all();
    RewriteOptions options;
    options.excludes = {"*.pem"};
    options.dry_run = true;
    const auto planned = rewritten(options);
    HF_OK(planned);
    EXPECT_EQ(planned->size(), 2u);
    EXPECT_EQ(all().size(), 2u);
    options.dry_run = false;
    options.forget = true;
    const auto done = rewritten(options);
    HF_OK(done);
    const auto after = all();
    ASSERT_EQ(after.size(), 2u);
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ((*done)[i].change.fresh.tree, (*planned)[i].change.fresh.tree);
        EXPECT_EQ((*done)[i].files_left_out, 1u);
        EXPECT_EQ((*done)[i].bytes_left_out, 50'000u);
        EXPECT_EQ(after[i].snapshot.original, before[i].id);
        EXPECT_EQ(after[i].snapshot.time, before[i].snapshot.time);
        EXPECT_EQ(subtree(after[i], "src/other"), subtree(before[i], "src/other"));
        EXPECT_NE(subtree(after[i], "src/keep"), subtree(before[i], "src/keep"));
        EXPECT_FALSE(repository_->find_node(after[i].snapshot.tree, path("src/keep/secret.pem")));
        EXPECT_EQ(after[i].snapshot.summary->total_files_processed + 1,
                  before[i].snapshot.summary->total_files_processed);
        EXPECT_EQ(after[i].snapshot.summary->total_bytes_processed + 50'000,
                  before[i].snapshot.summary->total_bytes_processed);
    }
    HF_OK(os::remove_tree(path("src/keep/secret.pem")));
    HF_OK(restore_latest("out"));
    EXPECT_EQ(read("out" + path("src/keep/a")), read("src/keep/a"));
    EXPECT_FALSE(os::exists(path("out") + path("src/keep/secret.pem")));
    const auto report = checked();
    EXPECT_TRUE(report.ok()) << all_of(report.errors);
    const auto again = rewritten(options);
    HF_OK(again);
    EXPECT_TRUE(again->empty());
    const auto peer = restic("check --read-data");
    EXPECT_TRUE(peer.ok) << peer.output;
}

TEST_F(ChangeTest, WithoutForgetTheOldOnesStayAndTheNewOnesAreTagged) {
    RewriteOptions options;
    options.excludes = {path("src/other")};
    HF_OK(rewritten(options));
    EXPECT_EQ(all().size(), 4u);
    // Once more: nothing is written twice, nor told as if it had been.
    const auto again = rewritten(options);
    HF_OK(again);
    EXPECT_TRUE(again->empty());
    const auto after = all();
    EXPECT_EQ(after.size(), 4u);
    EXPECT_EQ(std::ranges::count_if(after,
                                    [](const SnapshotEntry& e) {
                                        return std::ranges::find(e.snapshot.tags, "rewrite") != e.snapshot.tags.end();
                                    }),
              2);
}

TEST_F(ChangeTest, HostAndTimeChangeWithoutTouchingTrees) {
    const auto before = all();
    RewriteOptions options;
    options.new_host = "desk-2";
    options.new_time = parse_rfc3339("2020-01-02T03:04:05Z").value();
    options.forget = true;
    HF_OK(rewritten(options));
    std::multiset<Id> trees_before, trees_after;
    for (const SnapshotEntry& entry : before) trees_before.insert(entry.snapshot.tree);
    for (const SnapshotEntry& entry : all()) {
        trees_after.insert(entry.snapshot.tree);
        EXPECT_EQ(entry.snapshot.hostname, "desk-2");
        EXPECT_EQ(entry.snapshot.time, *options.new_time);
    }
    EXPECT_EQ(trees_after, trees_before);
}

}    // namespace
}    // namespace holdfast::vault
