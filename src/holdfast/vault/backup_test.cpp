#include "holdfast/vault/backup.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <future>
#include <thread>

#include "holdfast/testing/faulty_backend.hpp"
#include "holdfast/vault/file_readers.hpp"
#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class BackupTest : public VaultTest {
protected:
    void SetUp() override { init(); }
    Result<format::Node> node(const std::string& where) {
        HF_DO(repository_->load_index());
        HF_TRY(const auto latest, repository_->find_snapshot("latest"));
        return repository_->find_node(latest.snapshot.tree, where);
    }
    // Not the number of new trees: those of the folders above, which others write into, may be among them.
    Id tree_of(const std::string& where) {
        const auto folder = node(where);
        EXPECT_TRUE(folder) << where;
        return folder ? folder->subtree : Id{};
    }
    std::string content(const std::string& where) {
        const auto file = node(where);
        EXPECT_TRUE(file) << where;
        if (!file) return {};
        std::string all;
        EXPECT_TRUE(read_content(*repository_, *file, [&](ByteView bytes) {
            all += as_text(bytes);
            return Status();
        }));
        return all;
    }
    std::unique_ptr<Backup> started(BackupOptions options = small_packs()) {
        auto backup = Backup::start(*repository_, std::move(options));
        EXPECT_TRUE(backup);
        return *std::move(backup);
    }
};

