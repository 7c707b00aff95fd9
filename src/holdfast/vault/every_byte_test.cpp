// Every byte of a small repository damaged in turn, every file cut at every length, files lengthened, exchanged, doubled
// and renamed: check sees each, and a restore gives what was saved or fails. Never something else.

#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/keys.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class EveryByte : public VaultTest {
protected:
    void SetUp() override {
        InitOptions options;
        options.cost = {16, 1, 1};    // thousands of openings
        auto made = Repository::init(storage::local_backend(repo_path()), Secret(k_password), clock_, options);
        HF_OK(made);
        repository_ = *std::move(made);
        // Somebody else's: this repository opens without it, and check must look at it all the same.
        HF_OK(write_key_file(repository_->backend(), repository_->master_key(), Secret("another"), options.cost, {}));
        write("src/text", "some text\n" + std::string(300, 'x'));
        write("src/noise", noise(64));
        write("src/folder/other", noise(48, 2));
        HF_OK(back_up(path("src")));
        write("src/text", "another text\n");
        HF_OK(back_up(path("src")));
        const auto entries = repository_->snapshots();
        HF_OK(entries);
        for (const SnapshotEntry& entry : *entries) snapshots_.push_back(entry.id);
        files_[FileKind::config] = {repo_path() + "/config"};
        for (const FileKind kind : {FileKind::key, FileKind::index, FileKind::snapshot, FileKind::pack})
            files_[kind] = files_of(kind);
        for (const Id& id : snapshots_) expected_.push_back(restored(id).value());
        repository_.reset();
        // Empty folders are only looked through, thousands of times; the format allows them to be absent.
        sh("find \"$1/data\" -mindepth 1 -type d -empty -delete", {repo_path()});
        ASSERT_NE(expected_[0], expected_[1]);
    }

    /// All that a restore made: path, type and content.
    Result<std::string> restored(const Id& id) {
        HF_DO(os::remove_tree(path("out")));
        HF_DO(repository_->load_index());
        HF_TRY(const auto entry, repository_->find_snapshot(id.hex()));
        RestoreOptions options;
        options.target = path("out");
        options.sync = false;
        options.workers = 1;
        HF_DO(restore(*repository_, entry, options));
        std::string all;
        for (const char* name : {"text", "noise", "folder/other"}) {
            HF_TRY(const Bytes content, os::read_file(path("out") + path("src") + '/' + name));
            all.append(name).append("=").append(as_text(content)).append(";");
        }
        return all;
    }

    /// What damage does: check says so (or the repository does not open), and no restore gives anything wrong.
    void expect_seen(const std::string& what) {
        auto opened = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
        if (!opened) {
            EXPECT_NE(opened.error().code, ErrorCode::wrong_password) << what;
            EXPECT_NE(opened.error().code, ErrorCode::internal) << what;
            return;
        }
        repository_ = *std::move(opened);
        const auto report = check(*repository_, {.read_data = true, .progress = {}});
        EXPECT_TRUE(!report || !report->ok()) << what << ": check sees nothing";
        reopen();
        for (std::size_t i = 0; i < snapshots_.size(); ++i) {
            const auto out = restored(snapshots_[i]);
            if (out) {
                EXPECT_EQ(*out, expected_[i]) << what << ": a restore gave something else";
            } else {
                EXPECT_NE(out.error().code, ErrorCode::internal) << what << ": " << out.error().message;
            }
        }
        repository_.reset();
    }

    template <class Each>
    void for_each_file(Each each) {
        for (const auto& [kind, files] : files_)
            for (const std::string& file : files) {
                const Bytes whole = os::read_file(file).value();
                each(file, whole);
                HF_OK(os::write_file(file, whole));
                ASSERT_FALSE(HasFailure()) << file;
            }
    }

    std::map<FileKind, std::vector<std::string>> files_;
    std::vector<Id> snapshots_;
    std::vector<std::string> expected_;
};

TEST_F(EveryByte, FlippedIsSeenAndNeverRestored) {
    std::size_t flips = 0;
    for_each_file([&](const std::string& file, const Bytes& whole) {
        for (std::size_t at = 0; at < whole.size() && !HasFailure(); ++at) {
            Bytes damaged = whole;
            damaged[at] ^= std::byte(1u << (at % 8));
            HF_OK(os::write_file(file, damaged));
            expect_seen(file + ": bit " + std::to_string(at % 8) + " of byte " + std::to_string(at) + " flipped");
            ++flips;
        }
    });
    EXPECT_GT(flips, 2000u);
}

TEST_F(EveryByte, CutAtAnyLengthOrLengthenedIsSeen) {
    for_each_file([&](const std::string& file, const Bytes& whole) {
        for (std::size_t length = 0; length <= whole.size() + 2 && !HasFailure(); ++length) {
            if (length == whole.size()) continue;
            Bytes cut = whole;
            cut.resize(length);
            HF_OK(os::write_file(file, cut));
            expect_seen(file + " cut to " + std::to_string(length) + " of " + std::to_string(whole.size()));
        }
    });
}

TEST_F(EveryByte, AFileThatIsGoneIsSeen) {
    for_each_file([&](const std::string& file, const Bytes&) {
        ASSERT_EQ(::unlink(file.c_str()), 0);
        // What was there is nowhere written: a snapshot that is gone is one that was forgotten, a key one that was removed.
        if (file.find("/snapshots/") != std::string::npos || file.find("/keys/") != std::string::npos) return;
        expect_seen(file + " removed");
    });
}

TEST_F(EveryByte, FilesExchangedOrUnderAnotherNameAreSeen) {
    std::vector<std::string> all;
    for (const auto& [kind, files] : files_) all.insert(all.end(), files.begin(), files.end());
    for (const std::string& one : all)
        for (const std::string& other : all) {
            if (one >= other || HasFailure()) continue;
            const Bytes first = os::read_file(one).value(), second = os::read_file(other).value();
            HF_OK(os::write_file(one, second));
            expect_seen(other + " in the place of " + one);
            HF_OK(os::write_file(other, first));
            expect_seen(one + " and " + other + " exchanged");
            HF_OK(os::write_file(one, first));
            expect_seen(one + " in the place of " + other);
            HF_OK(os::write_file(other, second));
        }
}

TEST_F(EveryByte, AFileOfOneKindDoesNotPassForOneOfAnother) {
    // Under its own right name, so that only what is in it gives it away.
    for (const auto& [kind, files] : files_)
        for (const std::string& file : files)
            for (const char* folder : {"index", "snapshots", "keys"}) {
                const std::string id = format::sha256(os::read_file(file).value()).hex();
                const std::string place = repo_path() + '/' + folder + '/' + id;
                if (os::exists(place)) continue;
                HF_OK(os::write_file(place, os::read_file(file).value()));
                expect_seen(file + " as " + place);
                ASSERT_EQ(::unlink(place.c_str()), 0);
            }
}

}    // namespace
}    // namespace holdfast::vault
