// The index, most of which lies in a file: it answers as a plain table would, also where that file finds no room.

#include "holdfast/vault/blob_index.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <thread>

#include "holdfast/base/log.hpp"
#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/pipeline.hpp"
#include "holdfast/vault/prune.hpp"
#include "holdfast/vault/removal.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using format::BlobType;

// What the index promises, written down plainly.
class Model {
public:
    std::size_t add(const format::IndexPack& pack) {
        const auto [at, is_new] = numbers_.try_emplace(pack.id, packs_.size());
        if (is_new) packs_.push_back({pack.id, {}});
        std::size_t known = 0;
        for (const format::PackedBlob& blob : pack.blobs) {
            const auto [from, to] = by_blob_.equal_range({blob.type, blob.id});
            const bool there = !is_new && std::any_of(from, to, [&](const auto& one) {
                return entries_[one.second].first == at->second && entries_[one.second].second.offset == blob.offset;
            });
            if (there) {
                ++known;
                continue;
            }
            by_blob_.emplace(std::pair(blob.type, blob.id), static_cast<std::uint32_t>(entries_.size()));
            entries_.emplace_back(at->second, blob);
            packs_[at->second].blobs.push_back(blob);
        }
        return known;
    }
    void expect_same(const BlobIndex& index) const {
        HF_OK(index.status());
        ASSERT_EQ(index.blob_count(), entries_.size());
        ASSERT_EQ(index.pack_count(), packs_.size());
        for (std::uint32_t n = 0; n < entries_.size(); ++n) {
            const auto& [pack, blob] = entries_[n];
            const auto [from, to] = by_blob_.equal_range({blob.type, blob.id});
            ASSERT_EQ(index.at(n).pack, pack);
            ASSERT_EQ(index.at(n).blob, blob);
            ASSERT_EQ(index.first_of(n), from->second);
            ASSERT_EQ(index.number(blob.type, blob.id), from->second);
            ASSERT_TRUE(index.has(blob.type, blob.id));
            const auto first = index.first_place(blob.type, blob.id);
            ASSERT_TRUE(first);
            ASSERT_EQ(std::tie(first->pack, first->offset),
                      std::tie(entries_[from->second].first, entries_[from->second].second.offset));
            const auto places = index.places(blob.type, blob.id);
            ASSERT_EQ(places.size(), static_cast<std::size_t>(std::distance(from, to)));
            std::size_t i = 0;
            for (auto one = from; one != to; ++one, ++i) {
                ASSERT_EQ(places[i].pack, packs_[entries_[one->second].first].id);
                ASSERT_EQ(places[i].blob, entries_[one->second].second);
            }
            const BlobType other = blob.type == BlobType::tree ? BlobType::data : BlobType::tree;
            ASSERT_EQ(index.has(other, blob.id), by_blob_.contains({other, blob.id}));
        }
        for (std::uint32_t n = 0; n < packs_.size(); ++n) {
            ASSERT_EQ(index.pack_id(n), packs_[n].id);
            ASSERT_EQ(index.pack_number(packs_[n].id), n);
        }
        const auto packs = index.packs();
        ASSERT_EQ(packs.size(), packs_.size());
        for (std::size_t i = 0; i < packs.size(); ++i) {
            ASSERT_EQ(packs[i].id, packs_[i].id);
            auto blobs = packs_[i].blobs;
            std::stable_sort(blobs.begin(), blobs.end(),
                             [](const auto& a, const auto& b) { return a.offset < b.offset; });
            ASSERT_EQ(packs[i].blobs.size(), blobs.size());
        }
    }

private:
    std::map<Id, std::size_t> numbers_;
    std::vector<format::IndexPack> packs_;
    std::vector<std::pair<std::size_t, format::PackedBlob>> entries_;
    std::multimap<std::pair<BlobType, Id>, std::uint32_t> by_blob_;
};

