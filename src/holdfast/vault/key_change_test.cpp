#include "holdfast/vault/key_change.hpp"

#include <gmock/gmock.h>

#include <ctime>

#include "holdfast/testing/faulty_backend.hpp"
#include "holdfast/vault/fixture_test.hpp"
#include "holdfast/vault/machine_key.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

class KeyChangeTest : public VaultTest {
protected:
    void SetUp() override { init(); }
    static NewKey cheap(std::string user = {}, std::string host = {}) {
        return {{std::move(user), std::move(host)}, {1024, 8, 1}};
    }
    bool opens(const std::string& password) {
        const auto opened = Repository::open(storage::local_backend(repo_path()), Secret(password), clock_);
        if (!opened) {
            EXPECT_EQ(opened.error().code, ErrorCode::wrong_password) << opened.error().message;
        }
        return opened.has_value();
    }
    static bool restic_opens(const std::string& repo, const std::string& password) {
        return sh("RESTIC_PASSWORD=\"$2\" restic --no-cache -r \"$1\" cat config", {repo, password}).ok;
    }
    void reopen_with(const std::string& password) {
        repository_.reset();
        auto opened = Repository::open(storage::local_backend(repo_path()), Secret(password), clock_);
        HF_OK(opened);
        repository_ = *std::move(opened);
    }
    std::vector<KeyEntry> keys() { return list_keys(*repository_).value(); }
};

TEST_F(KeyChangeTest, SeveralPasswordsOpenOneRepositoryForUsAndForRestic) {
    HF_OK(add_key(*repository_, Secret("second"), cheap("desk", "trading-2")));
    EXPECT_TRUE(opens(k_password));
    EXPECT_TRUE(opens("second"));
    EXPECT_TRUE(restic_opens(repo_path(), "second"));
    const auto listed = keys();
    ASSERT_EQ(listed.size(), 2u);
    EXPECT_TRUE(listed[0].current);
    EXPECT_FALSE(listed[1].current);
    EXPECT_EQ(listed[1].username, "desk");
    EXPECT_EQ(listed[1].hostname, "trading-2");
    const auto seen_by_restic = sh("restic --no-cache -r \"$1\" key list", {repo_path()});
    EXPECT_NE(seen_by_restic.output.find(listed[1].id.brief()), std::string::npos) << seen_by_restic.output;
}

TEST_F(KeyChangeTest, AMachineKeyOpensARepositoryForUsAndForRestic) {    // DD-05, DD-06
    const MachineKey key = MachineKey::draw();
    EXPECT_NE(key.text().reveal(), MachineKey::draw().text().reveal());
    // 56 digits of five bits each after the prefix.
    EXPECT_THAT(std::string(key.text().reveal()), ::testing::MatchesRegex("hfkey(-[a-z2-9]{8}){7}"));
    HF_OK(add_key(*repository_, key.text(), {{}, MachineKey::k_cost}));
    EXPECT_TRUE(opens(key.text().reveal()));
    EXPECT_TRUE(restic_opens(repo_path(), key.text().reveal()));
    // What a person chose costs what it always did, wherever it is given.
    EXPECT_FALSE(is_machine_key_cost(NewKey().cost));
    EXPECT_FALSE(is_machine_key_cost(InitOptions().cost));
    EXPECT_TRUE(is_machine_key_cost(keys()[1].cost));
}

TEST_F(KeyChangeTest, AMachineKeyDoesNotPayForThePasswordsBesideIt) {
    // Several dear ones: names sort by chance, so at least one of them would be in front.
    const MachineKey key = MachineKey::draw();
    HF_OK(add_key(*repository_, key.text(), {{}, MachineKey::k_cost}));
    for (int i = 0; i < 4; ++i) {
        format::KeyFile file = read_key_file(repository_->backend(), keys()[0].id).value();
        file.cost = {32768, 8, 5};
        file.salt[0] = static_cast<std::byte>(i);
        const std::string text = format::encode(file);
        HF_OK(repository_->backend().put({FileKind::key, format::sha256(as_bytes(text))}, as_bytes(text)));
    }
    // CPU time, not time: others' load does not count.
    const auto before = std::clock();
    EXPECT_TRUE(opens(key.text().reveal()));
    const auto with_key = std::clock();
    EXPECT_FALSE(opens("a wrong one"));    // tries them all
    EXPECT_LT((with_key - before) * 10, std::clock() - with_key);
}

TEST_F(KeyChangeTest, ListsAndRemovesWhatResticAdded) {
    const auto added =
        sh("printf third > \"$2\"; restic --no-cache -r \"$1\" key add --new-password-file \"$2\" --user u --host h",
           {repo_path(), path("third")});
    ASSERT_TRUE(added.ok) << added.output;
    EXPECT_TRUE(opens("third"));
    const auto listed = keys();
    ASSERT_EQ(listed.size(), 2u);
    EXPECT_EQ(listed[1].username, "u");
    HF_OK(remove_key(*repository_, listed[1].id.hex()));
    EXPECT_FALSE(opens("third"));
    EXPECT_TRUE(restic_opens(repo_path(), k_password));
}

