// The real restic beside us, on one repository: each reads, checks, extends and deduplicates what the other wrote.

#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class ResticPeer : public VaultTest {
protected:
    void SetUp() override {
        ASSERT_FALSE(os::find_program("restic").empty()) << "this test needs the restic program";
        const auto made = sh(R"SH(
            set -e; mkdir -p "$1/sub/empty"; cd "$1"
            head -c 5000000 /dev/urandom > random; seq 400000 > numbers; : > empty; printf a > 'quo"te <&> \ é'
            printf b > "$(printf 'bytes\377\001\177')"; ln -s random link; ln numbers sub/hard; mkfifo sub/pipe
            chmod 4711 numbers; chown 12:34 random; touch -d '2020-02-02T02:02:02.020202Z' random
            mkdir fill; i=0; while [ $i -lt 300 ]; do echo "file $i" > fill/$i; i=$((i+1)); done
        )SH",
                             {path("src")});
        ASSERT_TRUE(made.ok) << made.output;
        HF_OK(os::make_folders(path("tmp")));
    }
    Ran restic(const std::string& arguments) {
        return sh("restic --no-cache -r \"$1\" " + arguments, {repo_path(), path("src"), path("out-restic")});
    }
    std::uint64_t stored_bytes() {
        std::uint64_t sum = 0;
        EXPECT_TRUE(repository_->backend().list(FileKind::pack, [&](const Id&, std::uint64_t size) { sum += size; }));
        return sum;
    }
};

TEST_F(ResticPeer, ChecksAndRestoresWhatWeWrote) {
    init();
    HF_OK(back_up(path("src")));
    const auto checked_by_restic = restic("check --read-data");
    EXPECT_TRUE(checked_by_restic.ok) << checked_by_restic.output;
    EXPECT_NE(checked_by_restic.output.find("no errors were found"), std::string::npos) << checked_by_restic.output;
    const auto restored = restic("restore latest --target \"$3\"");
    ASSERT_TRUE(restored.ok) << restored.output;
    EXPECT_EQ(listing(path("out-restic") + path("src")), listing(path("src")));
}

TEST_F(ResticPeer, WritesWhatWeCheckAndRestore) {
    ASSERT_TRUE(restic("init").ok);
    ASSERT_TRUE(restic("backup \"$2\"").ok);
    reopen();
    const auto report = checked();
    EXPECT_TRUE(report.ok()) << all_of(report.errors);
    HF_OK(restore_latest("out"));
    EXPECT_EQ(listing(path("out") + path("src")), listing(path("src")));
}

TEST_F(ResticPeer, AddsNothingToWhatWeStored) {
    init();
    HF_OK(back_up(path("src")));
    const std::uint64_t before = stored_bytes();
    // Forced: all is read and cut anew, so equal blobs mean equal cuts.
    const auto forced = restic("backup --force \"$2\"");
    ASSERT_TRUE(forced.ok) << forced.output;
    EXPECT_LT(stored_bytes() - before, 20'000u) << forced.output;
    EXPECT_TRUE(restic("check --read-data").ok);
    // With our snapshot as parent no file is read.
    const auto unchanged = restic("backup \"$2\"");
    EXPECT_NE(unchanged.output.find("using parent snapshot"), std::string::npos) << unchanged.output;
    EXPECT_NE(unchanged.output.find("0 new,     0 changed"), std::string::npos) << unchanged.output;
}

TEST_F(ResticPeer, IsExtendedByUsWithAlmostNothing) {
    ASSERT_TRUE(restic("init").ok);
    ASSERT_TRUE(restic("backup \"$2\"").ok);
    reopen();
    const std::uint64_t before = stored_bytes();
    PathSummary summary;
    HF_OK(back_up(path("src"), &summary));    // its snapshot is our parent
    EXPECT_EQ(summary.files_unchanged, summary.files);
    // Trees of the folders above src may be new: others work in the temporary folder, and its mtime is in them.
    EXPECT_LT(stored_bytes() - before, 20'000u);
    {
        auto backup = Backup::start(*repository_, small_packs());    // no parent: all is cut anew
        HF_OK(backup);
        HF_OK((*backup)->add_path(path("src")));
        const auto outcome = (*backup)->commit();
        HF_OK(outcome);
        EXPECT_EQ(outcome->summary.data_blobs, 0u);
    }
    EXPECT_TRUE(restic("check --read-data").ok);
    const auto listed = restic("snapshots --json");
    EXPECT_EQ(std::count(listed.output.begin(), listed.output.end(), '{'), 3) << listed.output;
}

TEST_F(ResticPeer, PrunesRebuildsAndForgetsInOurRepository) {
    init();
    HF_OK(back_up(path("src")));
    write("src/later", noise(2'000'000, 3));
    HF_OK(back_up(path("src")));
    const auto forgot = restic("forget --keep-last 1 --prune");
    ASSERT_TRUE(forgot.ok) << forgot.output;
    for (const std::string& index : files_of(FileKind::index)) HF_OK(os::remove_tree(index));
    const auto rebuilt = restic("rebuild-index");
    ASSERT_TRUE(rebuilt.ok) << rebuilt.output;
    reopen();
    const auto report = checked();
    EXPECT_TRUE(report.ok()) << all_of(report.errors);
    HF_OK(restore_latest("out"));
    EXPECT_EQ(listing(path("out") + path("src")), listing(path("src")));
}

TEST_F(ResticPeer, PrunesBetweenTwoOfOurRunsInOneProcess) {
    init();
    write("src/later", noise(2'000'000, 3));
    HF_OK(back_up(path("src")));
    HF_OK(os::remove_tree(path("src/later")));
    HF_OK(back_up(path("src")));
    const auto forgot = restic("forget --keep-last 1 --prune");
    ASSERT_TRUE(forgot.ok) << forgot.output;
    // The same open repository, whose index still knew the blobs that are gone now.
    write("src/later", noise(2'000'000, 3));
    HF_OK(back_up(path("src")));
    const auto report = checked();
    EXPECT_TRUE(report.ok()) << all_of(report.errors);
    HF_OK(restore_latest("out"));
    EXPECT_EQ(listing(path("out") + path("src")), listing(path("src")));
}

TEST_F(ResticPeer, HonoursOurLocksAndWeHonourItsPassword) {
    init();
    {
        const auto lock = repository_->lock(LockMode::exclusive);
        HF_OK(lock);
        const auto refused = restic("backup \"$2\"");
        EXPECT_FALSE(refused.ok);
        EXPECT_NE(refused.output.find("locked exclusively"), std::string::npos) << refused.output;
    }
    const auto stream = Backup::start(*repository_, small_packs());
    HF_OK(stream);
    EXPECT_FALSE(restic("prune").ok);
    HF_OK((*stream)->add_file("dump/a", as_bytes(noise(1'000'000))));
    HF_OK((*stream)->commit());
    const auto dumped = restic("dump latest /dump/a | sha256sum");
    EXPECT_EQ(dumped.output.substr(0, 64), format::sha256(as_bytes(noise(1'000'000))).hex());
}

}    // namespace
}    // namespace holdfast::vault
