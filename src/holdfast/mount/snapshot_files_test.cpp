#include "holdfast/mount/snapshot_files.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/storage/local.hpp"
#include "holdfast/vault/backup.hpp"

namespace holdfast::mount {
namespace {

class Files : public ::testing::Test {
protected:
    void SetUp() override {
        vault::InitOptions init;
        init.cost = {1024, 8, 1};
        auto made =
            vault::Repository::init(storage::local_backend(folder_.path() + "/repo"), Secret("secret"), clock_, init);
        ASSERT_TRUE(made);
        repository_ = *std::move(made);
        const std::string src = folder_.path() + "/src";
        ASSERT_TRUE(os::make_folders(src + "/sub"));
        std::mt19937_64 random(1);
        content_.resize(6'000'000);
        for (std::size_t i = 0; i < content_.size(); i += 8) {
            const std::uint64_t word = random();
            std::memcpy(content_.data() + i, &word, 8);
        }
        ASSERT_TRUE(os::write_file(src + "/large", as_bytes(content_)));
        ASSERT_EQ(::link((src + "/large").c_str(), (src + "/sub/hard").c_str()), 0);
        auto backup = vault::Backup::start(*repository_, {});
        ASSERT_TRUE(backup);
        ASSERT_TRUE((*backup)->add_path(src));
        ASSERT_TRUE((*backup)->commit());
    }
    void open(FilesOptions options = {}) {
        ASSERT_TRUE(repository_->load_index(true));
        auto entries = repository_->snapshots();
        ASSERT_TRUE(entries);
        options.templates.paths = {"s/%i"};
        auto made = SnapshotFiles::make(*repository_, *entries, options);
        ASSERT_TRUE(made) << made.error().message;
        files_ = *std::move(made);
    }
    InodeNumber walk(const std::string& below_src) {
        InodeNumber at = k_root;
        const std::string id = repository_->snapshots()->front().id.brief();
        const std::string path = "s/" + id + folder_.path() + "/src" + below_src;
        for (std::size_t from = 0; from <= path.size();) {
            const std::size_t end = std::min(path.find('/', from), path.size());
            if (end > from) {
                const auto found = files_->lookup(at, path.substr(from, end - from));
                EXPECT_TRUE(found) << path.substr(0, end);
                if (!found) return 0;
                looked_up_.push_back(found->number);
                at = found->number;
            }
            from = end + 1;
        }
        return at;
    }