TEST_F(KeyChangeTest, AChangedPasswordClosesTheOldOneAndTheRepositoryGoesOn) {    // DD-06
    const Id old = keys()[0].id;
    const auto change = change_password(*repository_, Secret("fresh"), cheap());
    HF_OK(change);
    EXPECT_EQ(change->removed, old);
    EXPECT_TRUE(opens("fresh"));
    EXPECT_TRUE(restic_opens(repo_path(), "fresh"));
    EXPECT_FALSE(opens(k_password));
    EXPECT_FALSE(restic_opens(repo_path(), k_password));
    write("a/file", "content");
    HF_OK(back_up(path("a")));
    // The repository that stayed open knows its new key.
    EXPECT_TRUE(keys()[0].current);
    HF_OK(change_password(*repository_, Secret("fresher"), cheap()));
    EXPECT_TRUE(opens("fresher"));
    EXPECT_FALSE(opens("fresh"));
}

TEST_F(KeyChangeTest, TheKeyInUseIsNeverRemoved) {
    const Id mine = keys()[0].id;
    const auto refused = remove_key(*repository_, mine.hex());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::usage);
    EXPECT_TRUE(opens(k_password));
}

TEST_F(KeyChangeTest, RefusesPrefixesThatAreTooShortUnknownOrNoDigits) {
    for (const char* prefix : {"", "abc", "xyz1", "ABCD", "../../../../etc"})
        EXPECT_EQ(remove_key(*repository_, prefix).error().code, ErrorCode::usage) << prefix;
    std::string other = keys()[0].id.hex().substr(0, 8);
    other[0] = other[0] == '0' ? '1' : '0';
    EXPECT_EQ(remove_key(*repository_, other).error().code, ErrorCode::not_found);
    EXPECT_EQ(files_of(FileKind::key).size(), 1u);
}

TEST_F(KeyChangeTest, AnEmptyPasswordIsRefused) {
    EXPECT_EQ(add_key(*repository_, Secret()).error().code, ErrorCode::usage);
    EXPECT_EQ(change_password(*repository_, Secret()).error().code, ErrorCode::usage);
    EXPECT_EQ(files_of(FileKind::key).size(), 1u);
}

TEST_F(KeyChangeTest, AFullDiskLeavesTheOldPasswordWorking) {
    const auto faults = std::make_shared<testing::Faults>();
    reopen(testing::faulty_backend(storage::local_backend(repo_path()), faults));
    faults->bytes_left = 400;    // the lock fits, the key file does not
    EXPECT_EQ(change_password(*repository_, Secret("fresh"), cheap()).error().code, ErrorCode::disk_full);
    faults->bytes_left = 1 << 20;
    EXPECT_TRUE(opens(k_password));
    EXPECT_FALSE(opens("fresh"));
    EXPECT_EQ(keys().size(), 1u);
}

TEST_F(KeyChangeTest, ANewKeyThatIsNotSafeYetRemovesNothing) {
    const auto faults = std::make_shared<testing::Faults>();
    reopen(testing::faulty_backend(storage::local_backend(repo_path()), faults));
    faults->fail_sync = true;
    EXPECT_EQ(change_password(*repository_, Secret("fresh"), cheap()).error().code, ErrorCode::io);
    EXPECT_TRUE(opens(k_password));
}

TEST_F(KeyChangeTest, DeadAfterAnyStepAPasswordWorksAndNeitherIsLostUnknown) {
    for (int step = 0; step < 6; ++step) {
        const auto faults = std::make_shared<testing::Faults>();
        reopen(testing::faulty_backend(storage::local_backend(repo_path()), faults));
        faults->commits_left = step;
        const bool changed = change_password(*repository_, Secret("fresh"), cheap()).has_value();
        faults->commits_left = 1 << 20;
        // Removed, but not yet synced when the disk died: that is no success, and the new one opens.
        const bool old_opens = opens(k_password);
        EXPECT_TRUE(changed ? opens("fresh") : old_opens || opens("fresh")) << "step " << step;
        if (!old_opens) {
            reopen_with("fresh");
            HF_OK(change_password(*repository_, Secret(k_password), cheap()));
        }
    }
}

TEST_F(KeyChangeTest, OthersAtWorkExcludeRemovalAndChangeButNotAdding) {
    auto other = Repository::open(storage::local_backend(repo_path()), Secret(k_password), clock_);
    HF_OK(other);
    const auto lock = (*other)->lock(LockMode::shared);
    HF_OK(lock);
    EXPECT_EQ(change_password(*repository_, Secret("fresh"), cheap()).error().code, ErrorCode::locked);
    EXPECT_EQ(remove_key(*repository_, keys()[0].id.hex()).error().code, ErrorCode::locked);
    HF_OK(add_key(*repository_, Secret("second"), cheap()));
}

TEST_F(KeyChangeTest, ADamagedKeyFileIsNamedAndTheOthersAreListed) {
    HF_OK(add_key(*repository_, Secret("second"), cheap()));
    const Id second = keys()[1].id;
    flip_byte(repo_path() + "/keys/" + second.hex());
    EXPECT_EQ(list_keys(*repository_).error().code, ErrorCode::corrupt);
    std::vector<Id> damaged;
    const auto listed = list_keys(*repository_, [&](const Id& id, const Error&) { damaged.push_back(id); });
    HF_OK(listed);
    EXPECT_EQ(listed->size(), 1u);
    EXPECT_EQ(damaged, std::vector<Id>{second});
    EXPECT_TRUE(opens(k_password));
    HF_OK(remove_key(*repository_, second.hex()));    // also a damaged one can go
}

}    // namespace
}    // namespace holdfast::vault
