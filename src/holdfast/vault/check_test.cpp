#include "holdfast/vault/check.hpp"

#include "holdfast/base/json.hpp"
#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/pipeline.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class CheckTest : public VaultTest {
protected:
    void SetUp() override {
        init();
        write("src/a", noise(3'000'000, 1));
        write("src/sub/b", std::string(500'000, 'b'));
        HF_OK(back_up(path("src")));
        before_ = listing(path("src"));
    }
    std::string pack_with(format::BlobType type) {
        for (const format::IndexPack& pack : repository_->state().index.packs())
            if (pack.blobs[0].type == type)
                return repo_path() + '/' + storage::relative_path({FileKind::pack, pack.id});
        ADD_FAILURE() << "no such pack";
        return {};
    }
    // Whatever was done to the repository: a restore gives the right content or an error, never something else.
    void expect_no_wrong_content() {
        auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
        HF_OK(opened);
        repository_ = *std::move(opened);
        HF_OK(os::remove_tree(path("out")));
        const auto restored = restore_latest("out");
        EXPECT_FALSE(restored);
        const auto different = sh(
            "cd \"$1\" 2>/dev/null && find . -type f | while read f; do cmp -s \"$f\" \"$2/$f\" || echo \"$f\"; done",
            {path("out") + path("src"), path("src")});
        EXPECT_EQ(different.output, "");
    }
    std::string before_;
};

TEST_F(CheckTest, AWholeRepositoryIsFine) {
    std::uint64_t done = 0, total = 0;
    const auto report = check(*repository_, {.read_data = true, .progress = [&](std::uint64_t d, std::uint64_t t) {
                                                 done = d;
                                                 total = t;
                                             }});
    HF_OK(report);
    EXPECT_TRUE(report->ok()) << all_of(report->errors);
    EXPECT_TRUE(report->hints.empty()) << all_of(report->hints);
    EXPECT_EQ(report->snapshots, 1u);
    EXPECT_EQ(report->packs, files_of(FileKind::pack).size());
    EXPECT_GT(report->trees, 2u);
    EXPECT_EQ(done, total);
    EXPECT_TRUE(files_of(FileKind::lock).empty());
}

TEST_F(CheckTest, ABitFlippedInDataIsFoundWhenDataIsRead) {    // NS-16
    const std::string pack = pack_with(format::BlobType::data);
    flip_byte(pack);
    EXPECT_TRUE(checked(false).ok());    // data is not looked at
    const auto report = checked(true);
    EXPECT_EQ(report.errors.size(), 1u);
    EXPECT_NE(all_of(report.errors).find(os::file_name(pack)), std::string::npos) << all_of(report.errors);
    EXPECT_NE(all_of(report.errors).find("seal is broken"), std::string::npos) << all_of(report.errors);
    expect_no_wrong_content();
}

// Of one repeated byte the rolling hash never finds a cut: chunks of the longest kind, which go another way than others.
TEST_F(CheckTest, TheLongestBlobsAreCheckedAndRestoredLikeAllOthers) {
    for (const int level : {1, 0}) {    // compressed, and stored plain
        SCOPED_TRACE(level);
        repository_.reset();
        HF_OK(os::remove_tree(repo_path()));
        init();
        HF_OK(os::remove_tree(path("src")));
        write("src/long", std::string(20'000'000, 'a') + noise(100'000, 7));
        write("src/noise", noise(2'500'000, 8));
        BackupOptions options = small_packs();
        options.compression_level = level;
        HF_OK(back_up(path("src"), nullptr, options));
        const auto report = checked(true);
        EXPECT_TRUE(report.ok()) << all_of(report.errors);
        HF_OK(os::remove_tree(path("out")));
        HF_OK(restore_latest("out"));
        EXPECT_EQ(listing(path("out") + path("src")), listing(path("src")));

        std::string pack;
        std::uint32_t at = 0, longest = 0;
        for (const format::IndexPack& one : repository_->state().index.packs())
            for (const format::PackedBlob& blob : one.blobs) {
                if (blob.plain_length() <= longest) continue;
                longest = blob.plain_length();
                pack = repo_path() + '/' + storage::relative_path({FileKind::pack, one.id});
                at = blob.offset + blob.length / 2;
            }
        EXPECT_GT(longest, 7u << 20);
        flip_byte(pack, at);
        const auto damaged = checked(true);
        EXPECT_EQ(damaged.errors.size(), 1u);
        EXPECT_NE(all_of(damaged.errors).find(os::file_name(pack)), std::string::npos);
        EXPECT_NE(all_of(damaged.errors).find("seal is broken"), std::string::npos) << all_of(damaged.errors);
        expect_no_wrong_content();
    }
}

// A huge file's list of blobs is hashed while it is unpacked.
TEST_F(CheckTest, ATreeThatIsLongerThanAnyChunkIsCheckedToo) {
    format::Node node;
    node.name = "dump.rdb";
    std::mt19937_64 random(5);
    node.content.resize(150'000);
    for (Id& id : node.content)
        for (std::size_t i = 0; i < id.bytes.size(); i += 8) store_le<std::uint64_t>(id.bytes.data() + i, random());
    const std::vector<const format::Node*> nodes{&node};
    std::optional<Id> tree;
    {
        auto lock = repository_->lock(LockMode::shared);
        HF_OK(lock);
        Pipeline pipeline(*repository_, **lock, {});
        const auto stored = pipeline.store_tree(nodes);
        HF_OK(stored);
        tree = *stored;
        HF_OK(pipeline.finish());
    }
    const auto place = repository_->state().index.first_place(format::BlobType::tree, *tree);
    ASSERT_TRUE(place);
    EXPECT_GT(place->uncompressed_length, 9u << 20);
    const Id pack_id = repository_->state().index.pack_id(place->pack);
    const auto report = checked(true);
    EXPECT_TRUE(report.ok()) << all_of(report.errors);
    const std::string pack = repo_path() + "/" + storage::relative_path({FileKind::pack, pack_id});
    const Bytes whole = os::read_file(pack).value();
    for (const std::uint32_t at :
         {place->offset, place->offset + place->length / 2, place->offset + place->length - 1}) {
        flip_byte(pack, at);
        const auto damaged = checked(true);
        EXPECT_EQ(damaged.errors.size(), 1u);
        EXPECT_NE(all_of(damaged.errors).find("seal is broken"), std::string::npos) << all_of(damaged.errors);
        HF_OK(os::write_file(pack, whole));
    }
}

TEST_F(CheckTest, EveryByteOfASmallPackCounts) {
    const std::string pack = pack_with(format::BlobType::tree);
    const auto whole = os::read_file(pack).value();
    for (std::size_t at = 0; at < whole.size(); at += 13) {
        flip_byte(pack, at);
        EXPECT_FALSE(checked(true).ok()) << at;
        HF_OK(os::write_file(pack, whole));
    }
    EXPECT_TRUE(checked(true).ok());
}

TEST_F(CheckTest, ABitFlippedInATreeIsFoundWithoutReadingData) {
    flip_byte(pack_with(format::BlobType::tree), 40);
    const auto report = checked(false);
    EXPECT_NE(all_of(report.errors).find("tree blob"), std::string::npos) << all_of(report.errors);
    expect_no_wrong_content();
}

TEST_F(CheckTest, TruncatedAndMissingPacksAreFoundWithoutReadingData) {    // NS-16
    const std::string pack = pack_with(format::BlobType::data);
    const auto whole = os::read_file(pack).value();
    HF_OK(os::write_file(pack, ByteView(whole).first(whole.size() / 3)));
    EXPECT_NE(all_of(checked(false).errors).find("instead of"), std::string::npos);
    EXPECT_FALSE(checked(true).ok());
    expect_no_wrong_content();
    HF_OK(os::remove_tree(pack));
    EXPECT_NE(all_of(checked(false).errors).find("missing"), std::string::npos);
    expect_no_wrong_content();
}

TEST_F(CheckTest, ADamagedIndexIsFoundAndSaysWhatToDo) {
    const std::string index = files_of(FileKind::index).at(0);
    flip_byte(index);
    const auto report = checked(false);
    EXPECT_NE(all_of(report.errors).find("index " + os::file_name(index).substr(0, 8)), std::string::npos)
        << all_of(report.errors);
    reopen();
    const auto load = repository_->load_index();
    ASSERT_FALSE(load);
    EXPECT_EQ(load.error().code, ErrorCode::corrupt);
    EXPECT_NE(load.error().hint.find("repair index"), std::string::npos);
}

TEST_F(CheckTest, AMissingIndexLeavesBlobsThatNobodyKnows) {
    HF_OK(os::remove_tree(files_of(FileKind::index).at(0)));
    const auto report = checked(false);
    EXPECT_NE(all_of(report.errors).find("is in no index"), std::string::npos) << all_of(report.errors);
    EXPECT_NE(all_of(report.hints).find("named by no index"), std::string::npos);
    expect_no_wrong_content();
}

TEST_F(CheckTest, AnIndexThatSwapsTwoBlobsGivesNoWrongContent) {    // NS-16
    write("src/x", noise(100'000, 5));
    write("src/y", noise(100'000, 6));
    HF_OK(back_up(path("src")));
    const Id x = format::sha256(as_bytes(noise(100'000, 5))), y = format::sha256(as_bytes(noise(100'000, 6)));
    auto packs = repository_->state().index.packs();
    for (format::IndexPack& pack : packs)
        for (format::PackedBlob& blob : pack.blobs) blob.id = blob.id == x ? y : blob.id == y ? x : blob.id;
    for (const std::string& index : files_of(FileKind::index)) HF_OK(os::remove_tree(index));
    HF_OK(repository_->write_document(FileKind::index, format::encode_index(packs)));
    const auto report = checked(true);
    EXPECT_NE(all_of(report.errors).find("has other content than its name says"), std::string::npos)
        << all_of(report.errors);
    EXPECT_NE(all_of(report.errors).find("differs from the index"), std::string::npos) << all_of(report.errors);
    expect_no_wrong_content();
}

TEST_F(CheckTest, ADamagedSnapshotIsFoundAndTheOthersAreStillChecked) {
    write("src/c", "c");
    HF_OK(back_up(path("src")));
    flip_byte(files_of(FileKind::snapshot).at(0));
    const auto report = checked(false);
    EXPECT_EQ(report.errors.size(), 1u) << all_of(report.errors);
    EXPECT_EQ(report.snapshots, 1u);
}

TEST_F(CheckTest, AllThatIsWrongIsReportedAtOnce) {
    write("src/more", noise(3'000'000, 7));
    HF_OK(back_up(path("src")));
    const auto packs = files_of(FileKind::pack);
    ASSERT_GT(packs.size(), 3u);
    for (const std::string& pack : packs) flip_byte(pack);
    flip_byte(files_of(FileKind::snapshot).at(0));
    const auto report = checked(true);
    for (const std::string& pack : packs)
        EXPECT_NE(all_of(report.errors).find(os::file_name(pack)), std::string::npos) << pack;
    EXPECT_NE(all_of(report.errors).find("snapshot"), std::string::npos);
}

TEST_F(CheckTest, ATinyRepositoryOfResticIsReadCheckedAndRestored) {
    ASSERT_TRUE(sh("tar -xf \"$1\" -C \"$2\"",
                   {std::string(HF_SOURCE_DIR) + "/tests/golden/vault/restic-v2-tiny.tar", folder_.path()})
                    .ok);
    const auto golden = json::parse(
        os::read_text(std::string(HF_SOURCE_DIR) + "/tests/golden/vault/restic-v2-tiny.json").value(), "golden");
    HF_OK(golden);
    auto opened = Repository::open(storage::local_backend(path("restic-v2-tiny")), Secret("test"), clock_);
    HF_OK(opened);
    const Repository& tiny = **opened;
    const auto report = check(**opened, {.read_data = true, .progress = {}});
    HF_OK(report);
    EXPECT_TRUE(report->ok()) << all_of(report->errors);
    EXPECT_EQ(report->snapshots, 2u);
    EXPECT_EQ(report->packs, 4u);
    for (const json::Value& expected : (*golden)["snapshots"].items()) {
        const auto snapshot = tiny.find_snapshot(expected["id"].text());
        HF_OK(snapshot);
        EXPECT_EQ(snapshot->snapshot.tree.hex(), expected["tree"].text());
        RestoreOptions options;
        options.target = path("out-" + snapshot->id.brief());
        HF_OK(restore(tiny, *snapshot, options));
        // restic restores the same.
        const auto restic = sh("RESTIC_PASSWORD=test restic -r \"$1\" restore \"$2\" --target \"$3\" --no-cache -q",
                               {path("restic-v2-tiny"), snapshot->id.hex(), path("restic-" + snapshot->id.brief())});
        ASSERT_TRUE(restic.ok) << restic.output;
        EXPECT_EQ(listing(options.target), listing(path("restic-" + snapshot->id.brief())));
        EXPECT_NE(listing(options.target), "");
    }
}

}    // namespace
}    // namespace holdfast::vault
