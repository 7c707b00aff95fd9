#include "holdfast/vault/restore.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "holdfast/format/compress.hpp"
#include "holdfast/vault/fixture_test.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class RestoreTest : public VaultTest {
protected:
    void SetUp() override { init(); }

    // A snapshot of trees made by hand, as no honest writer would.
    SnapshotEntry forged(const std::vector<std::pair<std::string, std::string>>& trees) {
        // Each tree may name the ones before it as @0, @1 …
        std::vector<Id> ids;
        const auto backup = Backup::start(*repository_, small_packs());
        EXPECT_TRUE(backup);
        Id root;
        for (const auto& [name, json] : trees) {
            std::string text = json;
            for (std::size_t i = 0; i < ids.size(); ++i)
                for (std::size_t at; (at = text.find("@" + std::to_string(i))) != std::string::npos;)
                    text.replace(at, 2, ids[i].hex());
            // Stored as a data blob in a file and then found under its ID as a tree: only the index knows the difference.
            format::IndexPack pack;
            Bytes content, frame;
            format::Compressor compressor(3);
            compressor.compress(as_bytes(text), frame);
            std::array<std::byte, 16> nonce;
            os::random_bytes(nonce);
            format::Cipher cipher(repository_->master_key());
            cipher.seal(frame, nonce, content);
            const Id id = format::sha256(as_bytes(text));
            pack.blobs.push_back({id, format::BlobType::tree, 0, static_cast<std::uint32_t>(content.size()),
                                  static_cast<std::uint32_t>(text.size())});
            const std::size_t end = content.size();
            os::random_bytes(nonce);
            cipher.seal(format::encode_pack_header(pack.blobs), nonce, content);
            append_le(content, static_cast<std::uint32_t>(content.size() - end));
            pack.id = format::sha256(content);
            EXPECT_TRUE(repository_->backend().put({FileKind::pack, pack.id}, content));
            EXPECT_TRUE(repository_->write_document(FileKind::index, format::encode_index({pack})));
            ids.push_back(id);
            root = id;
        }
        EXPECT_TRUE(repository_->load_index(true));
        SnapshotEntry entry;
        entry.snapshot.tree = root;
        return entry;
    }
    static std::string node(const std::string& name, const std::string& rest) {
        return "{\"name\":\"" + name +
               "\",\"mode\":420,\"mtime\":\"2024-01-01T00:00:00Z\",\"atime\":\"2024-01-01T00:00:00Z\",\"ctime\":\"2024-"
               "01-01T00:00:00Z\","
               "\"uid\":0,\"gid\":0," +
               rest + "}";
    }
};

TEST_F(RestoreTest, EveryKindOfEntryComesBackAsItWas) {
    const auto made = sh(R"SH(
        set -e; mkdir -p "$1"; cd "$1"
        printf hello > plain; : > empty; printf x > ' leading space'; printf y > 'new
line'; printf z > "$(printf 'not\377utf8')"; printf q > 'quo"te\back'; printf e > "emoji-😀"; printf d > -dash
        mkdir -p sub/deeper empty-folder; printf in > sub/deeper/file
        ln plain hard1; ln plain sub/hard2; ln -s plain link; ln -s /nowhere/at/all dangling; ln -s "$(printf 'bad\377target')" badlink
        mkfifo pipe; mknod null c 1 3; mknod loop b 7 200
        printf s > setuid; chmod 4755 setuid; mkdir sticky; chmod 1777 sticky; mkdir setgid; chmod 2750 setgid
        printf o > owned; chown 1234:4321 owned; chown -h 77:88 link; chmod 000 empty
        touch -d '1969-07-20T20:17:40.123456789Z' plain; touch -h -d '2001-02-03T04:05:06Z' link; touch -d '2038-01-20T00:00:00.5Z' sub/deeper
        head -c 20000000 /dev/urandom > huge; truncate -s 3000000 sparse
    )SH",
                         {path("src")});
    ASSERT_TRUE(made.ok) << made.output;
    const std::string large(3000, 'v');
    ASSERT_EQ(::setxattr(path("src/plain").c_str(), "user.comment", "a\0b", 3, 0), 0);
    ASSERT_EQ(::setxattr(path("src/plain").c_str(), "user.large", large.data(), large.size(), 0), 0);
    ASSERT_EQ(::setxattr(path("src/sub").c_str(), "user.empty", "", 0, 0), 0);
    ASSERT_EQ(::lsetxattr(path("src/link").c_str(), "trusted.onlink", "t", 1, 0), 0);

    PathSummary summary;
    HF_OK(back_up(path("src"), &summary));
    EXPECT_TRUE(summary.unreadable.empty());
    reopen();
    const auto restored = restore_latest("out");
    HF_OK(restored);
    EXPECT_TRUE(restored->warnings.empty());
    const std::string out = path("out") + path("src");
    EXPECT_EQ(listing(out), listing(path("src")));

    struct stat a{}, b{};
    ASSERT_EQ(::stat((out + "/plain").c_str(), &a), 0);
    ASSERT_EQ(::stat((out + "/sub/hard2").c_str(), &b), 0);
    EXPECT_EQ(a.st_ino, b.st_ino);
    ASSERT_EQ(::stat((out + "/null").c_str(), &a), 0);
    EXPECT_EQ(a.st_rdev, ::makedev(1, 3));
    char value[4000];
    ASSERT_EQ(::getxattr((out + "/plain").c_str(), "user.comment", value, sizeof value), 3);
    EXPECT_EQ(std::string(value, 3), std::string("a\0b", 3));
    EXPECT_EQ(::getxattr((out + "/plain").c_str(), "user.large", value, sizeof value), 3000);
    EXPECT_EQ(::getxattr((out + "/sub").c_str(), "user.empty", value, sizeof value), 0);
    EXPECT_EQ(::lgetxattr((out + "/link").c_str(), "trusted.onlink", value, sizeof value), 1);
    const auto report = checked();
    EXPECT_TRUE(report.ok()) << all_of(report.errors);
}

