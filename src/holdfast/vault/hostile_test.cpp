// A repository, or the storage that it lies on, made by somebody who wishes us ill: nothing is written outside the
// target, and neither memory nor stack nor patience is exhausted.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/lock.hpp"
#include "holdfast/vault/pack_builder.hpp"
#include "holdfast/vault/tree_depth.hpp"

namespace holdfast::vault {
namespace {

using format::BlobType;
using storage::FileKind;

class Hostile : public VaultTest {
protected:
    static void SetUpTestSuite() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        // Instrumented frames are several times as large as ours: the stack grows with them, and the limit on depth stays.
        rlimit stack{};
        ASSERT_EQ(::getrlimit(RLIMIT_STACK, &stack), 0);
        stack.rlim_cur = std::min<rlim_t>(stack.rlim_max, 120u << 20);
        ASSERT_EQ(::setrlimit(RLIMIT_STACK, &stack), 0);
#endif
    }
    // Whoever has the password can store any blob: here is how.
    class Forger {
    public:
        explicit Forger(Repository& repository)
            : repository_(repository), cipher_(repository.master_key()), pack_(repository.backend()) {}
        Id blob(BlobType type, std::string_view plain, std::optional<Id> name = {}) {
            const Id id = name.value_or(format::sha256(as_bytes(plain)));
            EXPECT_TRUE(pack_.append(cipher_, type, id, as_bytes(plain), 0).has_value());
            return id;
        }
        Id tree(const std::vector<std::pair<std::string, Id>>& folders) {
            std::string json = "{\"nodes\":[";
            for (const auto& [name, subtree] : folders) {
                if (json.back() != '[') json += ',';
                json += "{\"name\":\"" + name + "\",\"type\":\"dir\",\"mode\":2147484141,\"subtree\":\"" +
                        subtree.hex() + "\"}";
            }
            return blob(BlobType::tree, json + "]}\n");
        }
        SnapshotEntry snapshot(const Id& tree) {
            auto sealed = pack_.seal(cipher_);
            EXPECT_TRUE(sealed.has_value());
            const auto written =
                repository_.write_document(FileKind::index, format::encode_index({*std::move(sealed)}));
            EXPECT_TRUE(written.has_value());
            pack_ = PackBuilder(repository_.backend());
            format::Snapshot snapshot;
            snapshot.tree = tree;
            snapshot.time = repository_.clock().now();
            snapshot.paths = {"/"};
            const auto id = repository_.write_document(FileKind::snapshot, format::encode(snapshot));
            EXPECT_TRUE(id.has_value());
            return {*id, snapshot};
        }

    private:
        Repository& repository_;
        format::Cipher cipher_;
        PackBuilder pack_;
    };

