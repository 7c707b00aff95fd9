// A single disk with parity beside the repository: what it brings back, and what it says when it cannot.

#include "holdfast/vault/parity.hpp"

#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/heal.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using storage::FileName;

class ParityTest : public VaultTest {
protected:
    void SetUp() override {
        init();
        for (int i = 0; i < 6; ++i) write("src/f" + std::to_string(i), noise(1'200'000, static_cast<std::uint64_t>(i)));
        HF_OK(back_up(path("src")));
        options_.folder = repo_path() + "/parity";
        options_.block_size = 16u << 10;
        options_.percent = 20;
    }
    ParityReport update() {
        const auto report = update_parity(*repository_, options_);
        EXPECT_TRUE(report) << error_text(report.error());
        return report.value_or(ParityReport{});
    }
    ParityCheck verify() {
        const auto report = verify_parity(*storage::local_backend(repo_path()), options_.folder);
        EXPECT_TRUE(report) << error_text(report.error());
        return report.value_or(ParityCheck{});
    }
    HealReport repair() {
        HealReport report;
        const auto backend = storage::local_backend(repo_path());
        auto source = parity_source(*backend, options_.folder);
        EXPECT_TRUE(source);
        HealOptions options;
        options.sources = {source->get()};
        options.live_files = false;
        options.missing_snapshots = missing_snapshots_;
        options.aside_folder = path("aside");
        repository_.reset();
        auto opened = open_healing(
            [&]() -> Result<std::unique_ptr<storage::Backend>> { return storage::local_backend(repo_path()); },
            Secret(k_password), clock_, options, report);
        EXPECT_TRUE(opened) << error_text(opened.error());
        if (!opened) return report;
        repository_ = *std::move(opened);
        const auto status = heal(*repository_, options, report);
        EXPECT_TRUE(status) << error_text(status.error());
        return report;
    }
    static std::string content(const std::string& folder) {
        return sh("cd \"$1\" && find . -type f ! -path './locks/*' ! -path './parity/*' -exec sha256sum {} + | sort -k "
                  "2",
                  {folder})
            .output;
    }
    std::vector<std::string> all_files() {
        std::vector<std::string> all{repo_path() + "/config"};
        for (const FileKind kind : {FileKind::key, FileKind::index, FileKind::snapshot, FileKind::pack})
            std::ranges::move(files_of(kind), std::back_inserter(all));
        return all;
    }
    ParityOptions options_;
    bool missing_snapshots_ = false;
};

TEST_F(ParityTest, EveryFileDamagedOrMissingComesBack) {
    update();
    EXPECT_TRUE(verify().ok());
    const std::string before = content(repo_path());
    const char* damages[] = {"rm \"$1\"", "truncate -s 10 \"$1\"", "head -c 100 /dev/urandom >> \"$1\"",
                             "head -c 70000 /dev/zero | dd of=\"$1\" conv=notrunc status=none"};
    std::size_t next = 0;
    for (const std::string& file : all_files()) {
        // Each file meets two of them.
        for (int i = 0; i < 2; ++i) {
            const char* damage = damages[next++ % 4];
            ASSERT_TRUE(sh(damage, {file}).ok);
            missing_snapshots_ = !os::exists(file);
            EXPECT_FALSE(verify().ok()) << damage;
            const HealReport report = repair();
            EXPECT_TRUE(report.well()) << file << ' ' << damage << '\n' << all_of(report.errors_left);
            EXPECT_EQ(content(repo_path()), before) << file << ' ' << damage;
        }
        ++next;
    }
}

TEST_F(ParityTest, ResticDoesNotMindIt) {
    update();
    EXPECT_TRUE(sh("restic -r \"$1\" check --read-data", {repo_path()}).ok);
    ASSERT_TRUE(sh("restic -r \"$1\" backup \"$2\" && restic -r \"$1\" forget --keep-last 1 --prune",
                   {repo_path(), path("src/f0")})
                    .ok);
    EXPECT_TRUE(sh("restic -r \"$1\" check --read-data", {repo_path()}).ok);
    EXPECT_FALSE(files_of(FileKind::pack).empty());
    update();
    EXPECT_TRUE(verify().ok());
}

