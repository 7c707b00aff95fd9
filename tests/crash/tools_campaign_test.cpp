// The repository's tools under fire: copies, keys, repairs, parity, healing, and a restore that deletes.

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "campaign.hpp"
#include "holdfast/format/documents.hpp"
#include "holdfast/storage/local.hpp"
#include "holdfast/vault/backup.hpp"
#include "holdfast/vault/key_change.hpp"

namespace holdfast::crash {
namespace {

namespace fs = std::filesystem;
using storage::FileKind;

class ToolsUnderFire : public Campaign {
protected:
    static constexpr format::KdfCost k_cheap = {1024, 8, 1};

    bool opens_with(const std::string& password, const std::string& where) {
        return vault::Repository::open(storage::local_backend(where), Secret(std::string(password)), clock_)
            .has_value();
    }
    static void copy_repository(const std::string& from, const std::string& to) {
        ASSERT_TRUE(os::remove_tree(to).has_value());
        fs::copy(from, to, fs::copy_options::recursive);
    }
    std::vector<vault::SnapshotEntry> snapshots_there() {
        const auto repository = open();
        EXPECT_TRUE(repository.has_value());
        if (!repository) return {};
        auto entries = (*repository)->snapshots();
        EXPECT_TRUE(entries.has_value());
        return entries.value_or(std::vector<vault::SnapshotEntry>{});
    }
    // Of three processes of another host.
    void leave_locks(Duration age, const std::function<bool(int)>& exclusive) {
        const auto repository = open();
        ASSERT_TRUE(repository.has_value());
        for (int i = 0; i < 3; ++i) {
            format::Lock lock;
            lock.time = clock_.now() - age;
            lock.exclusive = exclusive(i);
            lock.hostname = "elsewhere";
            lock.username = "trader";
            lock.pid = 17 + i;
            ASSERT_TRUE((*repository)->write_document(FileKind::lock, format::encode(lock)).has_value());
        }
    }
    static std::vector<std::string> files_below(const std::string& folder) {
        std::vector<std::string> files;
        for (const auto& entry : fs::recursive_directory_iterator(folder))
            if (entry.is_regular_file()) files.push_back(entry.path());
        std::sort(files.begin(), files.end(), [](const std::string& a, const std::string& b) {
            return std::pair(fs::file_size(a), a) > std::pair(fs::file_size(b), b);
        });
        return files;
    }
    static void flip_byte_from_end(const std::string& file, std::size_t from_end) {
        auto bytes = os::read_file(file);
        ASSERT_TRUE(bytes.has_value());
        (*bytes)[bytes->size() - from_end] ^= std::byte(0x10);
        ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
        ASSERT_TRUE(os::write_file(file, *bytes).has_value());
    }
    // A key beside the template's, cheap to open.
    Id add_cheap_key(const char* password) {
        auto repository = open();
        EXPECT_TRUE(repository.has_value());
        if (!repository) return {};
        const auto id = vault::add_key(**repository, Secret(std::string(password)), {{}, k_cheap});
        EXPECT_TRUE(id.has_value());
        return id.value_or(Id{});
    }
};

TEST_F(ToolsUnderFire, Copy) {
    make_template();
    fs::rename(repo(), at("other"));
    ASSERT_TRUE(os::remove_tree(source()).has_value());
    make_template();
    Target target;
    target.name = "copy";
    target.points_step = 2;
    target.arguments = {"copy", "--from-repo", at("other"), "--from-password-file", at("password")};
    target.expect_done = [&] { EXPECT_EQ(snapshots_there().size(), 8u); };    // none twice
    target.random_kills = 8;
    fire(target);
}

TEST_F(ToolsUnderFire, Rekey) {
    make_template();
    write(at("new-password"), "a new one\n");
    auto repository = open();
    ASSERT_TRUE(repository.has_value());
    vault::InitOptions options;
    options.cost = k_cheap;
    options.polynomial = (*repository)->config().polynomial;
    ASSERT_TRUE(vault::Repository::init(storage::local_backend(at("begun")), Secret("a new one"), clock_, options));
    Target target;
    target.name = "rekey";
    target.points_step = 3;
    target.arguments = {"rekey", "--to", at("fresh"), "--new-password-file", at("new-password")};
    target.prepare = [&] { copy_repository(at("begun"), at("fresh")); };
    target.expect_done = [&] {
        const auto fresh = vault::Repository::open(storage::local_backend(at("fresh")), Secret("a new one"), clock_);
        ASSERT_TRUE(fresh.has_value()) << fresh.error().message;
        EXPECT_EQ((*fresh)->snapshots()->size(), snapshots_.size());
    };
    target.random_kills = 6;
    fire(target);
}

TEST_F(ToolsUnderFire, RekeyIntoAnEmptyPlace) {
    make_template();
    write(at("new-password"), "a new one\n");
    Target target;
    target.name = "rekey, empty";
    target.arguments = {"rekey", "--to", at("fresh"), "--new-password-file", at("new-password")};
    target.prepare = [&] { ASSERT_TRUE(os::remove_tree(at("fresh")).has_value()); };
    target.random_kills = 0;
    target.points_max = 6;    // until the repository is made; then as above, but each opening costs a person's time
    fire(target);
}

TEST_F(ToolsUnderFire, KeyAdd) {
    make_template();
    write(at("new-password"), "a new one\n");
    Target target;
    target.name = "key add";
    target.arguments = {"key", "add", "--new-password-file", at("new-password")};
    target.again = {"snapshots"};    // a new key costs a person's time to make and to open
    target.random_kills = 1;
    fire(target);
    reset();
    ASSERT_EQ(run(target.arguments).exit, 0);
    EXPECT_TRUE(opens_with("a new one", repo()));
}

TEST_F(ToolsUnderFire, KeyPasswd) {
    make_template();
    reset();
    const Id desk = add_cheap_key("the desk's");
    keep_as_template();
    write(at("desk-password"), "the desk's\n");
    write(at("new-password"), "a new one\n");
    Target target;
    target.name = "key passwd";
    target.points_step = 2;
    target.arguments = {
        "key", "passwd", "--password-file", at("desk-password"), "--new-password-file", at("new-password")};
    target.again = {"snapshots"};
    int still = 0;
    target.expect_done = [&] {
        // The old one stays until the new one opens.
        if (!os::exists(repo() + "/keys/" + desk.hex())) {
            EXPECT_TRUE(opens_with("a new one", repo()));
        } else if (++still % 5 == 0) {
            EXPECT_TRUE(opens_with("the desk's", repo()));
            EXPECT_EQ(run(target.arguments).exit, 0);
            EXPECT_TRUE(opens_with("a new one", repo()));
            EXPECT_FALSE(opens_with("the desk's", repo()));
        }
    };
    target.random_kills = 1;
    fire(target);
}

TEST_F(ToolsUnderFire, KeyRemove) {
    make_template();
    reset();
    const Id extra = add_cheap_key("the desk's");
    keep_as_template();
    Target target;
    target.name = "key remove";
    target.arguments = {"key", "remove", extra.hex()};
    target.again = {"key", "list"};
    target.expect_done = [&] {
        if (os::exists(repo() + "/keys/" + extra.hex())) {
            EXPECT_EQ(run(target.arguments).exit, 0);
        }
        EXPECT_FALSE(opens_with("the desk's", repo()));
        EXPECT_TRUE(opens_with(k_password, repo()));
    };
    target.random_kills = 4;
    fire(target);
}

TEST_F(ToolsUnderFire, RepairIndex) {
    make_template();
    Target target;
    target.name = "repair index";
    target.points_step = 2;
    target.arguments = {"repair", "index"};
    target.prepare = [&] { ASSERT_TRUE(os::remove_tree(files_below(repo() + "/index").front()).has_value()); };
    target.mends = true;
    target.random_kills = 6;
    fire(target);
}

TEST_F(ToolsUnderFire, RepairPacks) {
    make_template();
    Target target;
    target.name = "repair packs";
    target.arguments = {"repair", "packs", "--save-to", at("saved")};
    // In the pack's own table: all of its blobs are whole.
    target.prepare = [&] { flip_byte_from_end(files_below(repo() + "/data").front(), 8); };
    target.mends = true;
    target.random_kills = 6;
    fire(target);
}

TEST_F(ToolsUnderFire, RepairSnapshots) {
    make_template();
    reset();
    const auto before = files_below(repo() + "/data");
    write(source() + "/only-here", noise(90'000, 77));
    ASSERT_EQ(run({"backup", source()}).exit, 0);
    for (const std::string& file : files_below(repo() + "/data"))
        if (fs::file_size(file) > 80'000 && std::ranges::find(before, file) == before.end()) fs::remove(file);
    ASSERT_EQ(run({"repair", "index"}).exit, 0);
    copy_repository(repo(), at("damaged"));
    Target target;
    target.name = "repair snapshots";
    target.arguments = {"repair", "snapshots", "--forget"};
    target.good_exits = {0, 3};
    target.prepare = [&] { copy_repository(at("damaged"), repo()); };
    target.expect_done = [&] {
        const auto entries = snapshots_there();
        EXPECT_EQ(entries.size(), 5u);    // the one that a killed run wrote is not written again
        EXPECT_EQ(std::ranges::count_if(entries, [](const auto& e) { return e.snapshot.original.has_value(); }), 1);
    };
    target.mends = true;
    target.random_kills = 6;
    fire(target);
}

TEST_F(ToolsUnderFire, Unlock) {
    make_template();
    reset();
    leave_locks(std::chrono::hours(1), [](int) { return true; });
    keep_as_template();
    Target target;
    target.name = "unlock";
    target.arguments = {"unlock"};
    target.mends = true;
    target.random_kills = 3;
    fire(target);
}

TEST_F(ToolsUnderFire, UnlockRemoveAll) {
    make_template();
    reset();
    leave_locks({}, [](int i) { return i > 0; });
    write(repo() + "/locks/" + std::string(64, 'a'), "half of a lo");
    keep_as_template();
    Target target;
    target.name = "unlock --remove-all";
    target.arguments = {"unlock", "--remove-all"};
    target.expect_done = [&] { EXPECT_TRUE(os::list_folder(repo() + "/locks")->empty()); };
    target.mends = true;
    target.random_kills = 3;
    fire(target);
}

// The last resort on a full disk may leave packs that no index names; that is all it may.
TEST_F(ToolsUnderFire, PruneThatReplacesIndexFilesInTheirOwnRoom) {
    make_template();
    reset();
    ASSERT_EQ(run({"forget", "--keep-last", "1"}).exit, 0);
    ASSERT_TRUE(os::remove_tree(files_below(repo() + "/index").front()).has_value());
    ASSERT_EQ(run({"repair", "index"}).exit, 0);
    keep_as_template();
    const auto repository = open();
    ASSERT_TRUE(repository.has_value());
    Target target;
    target.name = "prune, last resort";
    target.arguments = {"prune", "--unsafe-recover-no-free-space", (*repository)->config().id.hex()};
    target.again = {"repair", "index"};
    target.mends = true;
    target.random_kills = 3;
    fire(target);
}

TEST_F(ToolsUnderFire, Recover) {
    make_template();
    Target target;
    target.name = "recover";
    target.arguments = {"recover"};
    target.prepare = [&] {
        ASSERT_TRUE(os::remove_tree(repo() + "/snapshots/" + snapshots_.back().id.hex()).has_value());
    };
    target.may_go = {snapshots_.back().id};
    target.expect_done = [&] {
        const auto entries = snapshots_there();
        EXPECT_EQ(std::ranges::count_if(entries,
                                        [](const auto& e) { return std::ranges::count(e.snapshot.tags, "recovered"); }),
                  1);
    };
    target.random_kills = 5;
    fire(target);
}

TEST_F(ToolsUnderFire, Heal) {
    make_template();
    reset();
    copy_repository(repo(), at("good"));
    Target target;
    target.name = "heal";
    target.points_step = 3;
    target.arguments = {"heal", "--from", at("good"), "--no-live-files"};
    target.prepare = [&] {
        const auto packs = files_below(repo() + "/data");
        flip_byte_from_end(packs.front(), 5'000);
        fs::remove(packs[1]);
        flip_byte_from_end(files_below(repo() + "/index").front(), 40);
        flip_byte_from_end(repo() + "/snapshots/" + snapshots_[1].id.hex(), 20);
    };
    target.mends = true;
    target.random_kills = 6;
    fire(target);
}

TEST_F(ToolsUnderFire, ParityUpdate) {
    make_template();
    reset();
    ASSERT_EQ(run({"parity", "create"}).exit, 0);
    write(source() + "/new", noise(90'000, 55));
    ASSERT_EQ(run({"backup", source()}).exit, 0);
    keep_as_template();
    Target target;
    target.name = "parity update";
    target.arguments = {"parity", "update"};
    target.expect_done = [&] {
        const Run verified = run({"parity", "verify"});
        EXPECT_EQ(verified.exit, 0) << verified.output << verified.errors;
    };
    target.random_kills = 5;
    fire(target);
}

TEST_F(ToolsUnderFire, RestoreThatDeletes) {
    make_template();
    Target target;
    target.name = "restore --delete";
    target.arguments = {"restore", "latest", "--target", at("back"), "--delete", "--overwrite", "always"};
    target.prepare = [&] {
        ASSERT_TRUE(os::remove_tree(at("back")).has_value());
        for (int i = 0; i < 4; ++i)
            write(at("back") + source() + "/strange-" + std::to_string(i) + "/file", noise(5'000, 9));
        write(at("back") + source() + "/kept", noise(200'000, 8));
    };
    target.expect_done = [&] { EXPECT_EQ(listing(at("back") + source()), listing(source())); };
    target.random_kills = 6;
    fire(target);
}

}    // namespace
}    // namespace holdfast::crash