    os::SystemClock clock_;
    os::TempFolder folder_ = os::TempFolder::create("hf-mount", "/dev/shm").value();
    std::unique_ptr<vault::Repository> repository_;
    std::unique_ptr<SnapshotFiles> files_;
    std::vector<InodeNumber> looked_up_;
    std::string content_;
};

TEST_F(Files, TwoNamesOfOneFileHaveOneNumber) {
    open();
    const InodeNumber large = walk("/large");
    EXPECT_EQ(walk("/sub/hard"), large);
    EXPECT_EQ(files_->attributes(large)->st.st_nlink, 2u);
    const auto listing = files_->list(walk(""));
    ASSERT_TRUE(listing);
    for (const auto& item : **listing) {
        if (item.name != "large") continue;
        EXPECT_EQ(item.number, large);
    }
}
TEST_F(Files, WhatTheKernelForgetsIsGone) {
    open();
    walk("/sub/hard");
    walk("/large");
    EXPECT_GT(files_->inodes_held(), 3u);
    for (const InodeNumber number : looked_up_) files_->forget(number, 1);
    EXPECT_EQ(files_->inodes_held(), 1u);
    EXPECT_EQ(files_->lookup(k_root, "nothing").error().code, ErrorCode::not_found);
    files_->forget(k_root, 1000);
    EXPECT_TRUE(files_->attributes(k_root));
}
TEST_F(Files, AnyPartReadsAsItWasSavedWithinTheBound) {
    FilesOptions options;
    options.blob_bytes_max = 2'500'000;
    open(options);
    const auto file = files_->open(walk("/large"));
    ASSERT_TRUE(file);
    std::mt19937_64 random(2);
    for (int i = 0; i < 60; ++i) {
        const std::uint64_t offset = random() % content_.size();
        const std::size_t size = random() % 700'000;
        const auto read = files_->read(**file, offset, size);
        ASSERT_TRUE(read);
        EXPECT_EQ(as_text(*read), content_.substr(offset, size));
        EXPECT_LE(files_->blob_bytes_held(), options.blob_bytes_max);
    }
    EXPECT_TRUE(files_->read(**file, content_.size(), 10)->empty());
    EXPECT_TRUE(files_->read(**file, content_.size() * 3, 10)->empty());
}
TEST_F(Files, ReadersOfOneFileAtOnceAllGetIt) {
    FilesOptions options;
    options.blob_bytes_max = 1'500'000;    // less than all of them want
    open(options);
    const InodeNumber number = walk("/large");
    std::vector<std::thread> readers;
    std::atomic<int> equal = 0;
    for (int i = 0; i < 4; ++i)
        readers.emplace_back([&, i] {
            const auto file = files_->open(number);
            std::string all;
            while (all.size() < content_.size()) {
                const auto read = files_->read(**file, all.size(), 131'072 + static_cast<std::size_t>(i));
                if (!read || read->empty()) return;
                all += as_text(*read);
            }
            if (all == content_) ++equal;
        });
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(equal, 4);
}
TEST_F(Files, DamageIsAnErrorOfTheReadNotOfTheMount) {
    open();
    const auto file = files_->open(walk("/large"));
    ASSERT_TRUE(file);
    const auto place = repository_->places(format::BlobType::data, (*file)->chunks.back()).at(0);
    const std::string pack = folder_.path() + "/repo/" + storage::relative_path({storage::FileKind::pack, place.pack});
    auto bytes = os::read_file(pack).value();
    bytes[place.blob.offset + 40] ^= std::byte(1);
    ASSERT_TRUE(os::write_file(pack, bytes));
    EXPECT_EQ(files_->read(**file, content_.size() - 10, 10).error().code, ErrorCode::corrupt);
    EXPECT_EQ(as_text(*files_->read(**file, 0, 10)), content_.substr(0, 10));
}

TEST_F(Files, WhatIsAboveTheSnapshotsFollowsTheRepository) {
    ASSERT_TRUE(repository_->load_index(true));
    const vault::SnapshotEntry first = repository_->snapshots()->front();
    std::vector<vault::SnapshotEntry> now{first};
    int looks = 0;
    FilesOptions options;
    options.templates.paths = {"s/%i", "t/%T"};
    options.reload_every = {};
    options.reload = [&]() -> Result<std::optional<std::vector<vault::SnapshotEntry>>> {
        ++looks;
        return now;
    };
    auto made = SnapshotFiles::make(*repository_, now, options);
    ASSERT_TRUE(made) << made.error().message;
    files_ = *std::move(made);
    const InodeNumber s = files_->lookup(k_root, "s")->number, t = files_->lookup(k_root, "t")->number;
    EXPECT_FALSE(files_->is_fixed(s));
    const auto shown = files_->lookup(s, first.id.brief());
    ASSERT_TRUE(shown);
    EXPECT_FALSE(shown->fixed);
    EXPECT_TRUE(files_->is_fixed(shown->number));
    const auto latest = files_->lookup(t, "latest");
    ASSERT_TRUE(latest);

    vault::SnapshotEntry second = first;
    second.id = format::sha256(as_bytes("second"));
    second.snapshot.time = {first.snapshot.time.nanoseconds + 3'600'000'000'000};
    now.push_back(second);
    EXPECT_EQ((*files_->list(s))->size(), 4u);    // with "." and ".."
    EXPECT_TRUE(files_->lookup(s, second.id.brief()));
    const auto later = files_->lookup(t, "latest");
    ASSERT_TRUE(later);
    EXPECT_NE(*files_->link_target(later->number), *files_->link_target(latest->number));
    // The numbers of what stays are the same.
    EXPECT_EQ(files_->lookup(s, first.id.brief())->number, shown->number);

    now.erase(now.begin());
    EXPECT_EQ(files_->lookup(s, first.id.brief()).error().code, ErrorCode::not_found);
    EXPECT_TRUE(files_->list(shown->number)) << "who stands in it may go on";
    EXPECT_GT(looks, 4);
}

TEST_F(Files, ARepositoryThatDoesNotAnswerShowsWhatWasThere) {
    ASSERT_TRUE(repository_->load_index(true));
    FilesOptions options;
    options.templates.paths = {"s/%i"};
    options.reload_every = {};
    options.reload = []() -> Result<std::optional<std::vector<vault::SnapshotEntry>>> {
        return fail(ErrorCode::unreachable, "no line");
    };
    auto made = SnapshotFiles::make(*repository_, *repository_->snapshots(), options);
    ASSERT_TRUE(made);
    files_ = *std::move(made);
    EXPECT_TRUE(files_->lookup(files_->lookup(k_root, "s")->number, repository_->snapshots()->front().id.brief()));
}

}    // namespace
}    // namespace holdfast::mount
