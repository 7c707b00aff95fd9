// Passwords: several for one repository, changed, taken away; and the places where they may lie.

#include <gmock/gmock.h>
#include <unistd.h>

#include <chrono>

#include "holdfast/os/host.hpp"
#include "holdfast/storage/local.hpp"
#include "holdfast/vault/key_change.hpp"
#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;
using testing::Not;

class Keys : public Scenario {
protected:
    void SetUp() override {
        make_cheap_repository();
        write(at("second"), "second password\n", 0600);
    }
    Environment with(const std::string& file) const { return {{"HOLDFAST_PASSWORD_FILE", at(file)}}; }
};

TEST_F(Keys, APasswordIsAddedChangedAndTakenAway) {    // DD-06
    ASSERT_EQ(holdfast({"key", "add", "--new-password-file", at("second"), "--user", "desk"}).exit, 0);
    const json::Value listed = holdfast({"key", "list", "--json"}, with("second")).json();
    ASSERT_EQ(listed["keys"].items().size(), 2u);
    EXPECT_EQ(listed["password_max_age_days"].integer(), 90);
    EXPECT_TRUE(listed["keys"].items()[1]["current"].boolean());
    EXPECT_EQ(listed["keys"].items()[1]["userName"].text(), "desk");
    EXPECT_FALSE(listed["keys"].items()[0]["due"].boolean(true));
    // The first password goes, with the second one in hand.
    const Answer removed = holdfast({"key", "remove", listed["keys"].items()[0]["id"].text()}, with("second"));
    EXPECT_EQ(removed.exit, 0) << removed.errors;
    EXPECT_EQ(holdfast({"snapshots"}).exit, 12);

    write(at("third"), "third password\n", 0600);
    const Answer changed = holdfast({"key", "passwd", "--new-password-file", at("third")}, with("second"));
    EXPECT_EQ(changed.exit, 0) << changed.errors;
    EXPECT_THAT(changed.output + changed.errors, Not(HasSubstr("third password")));
    EXPECT_EQ(holdfast({"snapshots"}, with("second")).exit, 12);
    EXPECT_EQ(run({"restic", "--no-cache", "snapshots"}, {{"RESTIC_PASSWORD_FILE", at("third")}}).exit, 0);
}

// The clock of the day on which a key was made.
class EarlierClock final : public Clock {
public:
    explicit EarlierClock(int days) : days_(days) {}
    Timestamp now() const override { return real_.now() - std::chrono::hours(24) * days_; }
    Instant instant() const override { return real_.instant(); }
    void sleep(Duration d) override { real_.sleep(d); }

private:
    os::SystemClock real_;
    const int days_;
};

TEST_F(Keys, APasswordOfMoreThanNinetyDaysIsDueUntilItIsChanged) {    // DD-06
    const auto due = [&](const std::string& file) {
        return holdfast({"status", "--json"}, with(file)).json()["password"]["due"].boolean();
    };
    for (const auto& [days, file] : {std::pair(89, "of-89-days"), std::pair(91, "of-91-days")}) {
        EarlierClock clock(days);
        auto opened =
            vault::Repository::open(storage::local_backend(repository()), Secret(std::string(password())), clock);
        ASSERT_TRUE(opened) << opened.error().message;
        vault::NewKey key;
        key.cost = {1024, 8, 1};
        ASSERT_TRUE(vault::add_key(**opened, Secret(std::string(file)), key));
        write(at(file), file, 0600);
    }
    EXPECT_FALSE(due("password"));
    EXPECT_FALSE(due("of-89-days"));
    EXPECT_TRUE(due("of-91-days"));
    EXPECT_THAT(holdfast({"status"}, with("of-91-days")).output, HasSubstr("due for a change: `holdfast key passwd`"));
    ASSERT_EQ(holdfast({"key", "passwd", "--new-password-file", at("second")}, with("of-91-days")).exit, 0);
    EXPECT_FALSE(due("second"));
}