TEST_F(BackupTest, StreamsComeBackInOrder) {
    const std::string large = noise(9'000'001);
    const auto backup = started();
    // Three at once, written in turns and in odd pieces.
    auto a = backup->start_stream("postgres/trading.dump", {.cut = Cut::dump(), .mode = 0600, .mtime = {}});
    auto b = backup->start_stream("redis/dump.rdb", {});
    auto c = backup->start_stream("duckdb/x.duckdb", {.cut = Cut::blocks(256 << 10, 12288), .mode = 0644, .mtime = {}});
    HF_OK(a);
    HF_OK(b);
    HF_OK(c);
    for (std::size_t at = 0; at < large.size(); at += 77'777) {
        const ByteView piece = as_bytes(std::string_view(large).substr(at, 77'777));
        HF_OK((*a)->write(piece));
        HF_OK((*b)->write(piece));
        HF_OK((*c)->write(piece));
    }
    for (auto* stream : {&a, &b, &c}) {
        const auto receipt = (**stream)->finish();
        HF_OK(receipt);
        EXPECT_EQ(receipt->size, large.size());
    }
    HF_OK(backup->add_file("manifest.json", as_bytes("{}")));
    HF_OK(backup->add_file("empty", {}));
    HF_OK(backup->commit({"tag"}));
    EXPECT_EQ(content("postgres/trading.dump"), large);
    EXPECT_EQ(content("redis/dump.rdb"), large);
    EXPECT_EQ(content("duckdb/x.duckdb"), large);
    EXPECT_EQ(content("manifest.json"), "{}");
    EXPECT_EQ(content("empty"), "");
    EXPECT_EQ(node("postgres/trading.dump")->mode, 0600u);
    EXPECT_EQ(node("duckdb/x.duckdb")->content.size(), 1 + (large.size() - 12288 + (256 << 10) - 1) / (256 << 10));
    const auto folder = node("postgres");
    HF_OK(folder);
    EXPECT_EQ(folder->type, format::NodeType::dir);
    EXPECT_EQ(format::permission_bits(folder->mode), 0755u);
    EXPECT_EQ(repository_->find_snapshot("latest")->snapshot.paths,
              (std::vector<std::string>{"/duckdb", "/empty", "/manifest.json", "/postgres", "/redis"}));
}

TEST_F(BackupTest, KnowsWhatItHasAlready) {
    const std::string text = noise(3'000'000);
    auto first = started();
    for (const char* name : {"a", "b"}) HF_OK(first->add_file(name, as_bytes(text)));
    const auto outcome = first->commit();
    HF_OK(outcome);
    EXPECT_EQ(outcome->summary.total_bytes_processed, 2 * text.size());
    EXPECT_GE(outcome->summary.data_added, text.size());
    EXPECT_LT(outcome->summary.data_added, text.size() + 2000);    // and the tree
    first.reset();
    reopen();
    const auto second = started();
    auto stream = second->start_stream("c", {});
    HF_OK(stream);
    HF_OK((*stream)->write(as_bytes(text)));
    EXPECT_EQ((*stream)->finish()->bytes_added, 0u);
    HF_OK(second->commit());
}

TEST_F(BackupTest, SaysWhatWasNewBelowAPath) {
    write("src/a", noise(700'000));
    const auto backup = started();
    HF_OK(backup->add_file("redis/base", as_bytes(noise(400'000, 2))));
    HF_OK(backup->add_file("redis/log", as_bytes(noise(100'000, 3))));
    HF_OK(backup->add_file("redis2/base", as_bytes(noise(400'000, 2))));
    PathOptions options;
    options.under = "files";
    const auto summary = backup->add_path(path("src"), options);
    HF_OK(summary);
    EXPECT_EQ(summary->bytes_added, 700'000u);
    EXPECT_EQ(backup->bytes_added_below("redis"), 500'000u);
    EXPECT_EQ(backup->bytes_added_below("redis/log"), 100'000u);
    EXPECT_EQ(backup->bytes_added_below("redis2"), 0u);    // the same again
    EXPECT_EQ(backup->bytes_added_below("files"), 700'000u);
    EXPECT_EQ(backup->bytes_added_below("duckdb"), 0u);
}

TEST_F(BackupTest, ManyBlobsAreIndexedOnTheWayAndStoredOnce) {
    constexpr std::size_t block = 64, blobs = 60'000;
    const std::string many = noise(block * blobs);
    const auto backup = started();
    const auto store = [&](const std::string& name) {
        auto stream = backup->start_stream(name, {.cut = Cut::blocks(block, block), .mode = 0644, .mtime = {}});
        HF_OK(stream);
        HF_OK((*stream)->write(as_bytes(many)));
        HF_OK((*stream)->finish());
    };
    store("first");
    // The second time some are known by an index and some are not yet.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (repository_->state().index.blob_count() < 15'000 && std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
    EXPECT_GE(repository_->state().index.blob_count(), 15'000u);
    store("second");
    const auto done = backup->commit({});
    HF_OK(done);
    EXPECT_EQ(repository_->state().index.blob_count(), blobs + 1);    // and the tree
    EXPECT_EQ(content("second"), many);
}

TEST_F(BackupTest, AStreamThatIsNotFinishedLeavesNothingInTheSnapshot) {
    const auto backup = started();
    {
        auto stream = backup->start_stream("postgres/half.dump", {});
        HF_OK(stream);
        HF_OK((*stream)->write(as_bytes(noise(2'000'000))));
    }
    HF_OK(backup->add_file("whole", as_bytes("x")));
    HF_OK(backup->commit());
    EXPECT_EQ(node("postgres").error().code, ErrorCode::not_found);
    EXPECT_EQ(content("whole"), "x");
}

TEST_F(BackupTest, ForgetsAFailedComponentAndTakesItsSecondAttempt) {
    const auto backup = started();
    HF_OK(backup->add_file("postgres/a", as_bytes("first")));
    HF_OK(backup->add_file("postgres/b", as_bytes("first")));
    HF_OK(backup->add_file("redis/x", as_bytes("x")));
    backup->forget_path("postgres");
    backup->forget_path("never/there");
    HF_OK(backup->add_file("postgres/a", as_bytes("second")));
    HF_OK(backup->add_file("redis/x", as_bytes("y")));
    backup->forget_path("redis/x");
    HF_OK(backup->commit());
    EXPECT_EQ(content("postgres/a"), "second");
    EXPECT_EQ(node("postgres/b").error().code, ErrorCode::not_found);
    EXPECT_EQ(node("redis").error().code, ErrorCode::not_found);
}

TEST_F(BackupTest, RefusesPathsThatLeaveTheSnapshot) {
    const auto backup = started();
    for (const char* bad : {"", "/", "../x", "a/../b", "./x"})
        EXPECT_EQ(backup->start_stream(bad, {}).error().code, ErrorCode::usage) << bad;
    HF_OK(backup->add_file("file", as_bytes("x")));
    EXPECT_EQ(backup->add_file("file/below", as_bytes("x")).error().code, ErrorCode::usage);
}

TEST_F(BackupTest, ReusesPartsOfTheParent) {
    write("src/a/file", "content");
    HF_OK(back_up(path("src")));
    reopen();
    BackupOptions options = small_packs();
    EXPECT_EQ(started()->reuse("x", "y").error().code, ErrorCode::not_found);
    options.parent = repository_->find_snapshot("latest").value();
    const auto backup = started(options);
    HF_OK(backup->reuse(path("src/a"), "kept/folder"));
    HF_OK(backup->reuse(path("src/a/file"), "kept/file"));
    EXPECT_EQ(backup->reuse(path("src/b"), "kept/none").error().code, ErrorCode::not_found);
    HF_OK(backup->commit());
    EXPECT_EQ(content("kept/folder/file"), "content");
    EXPECT_EQ(content("kept/file"), "content");
}

TEST_F(BackupTest, UnchangedFilesAreNotReadAndTheirTreesAreEqual) {
    write("src/a", noise(700'000));
    write("src/sub/b", "b");
    const auto first = back_up(path("src"));
    HF_OK(first);
    reopen();
    // Other content under the same type, size, mtime, ctime and inode cannot be made; that nothing is read shows in the counts.
    PathSummary summary;
    const auto second = back_up(path("src"), &summary);
    HF_OK(second);
    EXPECT_EQ(summary.files_unchanged, 2u);
    EXPECT_EQ(second->summary.files_unmodified, 2u);
    EXPECT_EQ(second->summary.dirs_unmodified, 2u);
    EXPECT_EQ(second->summary.data_blobs, 0u);
    EXPECT_EQ(second->summary.total_bytes_processed, 700'001u);
    write("src/a", noise(700'000, 2));    // same size
    write("src/c", "new");
    PathSummary third_summary;
    const auto third = back_up(path("src"), &third_summary);
    HF_OK(third);
    EXPECT_EQ(third->summary.files_changed, 1u);
    EXPECT_EQ(third->summary.files_new, 1u);
    EXPECT_EQ(third->summary.files_unmodified, 1u);
    EXPECT_EQ(content(path("src/a")), noise(700'000, 2));
}

// Cut like a Redis dump, its tree is longer than what is read whole.
TEST_F(BackupTest, OfAHugeFileTheBlobsNumbersServeAndItsTreeIsEqual) {
    const std::string dump = "REDIS0011" + noise(80'000'000);
    write("src/dump.rdb", dump);
    write("src/other", "1");
    const auto first = back_up(path("src"));
    HF_OK(first);
    reopen();
    HF_OK(repository_->load_index());
    const Id folder = repository_->find_node(repository_->find_snapshot("latest")->snapshot.tree, path("src"))->subtree;
    const auto whole = repository_->read_tree(folder);
    HF_OK(whole);
    const std::vector<Id> ids = whole->find("dump.rdb")->content;
    ASSERT_GT(ids.size(), 8'000u);
    const auto numbered = repository_->read_numbered_tree(folder);
    HF_OK(numbered);
    EXPECT_TRUE(numbered->find("dump.rdb")->content.empty());
    ASSERT_EQ(numbered->find("dump.rdb")->numbers.size(), ids.size());
    EXPECT_EQ(repository_->find_node(folder, "dump.rdb")->content, ids);

    PathSummary summary;
    const auto second = back_up(path("src"), &summary);
    HF_OK(second);
    EXPECT_EQ(summary.files_unchanged, 2u);
    EXPECT_EQ(tree_of(path("src")), folder);
    write("src/other", "2");
    const auto third = back_up(path("src"), &summary);
    HF_OK(third);
    EXPECT_EQ(summary.files_unchanged, 1u);
    const auto changed =
        repository_->find_node(repository_->find_snapshot("latest")->snapshot.tree, path("src"))->subtree;
    EXPECT_NE(changed, folder);
    const auto tree = repository_->read_tree(changed);
    HF_OK(tree);
    EXPECT_EQ(tree->find("dump.rdb")->content, ids);
    EXPECT_EQ(format::sha256(as_bytes(format::encode(*tree))), changed);
    EXPECT_EQ(content(path("src/dump.rdb")), dump);

    // Without one of its blobs there are no numbers, and it is read anew.
    std::vector<format::IndexPack> rest = repository_->state().index.packs();
    for (format::IndexPack& pack : rest)
        std::erase_if(pack.blobs, [&](const format::PackedBlob& blob) { return blob.id == ids[ids.size() / 2]; });
    for (const std::string& index : files_of(FileKind::index)) HF_OK(os::remove_tree(index));
    HF_OK(repository_->write_document(FileKind::index, format::encode_index(rest)));
    reopen();
    HF_OK(repository_->load_index());
    EXPECT_EQ(repository_->read_numbered_tree(changed)->find("dump.rdb")->content, ids);
    const auto fourth = back_up(path("src"), &summary);
    HF_OK(fourth);
    EXPECT_EQ(summary.files_unchanged, 1u);
    EXPECT_EQ(fourth->summary.data_blobs, 1u);
    EXPECT_EQ(tree_of(path("src")), changed);
    EXPECT_EQ(content(path("src/dump.rdb")), dump);
}

TEST_F(BackupTest, ReadsAnUnchangedFileAnewWhenItsBlobsAreGone) {
    write("src/a", noise(700'000));
    HF_OK(back_up(path("src")));
    const Id tree = tree_of(path("src"));
    // The trees are still known, the data is not.
    std::vector<format::IndexPack> trees;
    for (format::IndexPack& pack : repository_->state().index.packs())
        if (pack.blobs[0].type == format::BlobType::tree) trees.push_back(std::move(pack));
    for (const std::string& index : files_of(FileKind::index)) HF_OK(os::remove_tree(index));
    HF_OK(repository_->write_document(FileKind::index, format::encode_index(trees)));
    reopen();
    PathSummary summary;
    const auto second = back_up(path("src"), &summary);
    HF_OK(second);
    EXPECT_EQ(summary.files_unchanged, 0u);
    EXPECT_EQ(tree_of(path("src")), tree);
    EXPECT_EQ(content(path("src/a")), noise(700'000));
}

TEST_F(BackupTest, AnMtimeThatWasSetBackDoesNotHideAChange) {
    write("src/a", "first");
    HF_OK(back_up(path("src")));
    ASSERT_TRUE(
        sh("touch -r \"$1\" \"$2\" && printf other > \"$1\" && touch -r \"$2\" \"$1\"", {path("src/a"), path("times")})
            .ok);
    PathSummary summary;
    HF_OK(back_up(path("src"), &summary));
    EXPECT_EQ(summary.files_unchanged, 0u);
    EXPECT_EQ(content(path("src/a")), "other");
}

TEST_F(BackupTest, CompressesWhatGetsSmallerAndStoresTheRestPlain) {
    const std::string text(400'000, 'x');
    const auto backup = started();
    HF_OK(backup->add_file("text", as_bytes(text)));
    HF_OK(backup->add_file("noise", as_bytes(noise(400'000))));
    HF_OK(backup->commit());
    const auto of_text = repository_->places(format::BlobType::data, format::sha256(as_bytes(text)));
    const auto of_noise = repository_->places(format::BlobType::data, format::sha256(as_bytes(noise(400'000))));
    ASSERT_EQ(of_text.size(), 1u);
    ASSERT_EQ(of_noise.size(), 1u);
    EXPECT_EQ(of_text[0].blob.uncompressed_length, text.size());
    EXPECT_LT(of_text[0].blob.length, 1000u);
    EXPECT_EQ(of_noise[0].blob.uncompressed_length, 0u);
    EXPECT_EQ(of_noise[0].blob.length, 400'032u);
}

TEST_F(BackupTest, CutsADuckDbFileOnItsBlocks) {
    std::string database = noise(12288 + 10 * (256 << 10));
    std::memcpy(database.data() + 8, "DUCK", 4);
    const std::uint64_t block = 256 << 10;
    std::memcpy(database.data() + 4096 + 40, &block, 8);
    write("src/a.duckdb", database);
    HF_OK(back_up(path("src")));
    EXPECT_EQ(node(path("src/a.duckdb"))->content.size(), 11u);
    database[12288 + 3 * (256 << 10) + 77] ^= 1;
    write("src/a.duckdb", database);
    const auto second = back_up(path("src"));
    HF_OK(second);
    EXPECT_EQ(second->summary.data_blobs, 1u);
    EXPECT_EQ(content(path("src/a.duckdb")), database);
}

TEST_F(BackupTest, ExcludesAndNewerThanLeaveOut) {
    write("src/keep.log", "1");
    write("src/skip.tmp", "2");
    write("src/cache/deep/x", "3");
    write("src/old/only.log", "4");
    write("src/old.log", "5");
    ASSERT_TRUE(sh("touch -d '2020-01-01' \"$1/old/only.log\" \"$1/old.log\"", {path("src")}).ok);
    const auto backup = started();
    PathOptions options;
    options.under = "logs";
    options.excludes = {"*.tmp", "cache/deep"};
    options.newer_than = clock_.now() - std::chrono::hours(24);
    const auto summary = backup->add_path(path("src"), options);
    HF_OK(summary);
    EXPECT_EQ(summary->files, 1u);
    HF_OK(backup->commit());
    EXPECT_EQ(content("logs" + path("src/keep.log")), "1");
    for (const char* gone : {"skip.tmp", "cache", "old", "old.log"})
        EXPECT_EQ(node("logs" + path("src/") + gone).error().code, ErrorCode::not_found) << gone;
}

TEST_F(BackupTest, UnreadableFilesAreListedAndTheRestIsTaken) {
    write("src/good", "good");
    // Root may read anything, but not this: a regular file whose first page is no memory.
    const auto backup = started();
    const auto summary = backup->add_path("/proc/self/mem");
    HF_OK(summary);
    ASSERT_EQ(summary->unreadable.size(), 1u);
    EXPECT_EQ(summary->unreadable[0].first, "/proc/self/mem");
    HF_OK(backup->add_path(path("src")));
    EXPECT_EQ(backup->add_path(path("nowhere")).error().code, ErrorCode::not_found);
    HF_OK(backup->commit());
    EXPECT_EQ(content(path("src/good")), "good");
    EXPECT_EQ(node("/proc/self/mem").error().code, ErrorCode::not_found);
}

TEST_F(BackupTest, SocketsAreSkippedAndFilesOfUnknownSizeAreReadToTheirEnd) {
    write("src/good", "good");
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path("src/socket").c_str());
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const auto backup = started();
    HF_OK(backup->add_path(path("src")));
    HF_OK(backup->add_path("/proc/version"));    // st_size 0, with content
    HF_OK(backup->commit());
    ::close(fd);
    EXPECT_EQ(node(path("src/socket")).error().code, ErrorCode::not_found);
    EXPECT_EQ(content("/proc/version"), os::read_text("/proc/version").value());
}

TEST_F(BackupTest, FilesThatChangeWhileTheyAreReadAreStoredAsTheyWereRead) {
    write("src/growing", noise(4'000'000));
    std::atomic<bool> stop = false;
    std::thread writer([&] {
        std::FILE* file = std::fopen(path("src/growing").c_str(), "ab");
        while (!stop) {
            std::fputs("another line of the log\n", file);
            std::fflush(file);
        }
        std::fclose(file);
    });
    const auto outcome = back_up(path("src"));
    stop = true;
    writer.join();
    HF_OK(outcome);
    const auto saved = node(path("src/growing"));
    HF_OK(saved);
    const std::string all = content(path("src/growing"));
    EXPECT_EQ(saved->size, all.size());
    EXPECT_EQ(all, read("src/growing").substr(0, all.size()));
    const auto report = checked();
    EXPECT_TRUE(report.ok()) << all_of(report.errors);
}

// Or the backup of a log that grows as fast as it is read would never end.
TEST_F(BackupTest, AFileIsTakenUpToTheSizeItHadWhenItWasOpened) {
    const std::string before = noise(3'000'000), since = noise(1'000'000, 2);
    auto lock = repository_->lock(LockMode::shared, Duration(0));
    HF_OK(lock);
    Pipeline pipeline(*repository_, **lock, small_packs());
    const Chunkers chunkers(repository_->config().polynomial);
    const auto size_taken = [&](const std::string& name, std::string_view at_first) -> std::uint64_t {
        write(name, at_first);
        FileReaders::File file{.fd = os::open_file(path(name), O_RDONLY).value(), .st = {}, .done = {}};
        EXPECT_EQ(::fstat(file.fd.get(), &file.st), 0);
        const os::Fd log = os::open_file(path(name), O_WRONLY | O_APPEND).value();
        EXPECT_TRUE(os::write_all(log.get(), as_bytes(since)));
        const auto size = std::make_shared<std::promise<std::uint64_t>>();
        file.done = [size](Result<std::shared_ptr<Content>> content) {
            size->set_value(content ? (*content)->size : 0);
        };
        FileReaders(pipeline, chunkers, 1).add(std::move(file));
        return size->get_future().get();
    };
    EXPECT_EQ(size_taken("growing", before), before.size());
    EXPECT_EQ(size_taken("begun", ""), since.size());
    HF_OK(pipeline.finish());
}

TEST_F(BackupTest, FoldersDeeperThanTheLongestPathComeBack) {
    // 40 times 200 bytes: beyond PATH_MAX, so made and looked at part by part.
    const auto part = [](int i) { return std::string(200, static_cast<char>('a' + i % 26)); };
    const auto enter = [](os::Fd& at, const std::string& name) {
        at = os::Fd(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        ASSERT_TRUE(at) << name;
    };
    HF_OK(os::make_folders(path("src"), 0755));
    os::Fd at = os::open_file(path("src"), O_RDONLY | O_DIRECTORY).value();
    for (int i = 0; i < 40; ++i) {
        ASSERT_EQ(::mkdirat(at.get(), part(i).c_str(), 0755), 0);
        enter(at, part(i));
    }
    {
        const os::Fd file(::openat(at.get(), "bottom", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        HF_OK(os::write_all(file.get(), as_bytes("bottom")));
    }
    HF_OK(back_up(path("src")));
    HF_OK(restore_latest("out"));
    at = os::open_file(path("out") + path("src"), O_RDONLY | O_DIRECTORY).value();
    for (int i = 0; i < 40; ++i) enter(at, part(i));
    const os::Fd file(::openat(at.get(), "bottom", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(file);
    Bytes content(20);
    EXPECT_EQ(os::read_full(file.get(), content).value(), 6u);
}

TEST_F(BackupTest, ManyFilesFromManyThreads) {
    for (int i = 0; i < 300; ++i)
        write("src/" + std::to_string(i % 7) + "/" + std::to_string(i), noise(static_cast<std::size_t>(i) * 37, 5));
    BackupOptions options = small_packs();
    options.workers = 4;
    options.memory_max = 1;    // the least that works
    const auto backup = started(options);
    std::vector<std::thread> threads;
    for (int t = 0; t < 7; ++t)
        threads.emplace_back([&, t] { EXPECT_TRUE(backup->add_path(path("src/" + std::to_string(t)))); });
    for (int t = 0; t < 3; ++t)
        threads.emplace_back(
            [&, t] { EXPECT_TRUE(backup->add_file("stream/" + std::to_string(t), as_bytes(noise(2'000'000, 9)))); });
    for (std::thread& thread : threads) thread.join();
    HF_OK(backup->commit());
    HF_OK(restore_latest("out"));
    EXPECT_EQ(listing(path("out") + path("src")), listing(path("src")));
    const auto report = checked();
    EXPECT_TRUE(report.ok()) << all_of(report.errors);
}

TEST_F(BackupTest, VerifyingWritesStoresTheSame) {
    BackupOptions options = small_packs();
    options.verify_writes = true;
    options.compression_level = 0;
    const auto backup = started(options);
    HF_OK(backup->add_file("a", as_bytes(std::string(500'000, 'x') + noise(500'000))));
    HF_OK(backup->commit());
    const auto report = checked();
    EXPECT_TRUE(report.ok()) << all_of(report.errors);
    EXPECT_EQ(content("a"), std::string(500'000, 'x') + noise(500'000));
}

}    // namespace
}    // namespace holdfast::vault