class Maker {
public:
    explicit Maker(std::uint64_t seed) : random_(seed) {}
    Id any_id() {
        Id id;
        for (std::size_t i = 0; i < id.bytes.size(); i += 8) store_le<std::uint64_t>(id.bytes.data() + i, random_());
        return id;
    }
    // Now and then a blob again, one whose ID begins alike, a pack again, or one pack's blobs elsewhere.
    format::IndexPack pack(std::size_t blobs) {
        format::IndexPack made;
        made.id = !packs_.empty() && random_() % 8 == 0 ? packs_[random_() % packs_.size()].id : any_id();
        std::uint32_t offset = 0;
        for (std::size_t i = 0; i < blobs; ++i) {
            Id id = any_id();
            if (!ids_.empty() && random_() % 16 == 0) id = ids_[random_() % ids_.size()];
            if (!ids_.empty() && random_() % 16 == 0)
                std::copy_n(ids_[random_() % ids_.size()].bytes.begin(), random_() % 2 ? 8 : 4, id.bytes.begin());
            const auto length = static_cast<std::uint32_t>(32 + random_() % 9000);
            made.blobs.push_back({id, random_() % 20 == 0 ? BlobType::tree : BlobType::data, offset, length,
                                  static_cast<std::uint32_t>(random_() % 3 ? length * 2 : 0)});
            offset += length;
            ids_.push_back(id);
        }
        if (!packs_.empty() && random_() % 16 == 0) made = packs_[random_() % packs_.size()];
        packs_.push_back(made);
        return made;
    }
    std::uint64_t number() { return random_(); }

private:
    std::mt19937_64 random_;
    std::vector<Id> ids_;
    std::vector<format::IndexPack> packs_;
};

void fill(BlobIndex& index, Model& model, std::uint64_t seed, std::size_t entries) {
    Maker maker(seed);
    while (index.blob_count() < entries) {
        const auto pack = maker.pack(1 + maker.number() % 300);
        ASSERT_EQ(index.add(pack), model.add(pack)) << "seed " << seed;
    }
    model.expect_same(index);
    for (int i = 0; i < 10'000; ++i) ASSERT_FALSE(index.has(BlobType::data, maker.any_id()));
}

// The index's file has no name; /proc knows it.
int file_in(const std::string& folder) {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code error;
        const auto target = std::filesystem::read_symlink(entry.path(), error).string();
        if (!error && target.starts_with(folder + '/')) return std::stoi(entry.path().filename().string());
    }
    return -1;
}

class BlobIndexTest : public VaultTest {
protected:
    void SetUp() override { HF_OK(os::make_folders(path("tmp"))); }
    void TearDown() override {
        set_log({});
        ::unsetenv("TMPDIR");
        if (mounted_) static_cast<void>(::umount(path("tmp").c_str()));
    }
    void collect_log() {
        set_log({.level = LogLevel::warning, .json = false, .timestamp = {}, .sink = [this](std::string_view line) {
                     log_ += line;
                 }});
    }
    std::string log_;
    bool mounted_ = false;
};

TEST_F(BlobIndexTest, AnswersAsAPlainTableDoesWhateverComes) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        BlobIndex index(path("tmp"));
        Model model;
        if (seed % 2 == 0) index.expect(seed * 10'000);
        fill(index, model, seed, seed == 1 ? 3'000 : 30'000);
        EXPECT_EQ(file_in(path("tmp")) >= 0, seed != 1) << "a small index needs no file";
        index.clear();
        EXPECT_EQ(file_in(path("tmp")), -1);
        Model again;
        fill(index, again, seed + 100, 12'000);
    }
    EXPECT_TRUE(std::filesystem::is_empty(path("tmp")));
}