TEST_F(RestoreTest, RefusesATargetThatIsNotEmptyUnlessTold) {
    write("src/a", "new");
    write("src/b/c", "new");
    HF_OK(back_up(path("src")));
    RestoreOptions into;
    into.subfolder = path("src");
    write("out/other", "mine");
    write("out/a", "an old and much longer content");
    write("out/b", "a file where a folder has to be");
    const auto refused = restore_latest("out", into);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::exists);
    EXPECT_EQ(read("out/a"), "an old and much longer content");
    into.overwrite = Overwrite::always;
    HF_OK(restore_latest("out", into));
    EXPECT_EQ(read("out/a"), "new");
    EXPECT_EQ(read("out/b/c"), "new");
    EXPECT_EQ(read("out/other"), "mine");
}

TEST_F(RestoreTest, OverwritingNeverWritesThroughALink) {
    write("src/a", "new");
    write("src/dir/b", "new");
    HF_OK(back_up(path("src")));
    write("victim/file", "untouched");
    HF_OK(os::make_folders(path("out")));
    ASSERT_EQ(::symlink(path("victim/file").c_str(), path("out/a").c_str()), 0);
    ASSERT_EQ(::symlink(path("victim").c_str(), path("out/dir").c_str()), 0);
    RestoreOptions into;
    into.subfolder = path("src");
    into.overwrite = Overwrite::always;
    HF_OK(restore_latest("out", into));
    EXPECT_EQ(read("victim/file"), "untouched");
    EXPECT_FALSE(os::exists(path("victim/b")));
    EXPECT_EQ(read("out/a"), "new");
    EXPECT_EQ(read("out/dir/b"), "new");
}

TEST_F(RestoreTest, TreesThatClimbOutAreRefused) {
    const std::string empty_file = "\"type\":\"file\",\"content\":[]";
    for (const char* name : {"..", ".", "", "a/b", "/etc/x"}) {
        const auto entry = forged({{"root", "{\"nodes\":[" + node(name, empty_file) + "]}\n"}});
        RestoreOptions options;
        options.target = path("out");
        options.overwrite = Overwrite::always;
        const auto restored = restore(*repository_, entry, options);
        ASSERT_FALSE(restored) << name;
        EXPECT_EQ(restored.error().code, ErrorCode::corrupt) << name;
    }
    EXPECT_FALSE(os::exists(path("x")));
}