TEST_F(ParityTest, ManySmallDamagesAllOverAreRepaired) {
    update();
    const std::string before = content(repo_path());
    std::mt19937_64 random(4);
    // In each large pack another block is hurt: more files than parity shards, but never two at one place. (How many packs there are,
    // and which of them are small and so in a group of their own, is the pipeline's timing.)
    std::uint64_t block = 1;    // the first one of a parity file is hurt below
    for (const std::string& pack : files_of(FileKind::pack)) {
        const std::uint64_t size = os::read_file(pack).value().size();
        if (size < 500'000) continue;
        flip_byte(pack, block++ * options_.block_size + random() % 1000);
    }
    EXPECT_GT(block, 3u);
    // And a byte in the header of one of their parity files.
    const auto parity = os::list_folder(options_.folder).value();
    std::string largest;
    std::uint64_t most = 0;
    for (const std::string& name : parity)
        if (const std::uint64_t size = os::read_file(options_.folder + '/' + name).value().size(); size > most)
            most = size, largest = name;
    flip_byte(options_.folder + '/' + largest, 40);
    const HealReport report = repair();
    EXPECT_TRUE(report.well()) << all_of(report.errors_left);
    EXPECT_EQ(content(repo_path()), before);
    options_.reread = true;
    update();
    EXPECT_TRUE(verify().ok()) << all_of(verify().repairable);
}

TEST_F(ParityTest, BeyondTheShareTheLossIsToldExactly) {
    update();
    std::vector<std::string> large;
    for (const std::string& pack : files_of(FileKind::pack))
        if (os::read_file(pack).value().size() > 1'000'000) large.push_back(pack);
    ASSERT_GE(large.size(), 4u);
    for (const std::string& pack : large) ASSERT_TRUE(sh("rm \"$1\"", {pack}).ok);
    // One that is alone in its group (about one size) comes back; how many there are is the pipeline's timing.
    const std::string beyond = all_of(verify().beyond_repair);
    const HealReport report = repair();
    EXPECT_FALSE(report.well());
    EXPECT_GE(report.not_healed.size(), 2u);
    const std::string told = all_of(report.not_healed);
    for (const std::string& pack : large) {
        const std::string id = pack.substr(pack.rfind('/') + 1, 8);
        EXPECT_NE(told.find(id) == told.npos, !os::exists(pack)) << pack << '\n' << told;
        EXPECT_NE(beyond.find(id) == beyond.npos, !os::exists(pack)) << pack << '\n' << beyond;
    }
    EXPECT_FALSE(report.lost_files.empty());
}

TEST_F(ParityTest, ItFollowsTheRepository) {
    const ParityReport first = update();
    EXPECT_GT(first.groups_made, 0u);
    EXPECT_EQ(update().groups_made, 0u);
    write("src/new", noise(1'500'000, 77));
    HF_OK(back_up(path("src")));
    EXPECT_GT(verify().uncovered, 0u);
    const ParityReport second = update();
    EXPECT_GT(second.files, first.files);
    EXPECT_TRUE(verify().ok());
    // Deleted by a prune: the group is made anew without it.
    ASSERT_TRUE(sh("rm \"$1\"", {path("src/f1")}).ok);
    HF_OK(back_up(path("src")));
    ASSERT_TRUE(sh("restic -r \"$1\" forget --keep-last 1 --prune", {repo_path()}).ok);
    reopen();
    update();
    EXPECT_TRUE(verify().ok()) << all_of(verify().repairable) << all_of(verify().beyond_repair);
    const std::string before = content(repo_path());
    ASSERT_TRUE(sh("rm \"$1\"", {files_of(FileKind::pack).at(0)}).ok);
    EXPECT_TRUE(repair().well());
    EXPECT_EQ(content(repo_path()), before);
}

TEST_F(ParityTest, ALostPackDoesNotLoseItsParityByAnUpdate) {
    update();
    const std::string before = content(repo_path());
    const std::string pack = files_of(FileKind::pack).at(0);
    ASSERT_TRUE(sh("rm \"$1\"", {pack}).ok);
    write("src/new", noise(1'500'000, 77));
    const ParityReport report = update();
    EXPECT_EQ(report.lost.size(), 1u);
    EXPECT_TRUE(repair().well());
    EXPECT_EQ(content(repo_path()), before);
}

TEST_F(ParityTest, ADamagedPackIsNeverTakenForGood) {
    update();
    const std::string before = content(repo_path());
    const auto packs = files_of(FileKind::pack);
    flip_byte(packs.at(0));
    options_.percent = 250;    // so that every group is made anew, also one of a single file
    const ParityReport report = update();
    EXPECT_EQ(report.damaged.size(), 1u);
    const Bytes bad = os::read_file(packs.at(0)).value();
    EXPECT_TRUE(repair().well());
    EXPECT_FALSE(os::read_file(packs.at(0)).value() == bad);
}

TEST_F(ParityTest, KilledAtAnyMomentItStillRepairs) {
    update();
    repository_.reset();
    RandomKills kills(8);
    for (int round = 0; round < 20; ++round) {
        reopen();
        write("src/more" + std::to_string(round), noise(400'000, static_cast<std::uint64_t>(500 + round)));
        HF_OK(back_up(path("src")));
        repository_.reset();
        kills.run([&] {
            auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
            return opened && update_parity(**opened, options_);
        });
        // What was covered before still is: parity that is replaced goes last.
        const ParityCheck check = verify();
        EXPECT_TRUE(check.beyond_repair.empty()) << all_of(check.beyond_repair);
    }
    EXPECT_GT(kills.count(), 3);
    reopen();
    update();
    EXPECT_TRUE(verify().ok()) << all_of(verify().repairable);
    EXPECT_EQ(sh("ls \"$1\" | grep -c tmp", {options_.folder}).output, "0\n");
}

// Each byte of a small repository, one at a time, comes back from parity: sampled, the mirror's test does the rest.
TEST_F(ParityTest, AFlippedByteAnywhereComesBackIdentical) {
    repository_.reset();
    HF_OK(os::remove_tree(repo_path()));
    init();
    HF_OK(os::remove_tree(path("src")));
    write("src/a", "open, high, low, close");
    write("src/b", std::string(300, 'b'));
    HF_OK(back_up(path("src")));
    update();
    for (const std::string& file : all_files()) {
        const Bytes good = os::read_file(file).value();
        for (std::size_t at = 0; at < good.size(); at += 1 + good.size() / 7) {
            flip_byte(file, at);
            EXPECT_TRUE(repair().well()) << file << ' ' << at;
            ASSERT_TRUE(os::read_file(file).value() == good) << file << ' ' << at;
        }
    }
}

TEST_F(ParityTest, AForgottenSnapshotsParityIsKeptForAWhile) {
    update();
    write("src/new", noise(100'000, 77));
    HF_OK(back_up(path("src")));
    update();
    const auto oldest = repository_->snapshots()->front().id;
    HF_OK(repository_->backend().remove({FileKind::snapshot, oldest}));
    update();
    const auto old = [&] { return sh("ls \"$1\" | grep -c old$", {options_.folder}).output; };
    EXPECT_NE(old(), "0\n");
    // Asked for, it comes back.
    missing_snapshots_ = true;
    EXPECT_TRUE(repair().well());
    EXPECT_EQ(repository_->snapshots()->size(), 2u);
    options_.keep_old = Duration(0);
    update();
    EXPECT_EQ(old(), "0\n");
}

TEST_F(ParityTest, ParityOfAnotherRepositoryIsLeftAlone) {
    update();
    repository_.reset();
    InitOptions cheap;
    cheap.cost = {1024, 8, 1};
    const auto other = Repository::init(storage::local_backend(path("other")), Secret(k_password), clock_, cheap);
    HF_OK(other);
    HF_OK(update_parity(**other, options_));
    reopen();
    EXPECT_EQ(update().groups_made, 0u);
}

}    // namespace
}    // namespace holdfast::vault