TEST_F(BlobIndexTest, StaysInMemoryWithAWarningWhereThereIsNoFolder) {
    collect_log();
    BlobIndex index(path("nowhere"));
    Model model;
    fill(index, model, 5, 30'000);
    EXPECT_NE(log_.find("the index is kept in memory"), std::string::npos) << log_;
    EXPECT_EQ(log_.find("the index is kept in memory"), log_.rfind("the index is kept in memory")) << "said twice";
}

TEST_F(BlobIndexTest, ADiskThatFillsUpKeepsTheRestInMemory) {
    ASSERT_EQ(::mount("tmpfs", path("tmp").c_str(), "tmpfs", 0, "size=512k"), 0);
    mounted_ = true;
    collect_log();
    BlobIndex index(path("tmp"));
    Model model;
    fill(index, model, 6, 30'000);    // 1.4 MB
    EXPECT_GE(file_in(path("tmp")), 0);
    EXPECT_NE(log_.find("the index is kept in memory"), std::string::npos) << log_;
}

TEST_F(BlobIndexTest, IsReadByManyThreadsWhileItGrows) {
    BlobIndex index(path("tmp"));
    Maker maker(7);
    std::vector<format::IndexPack> packs;
    for (int i = 0; i < 200; ++i) {
        packs.emplace_back().id = maker.any_id();
        for (std::uint32_t k = 0; k < 200; ++k)
            packs.back().blobs.push_back({maker.any_id(), BlobType::data, k * 100, 100, 0});
    }
    std::atomic<std::size_t> added = 0, wrong = 0;
    std::vector<std::thread> readers;
    for (unsigned t = 0; t < 4; ++t)
        readers.emplace_back([&, t] {
            std::mt19937_64 random(t);
            std::size_t looks = 0;
            for (std::size_t seen = 0; (seen = added) < packs.size();) {
                // A writer has to get its turn: some looks for each pack that comes.
                if (seen == 0 || ++looks % 64 == 0) added.wait(seen);
                if (added == 0) continue;
                const format::IndexPack& pack = packs[random() % added];
                const format::PackedBlob& blob = pack.blobs[random() % pack.blobs.size()];
                const auto place = index.first_place(BlobType::data, blob.id);
                const auto number = index.number(BlobType::data, blob.id);
                if (!place || place->offset != blob.offset || index.pack_id(place->pack) != pack.id || !number ||
                    index.at(*number).blob != blob || index.has(BlobType::tree, blob.id))
                    ++wrong;
            }
        });
    for (const format::IndexPack& pack : packs) {
        index.add(pack);
        ++added;
        added.notify_all();
    }
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(wrong, 0u);
    HF_OK(index.status());
}

TEST_F(BlobIndexTest, PruneRemovesNothingWhenTheTemporaryFileCannotBeRead) {
    ASSERT_EQ(::setenv("TMPDIR", path("tmp").c_str(), 1), 0);
    init();
    write("src/kept", noise(100'000));
    HF_OK(back_up(path("src")));
    // Beside them so many that nobody needs that the index has a file.
    Maker maker(8);
    std::vector<format::IndexPack> packs(40);
    for (format::IndexPack& pack : packs) {
        pack.id = maker.any_id();
        for (std::uint32_t k = 0; k < 300; ++k) pack.blobs.push_back({maker.any_id(), BlobType::data, k * 100, 100, 0});
    }
    HF_OK(repository_->write_document(storage::FileKind::index, format::encode_index(packs)));
    reopen();
    HF_OK(repository_->load_index());
    const int file = file_in(path("tmp"));
    ASSERT_GE(file, 0);
    const std::string before = listing(repo_path() + "/data") + listing(repo_path() + "/index");
    ASSERT_EQ(::ftruncate(file, 0), 0);
    auto lock = repository_->lock(LockMode::exclusive);
    HF_OK(lock);
    const auto pruned = prune(*repository_, **lock);
    ASSERT_FALSE(pruned);
    EXPECT_EQ(pruned.error().code, ErrorCode::io) << error_text(pruned.error());
    EXPECT_EQ(listing(repo_path() + "/data") + listing(repo_path() + "/index"), before);
    lock->reset();
    reopen();
    HF_OK(repository_->load_index());
    lock = repository_->lock(LockMode::exclusive);
    HF_OK(lock);
    HF_OK(prune(*repository_, **lock));
    lock->reset();
    EXPECT_TRUE(checked().ok());
}

TEST_F(BlobIndexTest, NoTreeIsStoredOfNumbersWhenTheTemporaryFileCannotBeRead) {
    ASSERT_EQ(::setenv("TMPDIR", path("tmp").c_str(), 1), 0);
    init();
    Maker maker(8);
    for (int i = 0; i < 40; ++i) {
        format::IndexPack pack{maker.any_id(), {}};
        for (std::uint32_t k = 0; k < 300; ++k) pack.blobs.push_back({maker.any_id(), BlobType::data, k * 100, 100, 0});
        repository_->state().index.add(pack);
    }
    format::Node node;
    node.name = "dump.rdb";
    for (std::uint32_t i = 0; i < 12'000; ++i) node.numbers.push_back(i);
    const std::vector<const format::Node*> nodes{&node};
    auto lock = repository_->lock(LockMode::shared);
    HF_OK(lock);
    const int file = file_in(path("tmp"));
    ASSERT_GE(file, 0);
    ASSERT_EQ(::ftruncate(file, 0), 0);
    Pipeline pipeline(*repository_, **lock, {});
    const auto stored = pipeline.store_tree(nodes);
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().code, ErrorCode::io) << error_text(stored.error());
    EXPECT_FALSE(pipeline.finish());
    EXPECT_TRUE(files_of(storage::FileKind::pack).empty());
}

// A hostile storage may list index files of any size.
TEST(BlobIndex, BelievesNoAbsurdNumberOfBlobsToCome) {
    BlobIndex index;
    index.expect(std::numeric_limits<std::size_t>::max());
    Id id;
    id.bytes[0] = std::byte{7};
    index.add({id, {{id, format::BlobType::data, 0, 100, 0}}});
    EXPECT_TRUE(index.has(format::BlobType::data, id));
    EXPECT_FALSE(index.has(format::BlobType::tree, id));
}

}    // namespace
}    // namespace holdfast::vault