TEST_F(RestoreTest, AFolderUnderALinkOfTheSameNameStaysInside) {
    // One tree cannot hold a link and a folder of one name …
    HF_OK(os::make_folders(path("victim")));
    const std::string file = "\"type\":\"file\",\"content\":[]";
    const std::string link =
        node("x", "\"type\":\"symlink\",\"linktarget\":\"" + path("victim") + "\",\"content\":null");
    const auto twice =
        forged({{"sub", "{\"nodes\":[" + node("f", file) + "]}\n"},
                {"root", "{\"nodes\":[" + link + "," +
                             node("x", "\"type\":\"dir\",\"content\":null,\"subtree\":\"@0\"") + "]}\n"}});
    RestoreOptions options;
    options.target = path("out");
    EXPECT_EQ(restore(*repository_, twice, options).error().code, ErrorCode::corrupt);
    // … and a link that an earlier restore left is replaced, not followed.
    const auto only_link = forged({{"root", "{\"nodes\":[" + link + "]}\n"}});
    options.overwrite = Overwrite::always;
    HF_OK(restore(*repository_, only_link, options));
    const auto folder =
        forged({{"sub", "{\"nodes\":[" + node("g", file) + "]}\n"},
                {"root", "{\"nodes\":[" + node("x", "\"type\":\"dir\",\"content\":null,\"subtree\":\"@0\"") + "]}\n"}});
    HF_OK(restore(*repository_, folder, options));
    EXPECT_TRUE(os::list_folder(path("victim")).value().empty());
    EXPECT_TRUE(os::exists(path("out/x/g")));
}

TEST_F(RestoreTest, IncludesPartsAndSaysWhatIsMissing) {
    write("src/a/one", "1");
    write("src/a/two", "2");
    write("src/b/three", "3");
    HF_OK(back_up(path("src")));
    RestoreOptions some;
    some.include = {path("src/a/two"), path("src/b")};
    const auto part = restore_latest("out", some);
    HF_OK(part);
    EXPECT_EQ(part->files, 2u);
    EXPECT_EQ(read("out" + path("src/b/three")), "3");
    EXPECT_FALSE(os::exists(path("out") + path("src/a/one")));
    some.include = {path("src/none")};
    EXPECT_EQ(restore_latest("out2", some).error().code, ErrorCode::not_found);
    EXPECT_FALSE(os::exists(path("out2")));
    some.include.clear();
    some.subfolder = path("src/a/one");
    HF_OK(restore_latest("out3", some));
    EXPECT_EQ(read("out3/one"), "1");
    RestoreOptions dry;
    dry.dry_run = true;
    const auto plan = restore_latest("out4", dry);
    HF_OK(plan);
    EXPECT_EQ(plan->files, 3u);
    EXPECT_EQ(plan->bytes, 3u);
    EXPECT_FALSE(os::exists(path("out4")));
}

