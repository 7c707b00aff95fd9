// Large packs (restic writes up to 128 MiB) are never in memory as a whole: not while they are looked through, not while
// their blobs are saved, not while they are copied aside.

#include <fstream>

#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/heal.hpp"
#include "holdfast/vault/repair_packs.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool k_memory_is_ours = false;    // the sanitizers' own shadow would be measured
#else
constexpr bool k_memory_is_ours = true;
#endif

constexpr std::size_t k_size = std::size_t(128) << 20;
constexpr std::uint64_t k_grown_max = std::uint64_t(100) << 20;

// Of this process, from /proc: "VmRSS" now, "VmHWM" at its peak.
std::uint64_t bytes_of(const std::string& key) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1)) * 1024;
    return 0;
}

class PackMemory : public VaultTest {
protected:
    // One pack of 128 MiB, damaged in one blob in its middle.
    void SetUp() override {
        init();
        {
            const std::string content = noise(k_size - (std::size_t(2) << 20));
            write("src/large", content);
        }
        BackupOptions options;
        options.workers = 1;
        options.pack_size_target = k_size;
        HF_OK(back_up(path("src"), nullptr, options));
        HF_OK(repository_->load_index(true));
        for (const format::IndexPack& pack : repository_->state().index.packs())
            if (format::pack_size(pack.blobs) > pack_.size) pack_ = {pack.id, format::pack_size(pack.blobs)};
        ASSERT_GT(pack_.size, k_size * 9 / 10) << "the pack was cut";
        HF_OK(os::write_file(path("whole"), as_bytes("")));
        ASSERT_TRUE(sh("cp \"$1\" \"$2\"; chmod u+w \"$1\"; printf xxxxxxxx | dd of=\"$1\" bs=1 seek=60000000 "
                       "conv=notrunc status=none",
                       {file(), path("whole")})
                        .ok);
    }
    std::string file() const { return repo_path() + '/' + storage::relative_path({storage::FileKind::pack, pack_.id}); }
    template <class Do>
    void expect_little_memory(Do&& work) {
        const std::uint64_t before = bytes_of("VmRSS");
        std::ofstream("/proc/self/clear_refs") << "5";
        work();
        if (k_memory_is_ours) {
            EXPECT_LT(bytes_of("VmHWM"), before + k_grown_max);
        }
    }
    struct {
        Id id;
        std::uint64_t size = 0;
    } pack_;
};

TEST_F(PackMemory, RepairPacks) {
    RepairPacksOptions options;
    options.save_to = path("saved");
    expect_little_memory([&] {
        const auto report = repair_packs(*repository_, options);
        HF_OK(report);
        ASSERT_EQ(report->damaged, std::vector<Id>{pack_.id});
        EXPECT_EQ(report->lost.size(), 1u);
        EXPECT_GT(report->blobs_saved, 20u);
        ASSERT_EQ(report->copies.size(), 1u);
    });
    EXPECT_EQ(os::status_of(path("saved/pack-") + pack_.id.hex())->st_size, static_cast<off_t>(pack_.size));
}

TEST_F(PackMemory, HealFromItsOwnBlobsAndTheLiveFile) {
    HealOptions options;
    options.aside_folder = path("aside");
    HealReport report;
    expect_little_memory([&] { HF_OK(heal(*repository_, options, report)); });
    EXPECT_TRUE(report.well());
    reopen();
    EXPECT_TRUE(checked(true).ok());
}

}    // namespace
}    // namespace holdfast::vault
