#include "holdfast/vault/repository.hpp"

#include "holdfast/testing/faulty_backend.hpp"
#include "holdfast/vault/fixture_test.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class RepositoryTest : public VaultTest {
protected:
    ErrorCode open_code(const std::string& password) {
        const auto opened = Repository::open(storage::local_backend(repo_path()), Secret(password), clock_);
        return opened ? ErrorCode::internal : opened.error().code;
    }
};

TEST_F(RepositoryTest, TellsNoRepositoryFromWrongPasswordFromDamage) {
    EXPECT_EQ(open_code(k_password), ErrorCode::no_repository);
    ASSERT_TRUE(os::make_folders(repo_path()));
    EXPECT_EQ(open_code(k_password), ErrorCode::no_repository);
    init();
    EXPECT_EQ(open_code("something else"), ErrorCode::wrong_password);
    EXPECT_EQ(open_code(""), ErrorCode::wrong_password);
    flip_byte(repo_path() + "/config");
    EXPECT_EQ(open_code(k_password), ErrorCode::corrupt);
}

TEST_F(RepositoryTest, CallsADamagedKeyFileDamagedAndNotAWrongPassword) {
    init();
    const std::string key = files_of(FileKind::key).at(0);
    flip_byte(key);
    EXPECT_EQ(open_code(k_password), ErrorCode::corrupt);
    ASSERT_TRUE(os::remove_tree(key));
    EXPECT_EQ(open_code(k_password), ErrorCode::corrupt);
}

TEST_F(RepositoryTest, IsNotMadeTwiceNorWithoutAPassword) {
    EXPECT_EQ(Repository::init(storage::local_backend(repo_path()), Secret(""), clock_).error().code, ErrorCode::usage);
    init();
    const auto again = Repository::init(storage::local_backend(repo_path()), Secret("other"), clock_);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::exists);
    reopen();
}

TEST_F(RepositoryTest, IsMadeAnewAfterAnInitThatWasKilledBeforeItsConfig) {
    init();
    ASSERT_TRUE(os::remove_tree(repo_path() + "/config"));
    init();
    EXPECT_EQ(files_of(FileKind::key).size(), 1u);
    reopen();
}

TEST_F(RepositoryTest, IsNotMadeAnewOverDataWhoseConfigIsLost) {
    init();
    write("src/a", "content");
    HF_OK(back_up(path("src")));
    ASSERT_TRUE(os::remove_tree(repo_path() + "/config"));
    const auto again = Repository::init(storage::local_backend(repo_path()), Secret("other"), clock_);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::exists);
    EXPECT_EQ(files_of(FileKind::key).size(), 1u);
}

TEST_F(RepositoryTest, FindsSnapshotsByLatestAndByPrefix) {
    init();
    EXPECT_EQ(repository_->find_snapshot("latest").error().code, ErrorCode::not_found);
    write("src/a", "1");
    const auto first = back_up(path("src"));
    HF_OK(first);
    write("src/a", "2");
    BackupOptions tagged = small_packs();
    tagged.tags = {"db", "full"};
    tagged.hostname = "elsewhere";
    const auto second = back_up(path("src"), nullptr, tagged);
    HF_OK(second);
    EXPECT_EQ(repository_->find_snapshot("latest")->id, second->snapshot);
    EXPECT_EQ(repository_->find_snapshot("latest", {.host = os::host_name(), .paths = {}, .tags = {}})->id,
              first->snapshot);
    EXPECT_EQ(repository_->find_snapshot("latest", {.host = "", .paths = {}, .tags = {"full"}})->id, second->snapshot);
    EXPECT_EQ(repository_->find_snapshot("latest", {.host = "", .paths = {"/nowhere"}, .tags = {}}).error().code,
              ErrorCode::not_found);
    EXPECT_EQ(repository_->find_snapshot(first->snapshot.hex())->id, first->snapshot);
    EXPECT_EQ(repository_->find_snapshot(first->snapshot.brief())->id, first->snapshot);
    EXPECT_EQ(repository_->find_snapshot("abc").error().code, ErrorCode::usage);
    EXPECT_EQ(repository_->find_snapshot("not hex").error().code, ErrorCode::usage);
    EXPECT_EQ(repository_->find_snapshot("0000000000000000").error().code, ErrorCode::not_found);
    const auto parent = repository_->find_snapshot(second->snapshot.brief())->snapshot.parent;
    ASSERT_TRUE(parent);
    EXPECT_EQ(*parent, first->snapshot);
}

TEST_F(RepositoryTest, ADamagedSnapshotDoesNotHideTheOthers) {
    init();
    write("src/a", "1");
    const auto first = back_up(path("src"));
    HF_OK(first);
    write("src/a", "2");
    const auto second = back_up(path("src"));
    HF_OK(second);
    flip_byte(repo_path() + "/snapshots/" + second->snapshot.hex());
    EXPECT_EQ(repository_->find_snapshot("latest")->id, first->snapshot);
    EXPECT_EQ(repository_->find_snapshot(second->snapshot.brief()).error().code, ErrorCode::corrupt);
    EXPECT_EQ(repository_->snapshots().error().code, ErrorCode::corrupt);
    int skipped = 0;
    EXPECT_EQ(repository_->snapshots([&](const Id&, const Error&) { ++skipped; })->size(), 1u);
    EXPECT_EQ(skipped, 1);
}