TEST_F(Keys, AMachineKeyIsAddedAndChanged) {    // DD-05, DD-06
    // A repository as it comes, of a person's password.
    const Environment new_place{{"HOLDFAST_REPOSITORY", at("other")}, {"RESTIC_REPOSITORY", at("other")}};
    const auto with_key = [&](const std::string& file) {
        Environment both = new_place;
        both.emplace_back("HOLDFAST_PASSWORD_FILE", at(file));
        both.emplace_back("RESTIC_PASSWORD_FILE", at(file));
        return both;
    };
    ASSERT_EQ(holdfast({"init"}, new_place).exit, 0);
    const Answer added = holdfast({"key", "add", "--generate-key", at("keys/machine"), "--json"}, new_place);
    ASSERT_EQ(added.exit, 0) << added.errors;
    EXPECT_EQ(added.json()["key_file"].text(), at("keys/machine"));
    const std::string key = os::read_text(at("keys/machine")).value();
    EXPECT_EQ(os::status_of(at("keys/machine"))->st_mode & 07777, 0600u);
    EXPECT_THAT(added.output + added.errors, Not(HasSubstr(key.substr(8, 8))));
    EXPECT_EQ(run({"restic", "--no-cache", "snapshots"}, with_key("keys/machine")).exit, 0);
    const json::Value listed = holdfast({"key", "list", "--json"}, with_key("keys/machine")).json();
    ASSERT_EQ(listed["keys"].items().size(), 2u);
    EXPECT_EQ(listed["keys"].items()[0]["kind"].text(), "password");
    EXPECT_EQ(listed["keys"].items()[1]["kind"].text(), "machine");
    EXPECT_TRUE(listed["keys"].items()[1]["current"].boolean());

    // Never over what is there, and then no key is added either.
    const Answer refused = holdfast({"key", "add", "--generate-key", at("keys/machine")}, new_place);
    EXPECT_EQ(refused.exit, 1);
    EXPECT_THAT(refused.errors, HasSubstr("already"));
    EXPECT_EQ(os::read_text(at("keys/machine")).value(), key);
    EXPECT_EQ(holdfast({"key", "list", "--json"}, new_place).json()["keys"].items().size(), 2u);
    // A password that does not open the repository leaves no file behind.
    EXPECT_EQ(holdfast({"key", "add", "--generate-key", at("none")}, with_key("second")).exit, 12);
    EXPECT_FALSE(os::exists(at("none")));

    // 90 days later, by the machine itself.
    EXPECT_EQ(holdfast({"key", "passwd", "--generate-key", at("keys/machine.new")}, with_key("keys/machine")).exit, 0);
    EXPECT_EQ(holdfast({"snapshots"}, with_key("keys/machine")).exit, 12);
    EXPECT_EQ(holdfast({"snapshots"}, with_key("keys/machine.new")).exit, 0);
    // The same text, given as somebody's password, costs what a password costs.
    ASSERT_EQ(holdfast({"key", "add", "--new-password-file", at("keys/machine")}, new_place).exit, 0);
    const json::Value after = holdfast({"key", "list", "--json"}, new_place).json();
    EXPECT_EQ(after["keys"].items().back()["kind"].text(), "password");
}

TEST_F(Keys, TheKeyInUseStays) {
    const std::string id = holdfast({"key", "list", "--json"}).json()["keys"].items().at(0)["id"].text();
    const Answer refused = holdfast({"key", "remove", id});
    EXPECT_EQ(refused.exit, 2);
    EXPECT_THAT(refused.errors, HasSubstr("in use"));
    EXPECT_EQ(holdfast({"snapshots"}).exit, 0);
}

TEST_F(Keys, ThePasswordComesFromTheKernelsKeyRing) {    // DD-06
    const std::string key = "holdfast-scenario:" + std::to_string(::getpid());
    const Answer stored = holdfast({"key", "store-in-keyring", key, "--timeout", "600"});
    ASSERT_EQ(stored.exit, 0) << stored.errors;
    const Answer opened = holdfast_bare({"snapshots", "--repo", repository(), "--password-keyring", key});
    EXPECT_EQ(opened.exit, 0) << opened.errors;
    const std::string config = at("holdfast.toml");
    write(config, "[repository]\nlocation = \"" + repository() + "\"\npassword_keyring = \"" + key + "\"\n");
    EXPECT_EQ(holdfast_bare({"snapshots", "--config", config}).exit, 0);
    EXPECT_EQ(holdfast_bare({"snapshots", "--repo", repository()}, {{"HOLDFAST_PASSWORD_KEYRING", key}}).exit, 0);
    EXPECT_EQ(holdfast({"key", "store-in-keyring", "--remove", key}).exit, 0);
    const Answer gone = holdfast_bare({"snapshots", "--config", config});
    EXPECT_EQ(gone.exit, 1);
    EXPECT_THAT(gone.errors, HasSubstr("store-in-keyring"));
}

TEST_F(Keys, AWrongPasswordDoesNotGetIntoTheKeyRing) {
    const std::string key = "holdfast-scenario-wrong:" + std::to_string(::getpid());
    EXPECT_EQ(holdfast({"key", "store-in-keyring", key}, with("second")).exit, 12);
    EXPECT_EQ(holdfast_bare({"snapshots", "--repo", repository(), "--password-keyring", key}).exit, 1);
}

TEST_F(Keys, ThePasswordComesFromTheServiceManager) {    // DD-06
    write(at("credentials/vault"), password() + "\n", 0400);
    const Answer opened = holdfast_bare({"snapshots", "--repo", repository(), "--password-credential", "vault"},
                                        {{"CREDENTIALS_DIRECTORY", at("credentials")}});
    EXPECT_EQ(opened.exit, 0) << opened.errors;
    const Answer outside = holdfast_bare({"snapshots", "--repo", repository(), "--password-credential", "vault"});
    EXPECT_EQ(outside.exit, 2);
    EXPECT_THAT(outside.errors, HasSubstr("LoadCredential=vault:"));
}

TEST_F(Keys, TwoPlacesForOnePasswordAreRefused) {
    const Answer refused = holdfast({"key", "add", "--new-password-file", at("second"), "--new-password-command", "x"});
    EXPECT_EQ(refused.exit, 2);
    EXPECT_EQ(holdfast({"key", "list", "--json"}).json()["keys"].items().size(), 1u);
}

}    // namespace
}    // namespace holdfast::scenario
