// Damage of every kind, and what brings it back.

#include "holdfast/vault/heal.hpp"

#include <fcntl.h>

#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/mirror.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using storage::FileName;

class HealTest : public VaultTest {
protected:
    void SetUp() override {
        init();
        write("src/a", noise(2'500'000, 1));
        write("src/sub/b", std::string(300'000, 'b') + noise(100'000, 2));
        HF_OK(back_up(path("src")));
        write("src/c", noise(200'000, 3));
        HF_OK(back_up(path("src")));
        mirror_ = storage::local_backend(path("mirror"));
        source_ = mirror_source("far", *mirror_);
    }
    void mirror_now() {
        MirrorMemory memory;
        HF_OK(sync_mirror(*repository_, *mirror_, memory, {}));
        options_.sources = {source_.get()};
        options_.live_files = false;
        before_ = content(repo_path());
    }
    // Names and hashes: what lies there, without times.
    static std::string content(const std::string& folder) {
        return sh("cd \"$1\" && find . -type f ! -path './locks/*' ! -path './parity/*' -exec sha256sum {} + | sort -k "
                  "2",
                  {folder})
            .output;
    }
    HealReport heal_now() {
        options_.aside_folder = path("aside");
        HealReport report;
        repository_.reset();
        auto opened = open_healing(
            [&]() -> Result<std::unique_ptr<storage::Backend>> { return storage::local_backend(repo_path()); },
            Secret(k_password), clock_, options_, report);
        EXPECT_TRUE(opened) << error_text(opened.error());
        if (!opened) return report;
        repository_ = *std::move(opened);
        const auto healed = heal(*repository_, options_, report);
        EXPECT_TRUE(healed) << error_text(healed.error());
        return report;
    }
    void expect_as_before(const HealReport& report) {
        EXPECT_TRUE(report.well()) << all_of(report.errors_left) << all_of(report.not_healed);
        EXPECT_EQ(content(repo_path()), before_);
        EXPECT_EQ(report.aside_folder, "");
        EXPECT_FALSE(os::exists(path("aside")));
    }
    void expect_restores() {
        HF_OK(os::remove_tree(path("out")));
        HF_OK(restore_latest("out"));
        EXPECT_EQ(listing(path("out") + path("src")), listing(path("src")));
    }
    std::vector<std::string> all_files() {
        std::vector<std::string> all{repo_path() + "/config"};
        for (const FileKind kind : {FileKind::key, FileKind::index, FileKind::snapshot, FileKind::pack})
            std::ranges::move(files_of(kind), std::back_inserter(all));
        return all;
    }

    std::unique_ptr<storage::Backend> mirror_;
    std::unique_ptr<FileSource> source_;
    HealOptions options_;
    std::string before_;
};

TEST_F(HealTest, AWholeRepositoryIsLeftAlone) {
    mirror_now();
    const HealReport report = heal_now();
    EXPECT_TRUE(report.healed.empty());
    expect_as_before(report);
}

TEST_F(HealTest, EveryFileDamagedOrMissingComesBackFromAMirror) {
    mirror_now();
    for (const std::string& file : all_files()) {
        for (const bool missing : {false, true}) {
            // A snapshot that is missing may have been forgotten.
            options_.missing_snapshots = missing && file.find("/snapshots/") != std::string::npos;
            if (missing) {
                ASSERT_TRUE(sh("rm \"$1\"", {file}).ok);
            } else {
                flip_byte(file);
            }
            const HealReport report = heal_now();
            SCOPED_TRACE(file + (missing ? " missing" : " damaged"));
            EXPECT_EQ(report.healed.size(), 1u);
            if (!report.healed.empty()) {
                EXPECT_EQ(report.healed[0].from, "mirror far");
            }
            expect_as_before(report);
        }
    }
    expect_restores();
}

TEST_F(HealTest, ARepositoryThatLostEverythingComesBack) {
    mirror_now();
    for (const std::string& file : all_files()) ASSERT_TRUE(sh("rm \"$1\"", {file}).ok);
    options_.missing_snapshots = true;
    expect_as_before(heal_now());
    expect_restores();
}

TEST_F(HealTest, AForgottenSnapshotStaysForgotten) {
    mirror_now();
    const auto oldest = repository_->snapshots()->front().id;
    HF_OK(repository_->backend().remove({FileKind::snapshot, oldest}));
    const HealReport report = heal_now();
    EXPECT_TRUE(report.well());
    ASSERT_EQ(report.snapshots_elsewhere.size(), 1u);
    EXPECT_EQ(report.snapshots_elsewhere[0], oldest.brief() + " (mirror far)");
    EXPECT_EQ(repository_->snapshots()->size(), 1u);
}

TEST_F(HealTest, DamageAtBothEndsIsNotTakenOver) {
    mirror_now();
    const std::string pack = files_of(FileKind::pack).at(0);
    flip_byte(pack);
    flip_byte(path("mirror") + pack.substr(repo_path().size()), 7);
    const std::string damaged = content(repo_path());
    const HealReport report = heal_now();
    EXPECT_FALSE(report.well());
    EXPECT_EQ(report.not_healed.size(), 1u);
    EXPECT_EQ(content(repo_path()), damaged);
}

TEST_F(HealTest, AForeignMirrorsKeysAndConfigAreNotTakenOver) {
    InitOptions cheap;
    cheap.cost = {1024, 8, 1};
    const auto foreign = Repository::init(storage::local_backend(path("mirror")), Secret(k_password), clock_, cheap);
    HF_OK(foreign);
    options_.sources = {source_.get()};
    for (const std::string& key : files_of(FileKind::key)) ASSERT_TRUE(sh("rm \"$1\"", {key}).ok);
    const std::string before = content(repo_path());
    HealReport report;
    repository_.reset();
    const auto opened =
        open_healing([&]() -> Result<std::unique_ptr<storage::Backend>> { return storage::local_backend(repo_path()); },
                     Secret(k_password), clock_, options_, report);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::corrupt);
    EXPECT_EQ(content(repo_path()), before);
    EXPECT_TRUE(report.healed.empty());
}

TEST_F(HealTest, LostContentIsMadeAnewFromTheLiveFiles) {
    std::vector<std::string> data;
    for (const format::IndexPack& pack : repository_->state().index.packs())
        if (pack.blobs[0].type == format::BlobType::data)
            data.push_back(repo_path() + '/' + storage::relative_path({FileKind::pack, pack.id}));
    // How many packs there are depends on how the workers shared the chunks.
    ASSERT_FALSE(data.empty());
    for (std::size_t i = 0; i < data.size(); ++i) {
        if (i % 3 == 0) flip_byte(data[i]);
        if (i % 3 == 1) {
            ASSERT_TRUE(sh("rm \"$1\"", {data[i]}).ok);
        }
        if (i % 3 == 2) {
            ASSERT_TRUE(sh("truncate -s 1000 \"$1\"", {data[i]}).ok);
        }
    }
    const HealReport report = heal_now();
    EXPECT_TRUE(report.well()) << all_of(report.errors_left);
    EXPECT_FALSE(report.healed.empty());
    expect_restores();
    EXPECT_TRUE(sh("restic -r \"$1\" check --read-data", {repo_path()}).ok);
}

TEST_F(HealTest, WhatIsLostForGoodIsListedExactly) {
    // The live files are gone but one.
    std::vector<Id> packs;
    for (const format::IndexPack& pack : repository_->state().index.packs())
        if (pack.blobs[0].type == format::BlobType::data) packs.push_back(pack.id);
    for (const Id& id : packs)
        ASSERT_TRUE(sh("rm \"$1\"", {repo_path() + '/' + storage::relative_path({FileKind::pack, id})}).ok);
    ASSERT_TRUE(sh("rm \"$1\" \"$2\"", {path("src/a"), path("src/c")}).ok);
    const HealReport report = heal_now();
    EXPECT_FALSE(report.well());
    const auto snapshots = repository_->snapshots();
    const std::string first = (*snapshots)[0].id.brief(), second = (*snapshots)[1].id.brief();
    EXPECT_EQ(report.lost_files, (std::vector{path("src/a") + " (in " + first + ", " + second + ")",
                                              path("src/c") + " (in " + second + ")"}));
    EXPECT_TRUE(report.lost_trees.empty());
    // The rest restores.
    HF_OK(repository_->load_index(true));
    const auto node = repository_->find_node((*snapshots)[1].snapshot.tree, path("src/sub/b"));
    HF_OK(node);
    std::string got;
    HF_OK(read_content(*repository_, *node, [&](ByteView bytes) -> Status {
        got += as_text(bytes);
        return {};
    }));
    EXPECT_EQ(got, read("src/sub/b"));
}

TEST_F(HealTest, AnIndexThatNobodyHasIsMadeFromThePacks) {
    for (const std::string& index : files_of(FileKind::index)) flip_byte(index);
    HealReport report = heal_now();
    EXPECT_TRUE(report.well()) << all_of(report.errors_left);
    expect_restores();
    for (const std::string& index : files_of(FileKind::index)) ASSERT_TRUE(sh("rm \"$1\"", {index}).ok);
    report = heal_now();
    EXPECT_TRUE(report.well()) << all_of(report.errors_left);
    expect_restores();
    EXPECT_TRUE(sh("restic -r \"$1\" check --read-data", {repo_path()}).ok);
}

class HealEveryByte : public VaultTest {
protected:
    void SetUp() override {
        // As small as a repository can be.
        init();
        write("src/a", "open, high, low, close");
        write("src/b", std::string(300, 'b'));
        HF_OK(back_up(path("src")));
        files_.push_back(repo_path() + "/config");
        for (const FileKind kind : {FileKind::key, FileKind::index, FileKind::snapshot, FileKind::pack})
            std::ranges::move(files_of(kind), std::back_inserter(files_));
    }
    static bool overwrite(const std::string& file, const Bytes& bytes) {
        const auto fd = os::open_file(file, O_WRONLY | O_TRUNC);
        return fd && os::write_all(fd->get(), bytes);
    }
    // Opening fails, or check complains; and whatever can be read is right. Only config and keys are read by opening.
    bool is_seen(const std::string& file, const std::string& where) {
        if (file.ends_with("/config") || file.find("/keys/") != std::string::npos) {
            const auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
            return !opened && opened.error().code == ErrorCode::corrupt;
        }
        const auto report = check(*repository_, {.read_data = true, .progress = {}});
        if (!report || report->ok()) return false;
        if (!repository_->load_index(true)) return true;
        const auto latest = repository_->find_snapshot("latest");
        if (!latest) return latest.error().code == ErrorCode::corrupt || latest.error().code == ErrorCode::not_found;
        for (const char* name : {"src/a", "src/b"}) {
            const auto node = repository_->find_node(latest->snapshot.tree, path(name));
            const auto got = node ? read_small(*repository_, *node) : Result<Bytes>(fail(node.error()));
            if (got) {
                EXPECT_EQ(as_text(*got), read(name)) << where;
            }
        }
        return true;
    }
    std::vector<std::string> files_;
};

// Opening, checking and reading for every byte of every file; healing, the slow part, for the first and last bytes of
// each file and some between.
TEST_F(HealEveryByte, IsSeenReadNowhereAndMended) {
    auto mirror = storage::local_backend(path("mirror"));
    MirrorMemory memory;
    HF_OK(sync_mirror(*repository_, *mirror, memory, {}));
    const auto source = mirror_source("far", *mirror);
    HealOptions options;
    options.sources = {source.get()};
    options.live_files = false;
    options.aside_folder = path("aside");
    std::size_t flips = 0, heals = 0;
    for (const std::string& file : files_) {
        const Bytes good = os::read_file(file).value();
        for (std::size_t at = 0; at < good.size(); ++at) {
            const std::string where = file + " at " + std::to_string(at);
            Bytes bad = good;
            bad[at] ^= std::byte(1 << (at % 8));
            ASSERT_TRUE(overwrite(file, bad));
            ++flips;
            ASSERT_TRUE(is_seen(file, where)) << where;
            if (at > 1 && at + 2 < good.size() && at % 61 != 0) {
                ASSERT_TRUE(overwrite(file, good));
                continue;
            }
            ++heals;
            HealReport report;
            const auto opened = open_healing(
                [&]() -> Result<std::unique_ptr<storage::Backend>> { return storage::local_backend(repo_path()); },
                Secret(k_password), clock_, options, report);
            HF_OK(opened);
            HF_OK(heal(**opened, options, report));
            ASSERT_TRUE(report.well()) << where << all_of(report.errors_left);
            ASSERT_EQ(os::read_file(file).value(), good) << where;
        }
    }
    EXPECT_GT(flips, 1500u);
    EXPECT_GT(heals, 40u);
}

}    // namespace
}    // namespace holdfast::vault
