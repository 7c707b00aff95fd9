// diff, stats, find and dump, compared with what restic says about the same repository.

#include <algorithm>

#include "holdfast/base/json.hpp"
#include "holdfast/vault/diff.hpp"
#include "holdfast/vault/dump_archive.hpp"
#include "holdfast/vault/find.hpp"
#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/stats.hpp"

#if defined(__SANITIZE_ADDRESS__)
// libarchive 3.6 frees the buffer of its output only when it closes an archive, and one that was given up must not be
// closed (archive_write_fail): 64 KiB for each dump that fails, in a program that then ends.
extern "C" const char* __lsan_default_suppressions() { return "leak:libarchive.so"; }
#endif

namespace holdfast::vault {
namespace {

class LookTest : public VaultTest {
protected:
    void SetUp() override {
        init();
        write("src/one", "a\n");
        write("src/Sub/two", "b\n");
        write("src/Sub/deep/one", "c\n");
        write("src/same/x", noise(1'500'000));
        write("src/copy", noise(1'500'000));
        write("src/empty", "");
        ASSERT_TRUE(sh("cd \"$1\" && ln one hard && ln -s one link && mkfifo pipe && mkdir hollow && "
                       "printf z > \"$(printf 'odd\\377')\" && touch -d 2020-02-02T02:02:02Z Sub/two",
                       {path("src")})
                        .ok);
        HF_OK(back_up(path("src")));
        ASSERT_TRUE(sh("cd \"$1\" && printf longer > Sub/two && mkdir new && echo z > new/z && rm one && chmod 600 "
                       "Sub/deep/one && "
                       "rm link && mkdir link && ln hard new/again",
                       {path("src")})
                        .ok);
        HF_OK(back_up(path("src")));
        entries_ = repository_->snapshots().value();
        HF_OK(repository_->load_index());
    }
    Ran restic(const std::string& arguments) {
        return sh("restic --no-cache -r \"$1\" " + arguments, {repo_path(), path("src")});
    }
    json::Value restic_json(const std::string& arguments) {
        const auto ran = restic(arguments + " --json");
        auto value = json::parse(ran.output, "restic");
        EXPECT_TRUE(value) << ran.output;
        if (!value) return json::Value::object({});
        return *std::move(value);
    }
    std::vector<std::string> found(FindOptions options) {
        std::vector<std::string> paths;
        const auto status =
            find_files(*repository_, entries_, options,
                       [&](const SnapshotEntry& entry, const std::string& p, const format::Node&) -> Status {
                           paths.push_back(entry.id.brief() + p);
                           return {};
                       });
        EXPECT_TRUE(status);
        std::ranges::sort(paths);
        return paths;
    }
    std::vector<std::string> found_by_restic(const std::string& arguments) {
        std::vector<std::string> paths;
        const json::Value answer = restic_json("find " + arguments);
        for (const json::Value& snapshot : answer.items())
            for (const json::Value& match : snapshot["matches"].items())
                paths.push_back(snapshot["snapshot"].text().substr(0, 8) + match["path"].text());
        std::ranges::sort(paths);
        return paths;
    }
    std::vector<SnapshotEntry> entries_;
};

TEST_F(LookTest, DiffSaysWhatResticSays) {
    for (const bool metadata : {false, true}) {
        std::string ours;
        DiffOptions options;
        options.metadata = metadata;
        options.changed = [&](const Change& change) -> Status {
            ours += change.modifier + " " + change.path + "\n";
            return {};
        };
        const auto report = diff(*repository_, entries_[0].snapshot.tree, entries_[1].snapshot.tree, options);
        HF_OK(report);
        const auto ran = restic(std::string("diff --json ") + (metadata ? "--metadata " : "") + entries_[0].id.hex() +
                                " " + entries_[1].id.hex());
        std::string theirs;
        json::Value counts;
        for (std::size_t at = 0; at < ran.output.size();) {
            const std::size_t end = ran.output.find('\n', at);
            const auto line = json::parse(ran.output.substr(at, end - at), "line");
            at = end + 1;
            ASSERT_TRUE(line) << ran.output;
            if ((*line)["message_type"].text() == "change")
                theirs += (*line)["modifier"].text() + " " + (*line)["path"].text() + "\n";
            else
                counts = *line;
        }
        EXPECT_EQ(ours, theirs);
        EXPECT_EQ(report->changed_files, counts["changed_files"].natural());
        for (const auto& [mine, name] : {std::pair(report->added, "added"), std::pair(report->removed, "removed")}) {
            EXPECT_EQ(mine.files, counts[name]["files"].natural()) << name;
            EXPECT_EQ(mine.dirs, counts[name]["dirs"].natural()) << name;
            EXPECT_EQ(mine.others, counts[name]["others"].natural()) << name;
            EXPECT_EQ(mine.data_blobs, counts[name]["data_blobs"].natural()) << name;
            EXPECT_EQ(mine.tree_blobs, counts[name]["tree_blobs"].natural()) << name;
            EXPECT_EQ(mine.bytes, counts[name]["bytes"].natural()) << name;
        }
    }
}

TEST_F(LookTest, ASnapshotDoesNotDifferFromItself) {
    const auto report = diff(*repository_, entries_[0].snapshot.tree, entries_[0].snapshot.tree, {});
    HF_OK(report);
    EXPECT_EQ(report->added.tree_blobs + report->removed.bytes + report->changed_files, 0u);
}

TEST_F(LookTest, StatsAreResticsInEveryMode) {    // NS-19
    const std::pair<StatsMode, const char*> modes[] = {{StatsMode::restore_size, "restore-size"},
                                                       {StatsMode::files_by_contents, "files-by-contents"},
                                                       {StatsMode::blobs_per_file, "blobs-per-file"},
                                                       {StatsMode::raw_data, "raw-data"}};
    for (const auto& [mode, name] : modes) {
        const auto report = stats(*repository_, entries_, {mode, 0});
        HF_OK(report);
        const json::Value theirs = restic_json(std::string("stats --mode ") + name);
        EXPECT_EQ(report->total_size, theirs["total_size"].natural()) << name;
        EXPECT_EQ(report->files, theirs["total_file_count"].natural()) << name;
        EXPECT_EQ(report->blobs, theirs["total_blob_count"].natural()) << name;
        EXPECT_EQ(report->snapshots, theirs["snapshots_count"].natural()) << name;
    }
}

TEST_F(LookTest, TheLargestFilesAreNamedOnceEach) {    // NS-19
    const auto report = stats(*repository_, entries_, {StatsMode::restore_size, 3});
    HF_OK(report);
    ASSERT_EQ(report->largest.size(), 3u);
    EXPECT_EQ(report->largest[0].size, 1'500'000u);
    EXPECT_EQ(report->largest[1].size, 1'500'000u);
    EXPECT_NE(report->largest[0].path, report->largest[1].path);
    EXPECT_EQ(report->largest[0].snapshot, entries_[1].id);    // the newest that has it
    EXPECT_EQ(report->largest[2].size, 6u);
}

TEST_F(LookTest, FindFindsWhatResticFinds) {
    const std::vector<std::string> patterns[] = {{"one"},    {"Sub"}, {"*ne*"}, {"Sub/*"}, {"deep/one", "new"},
                                                 {"nowhere"}};
    for (const auto& list : patterns) {
        std::string quoted;
        for (const std::string& pattern : list) quoted += " '" + pattern + "'";
        EXPECT_EQ(found({.patterns = list}), found_by_restic(quoted)) << quoted;
    }
    EXPECT_EQ(found({.patterns = {"SUB"}, .ignore_case = true}), found_by_restic("-i SUB"));
    EXPECT_TRUE(found({.patterns = {"SUB"}}).empty());
    const Timestamp then = parse_rfc3339("2021-01-01T00:00:00Z").value();
    EXPECT_EQ(found({.patterns = {"two"}, .newest = then}), found_by_restic("--newest '2021-01-01 00:00:00' two"));
    EXPECT_EQ(found({.patterns = {"two"}, .oldest = then}), found_by_restic("--oldest '2021-01-01 00:00:00' two"));
    EXPECT_EQ(found({.patterns = {"two"}, .newest = then}).size(), 1u);
}

TEST_F(LookTest, FindNamesTheFilesOfABlobAPackAndATree) {
    const auto node = repository_->find_node(entries_[0].snapshot.tree, path("src/copy"));
    HF_OK(node);
    const Id blob = node->content.at(0);
    const auto look = [&](ObjectKind kind, const std::string& id) {
        std::set<std::string> paths;
        const auto status =
            find_objects(*repository_, entries_, kind, {id}, [&](const SnapshotEntry&, const ObjectHit& hit) -> Status {
                paths.insert(hit.path);
                return {};
            });
        EXPECT_TRUE(status) << error_text(status.error());
        return paths;
    };
    const std::set<std::string> both{path("src/copy"), path("src/same/x")};
    EXPECT_EQ(look(ObjectKind::blob, blob.hex()), both);
    EXPECT_EQ(look(ObjectKind::blob, blob.brief()), both);
    const auto place = repository_->places(format::BlobType::data, blob).at(0);
    EXPECT_TRUE(look(ObjectKind::pack, place.pack.hex()).contains(path("src/copy")));
    EXPECT_EQ(look(ObjectKind::tree, entries_[1].snapshot.tree.hex()), std::set<std::string>{"/"});
}

TEST_F(LookTest, FindRefusesWhatIsNoIdAndSaysWhenThereIsNone) {
    const auto ignore = [](const SnapshotEntry&, const ObjectHit&) -> Status { return {}; };
    EXPECT_EQ(find_objects(*repository_, entries_, ObjectKind::blob, {"xyz"}, ignore).error().code, ErrorCode::usage);
    EXPECT_EQ(find_objects(*repository_, entries_, ObjectKind::blob, {}, ignore).error().code, ErrorCode::usage);
    EXPECT_EQ(find_objects(*repository_, entries_, ObjectKind::blob, {std::string(64, '0')}, ignore).error().code,
              ErrorCode::not_found);
}

TEST_F(LookTest, ATarHoldsWhatARestoreGives) {
    const auto folder = repository_->find_node(entries_[1].snapshot.tree, path("src"));
    HF_OK(folder);
    std::string tar;
    HF_OK(dump_archive(*repository_, *folder, path("src"), ArchiveKind::tar, [&](ByteView bytes) -> Status {
        tar += as_text(bytes);
        return {};
    }));
    write("a.tar", tar);
    const auto names = [&](const char* file) { return sh("tar -tf \"$1\" 2>/dev/null | sort", {path(file)}).output; };
    ASSERT_TRUE(restic("dump latest \"$2\" > \"$2.restic.tar\"").ok);
    EXPECT_EQ(names("a.tar"), names("src.restic.tar"));
    HF_OK(os::make_folders(path("untarred")));
    const auto untarred = sh("tar -xpf \"$1\" -C \"$2\" --numeric-owner", {path("a.tar"), path("untarred")});
    ASSERT_TRUE(untarred.ok) << untarred.output;
    const auto same = sh("diff -r --no-dereference \"$1\" \"$2\"", {path("src"), path("untarred") + path("src")});
    EXPECT_TRUE(same.output.find("Only in") == std::string::npos) << same.output;
    const auto stat = os::status_of(path("untarred") + path("src/Sub/deep/one"));
    HF_OK(stat);
    EXPECT_EQ(stat->st_mode & 07777u, 0600u);
}

TEST_F(LookTest, AZipUnpacksToTheSameFiles) {
    const auto folder = repository_->find_node(entries_[0].snapshot.tree, path("src/Sub"));
    HF_OK(folder);
    std::string zip;
    HF_OK(dump_archive(*repository_, *folder, path("src/Sub"), ArchiveKind::zip, [&](ByteView bytes) -> Status {
        zip += as_text(bytes);
        return {};
    }));
    write("a.zip", zip);
    const auto unzipped = sh("unzip -q \"$1\" -d \"$2\"", {path("a.zip"), path("unzipped")});
    ASSERT_TRUE(unzipped.ok) << unzipped.output;
    EXPECT_EQ(read("unzipped" + path("src/Sub/two")), "b\n");
    EXPECT_EQ(read("unzipped" + path("src/Sub/deep/one")), "c\n");
}

TEST_F(LookTest, AnArchiveThatBreaksOffDoesNotLookWhole) {
    const auto folder = repository_->find_node(entries_[0].snapshot.tree, path("src"));
    HF_OK(folder);
    // The sink fails.
    std::size_t taken = 0;
    const auto refused =
        dump_archive(*repository_, *folder, path("src"), ArchiveKind::tar, [&](ByteView bytes) -> Status {
            taken += bytes.size();
            if (taken > 500'000) return fail(ErrorCode::disk_full, "no room");
            return {};
        });
    EXPECT_EQ(refused.error().code, ErrorCode::disk_full);
    // A blob is damaged.
    for (const std::string& pack : files_of(storage::FileKind::pack))
        if (os::status_of(pack)->st_size > 500'000) flip_byte(pack);
    std::string tar;
    const auto damaged =
        dump_archive(*repository_, *folder, path("src"), ArchiveKind::tar, [&](ByteView bytes) -> Status {
            tar += as_text(bytes);
            return {};
        });
    EXPECT_EQ(damaged.error().code, ErrorCode::corrupt);
    write("broken.tar", tar);
    EXPECT_FALSE(sh("tar -tf \"$1\"", {path("broken.tar")}).ok);
}

}    // namespace
}    // namespace holdfast::vault