    Result<RestoreSummary> restore_one(const SnapshotEntry& entry) {
        HF_DO(repository_->load_index(true));
        RestoreOptions options;
        options.target = path("out");
        options.sync = false;
        return restore(*repository_, entry, options);
    }
};

TEST_F(Hostile, AChainOfTwentyThousandFoldersOverflowsNoStack) {
    init();
    Forger forger(*repository_);
    Id below = forger.blob(BlobType::tree, "{\"nodes\":[]}\n");
    for (int i = 0; i < 20'000; ++i) below = forger.tree({{"d", below}});
    const SnapshotEntry entry = forger.snapshot(below);

    const auto restored = restore_one(entry);
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, ErrorCode::corrupt);
    EXPECT_FALSE(os::exists(path("out")));
    const auto report = checked(false);
    ASSERT_EQ(report.errors.size(), 1u) << all_of(report.errors);
    EXPECT_NE(report.errors[0].find("deeper"), std::string::npos) << report.errors[0];

    BackupOptions options = small_packs();
    options.parent = entry;
    const auto backup = Backup::start(*repository_, options);
    HF_OK(backup);
    const auto reused = (*backup)->reuse("/d", "d");
    ASSERT_FALSE(reused);
    EXPECT_EQ(reused.error().code, ErrorCode::corrupt);
}

TEST_F(Hostile, FoldersAsDeepAsAnyFileSystemShowsThemComeBack) {
    init();
    Forger forger(*repository_);
    Id below = forger.blob(BlobType::tree, "{\"nodes\":[]}\n");
    for (unsigned i = 0; i + 1 < k_tree_depth_max; ++i) below = forger.tree({{"d", below}});
    const auto restored = restore_one(forger.snapshot(below));
    HF_OK(restored);
    EXPECT_EQ(restored->folders, k_tree_depth_max - 1);
    EXPECT_TRUE(checked(true).ok());
}

TEST_F(Hostile, TreesThatUnfoldToATrillionFoldersAreCheckedOnce) {
    init();
    Forger forger(*repository_);
    Id below = forger.blob(BlobType::tree, "{\"nodes\":[]}\n");
    for (int i = 0; i < 40; ++i) below = forger.tree({{"left", below}, {"right", below}});
    forger.snapshot(below);
    const auto report = checked(true);
    EXPECT_TRUE(report.ok()) << all_of(report.errors);
    EXPECT_EQ(report.trees, 41u);
}

TEST_F(Hostile, NamesThatLeadOutOfTheTargetAreRefused) {
    init();
    write("bait", "");
    const Id empty = [&] {
        Forger forger(*repository_);
        const Id id = forger.blob(BlobType::tree, "{\"nodes\":[]}\n");
        forger.snapshot(id);
        return id;
    }();
    for (const char* name : {"..", ".", "", "../out2", "/etc", "a/b", "a\\u0000b"}) {
        Forger forger(*repository_);
        const SnapshotEntry entry = forger.snapshot(forger.tree({{name, empty}}));
        const auto restored = restore_one(entry);
        EXPECT_FALSE(restored) << name;
        if (!restored) {
            EXPECT_EQ(restored.error().code, ErrorCode::corrupt) << name;
        }
        HF_OK(os::remove_tree(path("out")));
    }
    EXPECT_FALSE(os::exists(path("out2")));
}

TEST_F(Hostile, ALinkAndAFolderOfOneNameLeadNowhere) {
    init();
    HF_OK(os::make_folders(path("outside")));
    Forger forger(*repository_);
    const Id inner = forger.blob(
        BlobType::tree, R"({"nodes":[{"name":"planted","type":"symlink","mode":134218239,"linktarget":"x"}]})");
    const std::string link =
        R"({"name":"way","type":"symlink","mode":134218239,"linktarget":")" + path("outside") + R"("})";
    const std::string folder = R"({"name":"way","type":"dir","mode":2147484141,"subtree":")" + inner.hex() + R"("})";
    const SnapshotEntry entry =
        forger.snapshot(forger.blob(BlobType::tree, "{\"nodes\":[" + link + "," + folder + "]}"));
    EXPECT_FALSE(restore_one(entry));
    EXPECT_TRUE(os::list_folder(path("outside"))->empty());
    // And one that lies in the target already: it is replaced, not followed.
    Forger again(*repository_);
    const SnapshotEntry plain = again.snapshot(again.blob(BlobType::tree, "{\"nodes\":[" + folder + "]}"));
    HF_OK(os::make_folders(path("out")));
    ASSERT_EQ(::symlink(path("outside").c_str(), path("out/way").c_str()), 0);
    HF_OK(repository_->load_index(true));
    RestoreOptions options;
    options.target = path("out");
    options.overwrite = Overwrite::always;
    HF_OK(restore(*repository_, plain, options));
    EXPECT_TRUE(os::list_folder(path("outside"))->empty());
    EXPECT_TRUE(os::exists(path("out/way/planted")));
}

// What runs in a child that may have only so much memory more than it has now: how it ended.
template <class Work>
int in_a_small_room(std::uint64_t bytes, Work work) {
    const pid_t child = ::fork();
    if (child == 0) {
        const auto now = os::read_text("/proc/self/statm").value();
        const std::uint64_t used = std::stoull(now) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
        const rlimit limit{used + bytes, used + bytes};
        if (::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(99);
        ::_exit(work());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(Hostile, FilesOfManyGigabytesInTheStorageFillNoMemory) {
    init();
    write("src/a", noise(100'000));
    HF_OK(back_up(path("src")));
    repository_.reset();
    // Storage that is not ours to trust: it needs no password to be as long as it likes.
    const std::uint64_t huge = std::uint64_t(8) << 30;
    for (const char* folder : {"index", "snapshots", "locks", "keys", "data/aa"}) {
        const std::string name = repo_path() + '/' + folder + '/' + std::string(64, 'a');
        HF_OK(os::write_file(name, as_bytes("x"), 0600));
        ASSERT_EQ(::truncate(name.c_str(), static_cast<off_t>(huge)), 0);
    }
    const std::string pack = [&] {
        reopen();
        const auto packs = files_of(FileKind::pack);
        for (const std::string& one : packs)
            if (one.find("/aa/aaaa") == std::string::npos) return one;
        return std::string();
    }();
    repository_.reset();
    ASSERT_EQ(::chmod(pack.c_str(), 0600), 0);
    ASSERT_EQ(::truncate(pack.c_str(), static_cast<off_t>(huge)), 0);
    const int ended = in_a_small_room(std::uint64_t(400) << 20, [&] {
        auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
        if (!opened) return 1;
        // The lock may be anybody's, until somebody says that it is not.
        const auto locked = (*opened)->lock(LockMode::shared);
        if (locked || locked.error().code != ErrorCode::locked) return 5;
        if (!unlock(**opened, true)) return 6;
        const auto report = check(**opened, {.read_data = true, .progress = {}});
        if (!report) return 2;
        if (report->ok() || report->errors.size() < 3) return 3;
        const auto found = (*opened)->find_snapshot("latest");
        if (!found) return 4;
        return 0;
    });
    EXPECT_EQ(ended, 0);
}

TEST_F(Hostile, ATableThatClaimsMoreThanAnyBlobHoldsTakesNoMemory) {
    init();
    write("src/a", std::string(300'000, 'a'));
    HF_OK(back_up(path("src")));
    // An index of ours, with lengths of our own making.
    std::vector<std::string> indexes = files_of(FileKind::index);
    ASSERT_EQ(indexes.size(), 1u);
    const Id id = *Id::parse(os::file_name(indexes[0]));
    auto packs = format::decode_index(repository_->read_document({FileKind::index, id}).value(), "index");
    HF_OK(packs);
    for (format::IndexPack& one : *packs)
        for (format::PackedBlob& blob : one.blobs) blob.uncompressed_length = UINT32_MAX;
    HF_OK(repository_->write_document(FileKind::index, format::encode_index(*packs)));
    ASSERT_EQ(::unlink(indexes[0].c_str()), 0);
    repository_.reset();
    const int ended = in_a_small_room(std::uint64_t(400) << 20, [&] {
        auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
        if (!opened) return 1;
        const auto report = check(**opened, {.read_data = true, .progress = {}});
        if (!report || report->ok()) return 2;
        const auto loaded = (*opened)->load_index(true);
        return !loaded && loaded.error().code == ErrorCode::corrupt ? 0 : 3;
    });
    EXPECT_EQ(ended, 0);
}
#endif

TEST_F(Hostile, KeyFilesThatCostMinutesOrGigabytesAreRefusedAtOnce) {
    init();
    const auto keys = files_of(FileKind::key);
    ASSERT_EQ(keys.size(), 1u);
    const std::string good = read("repo/keys/" + os::file_name(keys[0]));
    repository_.reset();
    for (const char* cost :
         {R"("N":1073741824,"r":8,"p":1)", R"("N":1024,"r":1073741824,"p":1)", R"("N":1024,"r":8,"p":1073741824)",
          R"("N":1048576,"r":4,"p":64)", R"("N":18446744073709551615,"r":8,"p":1)", R"("N":1000,"r":8,"p":1)",
          R"("N":0,"r":0,"p":0)"}) {
        std::string bad = good;
        const std::size_t from = bad.find("\"N\":"), to = bad.find(",\"salt\"");
        ASSERT_TRUE(from != std::string::npos && to != std::string::npos) << good;
        bad.replace(from, to - from, cost);
        ASSERT_EQ(::unlink(keys[0].c_str()), 0);
        const std::string place = repo_path() + "/keys/" + format::sha256(as_bytes(bad)).hex();
        HF_OK(os::write_file(place, as_bytes(bad)));
        auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
        EXPECT_FALSE(opened) << cost;
        if (!opened) {
            EXPECT_NE(opened.error().code, ErrorCode::wrong_password) << cost;
        }
        ASSERT_EQ(::unlink(place.c_str()), 0);
        HF_OK(os::write_file(keys[0], as_bytes(good)));
    }
    reopen();
}

}    // namespace
}    // namespace holdfast::vault