TEST_F(RestoreTest, SmallChunksOfManyPlacesComeBack) {
    // Cut like a Redis dump: hundreds of small chunks, which are written together where they follow each other. Some
    // occur twice in a file, some in both files, and noise is stored plain.
    std::string keys;
    for (int i = 0; i < 40'000; ++i) keys += fmt::format("order:{} bought at {}\n", i * 7919, i * i);
    const std::string first = "REDIS0011" + keys + noise(300'000) + keys.substr(200'000);
    const std::string second = "REDIS0011" + keys.substr(300'000) + noise(100'000, 2) + keys.substr(0, 500'000);
    write("src/first.rdb", first);
    write("src/second.rdb", second);
    HF_OK(back_up(path("src")));
    reopen();
    HF_OK(repository_->load_index());
    const auto node =
        repository_->find_node(repository_->find_snapshot("latest")->snapshot.tree, path("src/first.rdb"));
    HF_OK(node);
    ASSERT_GT(node->content.size(), 100u);
    HF_OK(restore_latest("out"));
    EXPECT_EQ(read("out" + path("src/first.rdb")), first);
    EXPECT_EQ(read("out" + path("src/second.rdb")), second);
}

// Long files are written past the page cache: cut anywhere, packed or plain, some chunks at several places.
TEST_F(RestoreTest, LongFilesComeBackWhereverTheyAreCut) {
    std::string text;
    for (int i = 0; text.size() < 7'000'000; ++i) text += fmt::format("order:{} bought at {}\n", i * 7919, i % 977 * i);
    const std::string mixed = text + noise(5'000'001, 3) + text.substr(1'234'567) + noise(900'000, 4) + text;
    write("src/mixed", mixed);
    write("src/noise", noise(8'388'609, 3));
    write("src/short", noise(70'000, 5));
    HF_OK(back_up(path("src")));
    reopen();
    for (const bool past_cache : {true, false}) {
        RestoreOptions options;
        options.past_cache_min = past_cache ? 0 : UINT64_MAX;
        const std::string out = past_cache ? "past" : "through";
        HF_OK(restore_latest(out, options));
        EXPECT_TRUE(read(out + path("src/mixed")) == mixed);
        EXPECT_TRUE(read(out + path("src/noise")) == noise(8'388'609, 3));
        EXPECT_TRUE(read(out + path("src/short")) == noise(70'000, 5));
    }
}

TEST_F(RestoreTest, DamageCostsTheFilesThatNeedItAndNoOther) {
    write("src/good", noise(3'000'000, 1));
    write("src/bad", noise(20'000'000, 2));
    ASSERT_EQ(::link(path("src/bad").c_str(), path("src/bad2").c_str()), 0);
    HF_OK(back_up(path("src")));
    reopen();
    HF_OK(repository_->load_index());
    const auto bad = repository_->find_node(repository_->find_snapshot("latest")->snapshot.tree, path("src/bad"));
    HF_OK(bad);
    const auto place = repository_->places(format::BlobType::data, bad->content.at(bad->content.size() / 2)).at(0);
    flip_byte(repo_path() + '/' + storage::relative_path({FileKind::pack, place.pack}), place.blob.offset + 40);
    const auto restored = restore_latest("out");
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, ErrorCode::corrupt);
    EXPECT_NE(restored.error().message.find("src/bad:"), std::string::npos) << restored.error().message;
    EXPECT_NE(restored.error().message.find("src/bad2:"), std::string::npos) << restored.error().message;
    EXPECT_EQ(restored.error().message.find("src/good"), std::string::npos);
    EXPECT_EQ(read("out" + path("src/good")), noise(3'000'000, 1));
    EXPECT_FALSE(os::exists(path("out") + path("src/bad")));
    EXPECT_FALSE(os::exists(path("out") + path("src/bad2")));
    Status status = read_content(*repository_, *bad, [](ByteView) { return Status(); });
    EXPECT_EQ(status.error().code, ErrorCode::corrupt);
}

TEST_F(RestoreTest, AFullDiskIsSaidAndPartialFilesGo) {
    write("src/large", noise(9'000'000));
    HF_OK(back_up(path("src")));
    HF_OK(os::make_folders(path("small")));
    ASSERT_TRUE(sh("mount -t tmpfs -o size=4m tmpfs \"$1\"", {path("small")}).ok);
    const auto early = restore_latest("small");
    RestoreOptions blind;
    blind.overwrite = Overwrite::always;    // no look at the free space
    const auto late = restore_latest("small", blind);
    const auto left = sh("find \"$1\" -type f", {path("small")});
    ASSERT_TRUE(sh("umount \"$1\"", {path("small")}).ok);
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().code, ErrorCode::disk_full);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, ErrorCode::disk_full);
    EXPECT_EQ(left.output, "");
}

TEST_F(RestoreTest, ASinkThatFailsStopsTheReading) {
    write("src/a", noise(9'000'000));
    HF_OK(back_up(path("src")));
    HF_OK(repository_->load_index());
    const auto file = repository_->find_node(repository_->find_snapshot("latest")->snapshot.tree, path("src/a"));
    HF_OK(file);
    int calls = 0;
    const Status status = read_content(*repository_, *file, [&](ByteView) -> Status {
        if (++calls == 2) return fail(ErrorCode::store, "the server has gone");
        return {};
    });
    EXPECT_EQ(status.error().code, ErrorCode::store);
    EXPECT_EQ(calls, 2);
    std::string all;
    HF_OK(read_content(
        *repository_, *file,
        [&](ByteView bytes) -> Status {
            all += as_text(bytes);
            return {};
        },
        Processors::all, 1));
    EXPECT_EQ(all, noise(9'000'000));
    EXPECT_EQ(read_small(*repository_, *file, 1000).error().code, ErrorCode::corrupt);
    EXPECT_EQ(as_text(read_small(*repository_, *file).value()), all);
    EXPECT_EQ(read_content(*repository_,
                           repository_->find_node(repository_->find_snapshot("latest")->snapshot.tree, "/").value(),
                           [](ByteView) { return Status(); })
                  .error()
                  .code,
              ErrorCode::not_found);
}

}    // namespace
}    // namespace holdfast::vault