TEST_F(RepositoryTest, FollowsPathsAndNamesTheMissingPart) {
    init();
    write("src/deep/er/file", "content");
    HF_OK(back_up(path("src")));
    reopen();
    HF_OK(repository_->load_index());
    const Id tree = repository_->find_snapshot("latest")->snapshot.tree;
    EXPECT_EQ(repository_->find_node(tree, "/")->type, format::NodeType::dir);
    EXPECT_EQ(repository_->find_node(tree, path("src/deep/er/file"))->size, 7u);
    EXPECT_EQ(repository_->find_node(tree, path("src//deep/").substr(1))->name, "deep");
    const auto missing = repository_->find_node(tree, path("src/deep/none/file"));
    EXPECT_EQ(missing.error().code, ErrorCode::not_found);
    EXPECT_NE(missing.error().message.find("deep/none"), std::string::npos);
    EXPECT_EQ(repository_->find_node(tree, path("src/deep/er/file/below")).error().code, ErrorCode::not_found);
}

TEST_F(RepositoryTest, ReadsABlobFromItsOtherCopyWhenOneIsDamaged) {
    init();
    write("src/a", noise(100'000));
    // Two runs at once store the blob twice: neither sees what the other has not indexed yet.
    auto one = Backup::start(*repository_, small_packs());
    HF_OK(one);
    auto other_repository = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
    HF_OK(other_repository);
    auto two = Backup::start(**other_repository, small_packs());
    HF_OK(two);
    HF_OK((*one)->add_path(path("src")));
    HF_OK((*two)->add_path(path("src")));
    HF_OK((*one)->commit());
    HF_OK((*two)->commit());
    one->reset();
    two->reset();
    reopen();
    HF_OK(repository_->load_index());
    const Id blob = format::sha256(as_bytes(noise(100'000)));
    const auto places = repository_->places(format::BlobType::data, blob);
    ASSERT_EQ(places.size(), 2u);
    flip_byte(repo_path() + '/' + storage::relative_path({FileKind::pack, places[0].pack}), places[0].blob.offset + 50);
    const auto content = repository_->read_blob(format::BlobType::data, blob);
    HF_OK(content);
    EXPECT_EQ(as_text(*content), noise(100'000));
    flip_byte(repo_path() + '/' + storage::relative_path({FileKind::pack, places[1].pack}), places[1].blob.offset + 50);
    EXPECT_EQ(repository_->read_blob(format::BlobType::data, blob).error().code, ErrorCode::corrupt);
}

TEST_F(RepositoryTest, SmallBlobsAreReadTogetherAndEachFromAGoodCopy) {
    init();
    const std::string many = noise(600'000);
    const auto store = [&](Backup& backup) {
        auto stream = backup.start_stream("many", {.cut = Cut::blocks(4096, 4096), .mode = 0644, .mtime = {}});
        HF_OK(stream);
        HF_OK((*stream)->write(as_bytes(many)));
        HF_OK((*stream)->finish());
    };
    auto other_repository = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
    HF_OK(other_repository);
    {    // two runs at once, as above
        auto one = Backup::start(*repository_, small_packs()), two = Backup::start(**other_repository, small_packs());
        HF_OK(one);
        HF_OK(two);
        store(**one);
        store(**two);
        HF_OK((*one)->commit());
        HF_OK((*two)->commit());
    }
    reopen();
    HF_OK(repository_->load_index());
    const auto file = repository_->find_node(repository_->find_snapshot("latest")->snapshot.tree, "/many");
    HF_OK(file);
    const auto read = [&]() -> Result<std::string> {
        std::string all;
        HF_DO(read_content(*repository_, *file, [&](ByteView bytes) {
            all += as_text(bytes);
            return Status();
        }));
        return all;
    };
    EXPECT_EQ(read().value_or(""), many);
    const Id bad = file->content.at(40);
    const auto places = repository_->places(format::BlobType::data, bad);
    ASSERT_EQ(places.size(), 2u);
    const auto damage = [&](const BlobPlace& place) {
        flip_byte(repo_path() + '/' + storage::relative_path({FileKind::pack, place.pack}), place.blob.offset + 50);
    };
    damage(places[0]);
    EXPECT_EQ(read().value_or(""), many);
    damage(places[1]);
    const auto without = read();
    ASSERT_FALSE(without);
    EXPECT_EQ(without.error().code, ErrorCode::corrupt);
    EXPECT_NE(without.error().message.find(bad.brief()), std::string::npos) << without.error().message;
}

}    // namespace
}    // namespace holdfast::vault
