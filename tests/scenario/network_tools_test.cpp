// The repository's life over networks after its first backup: forget, prune, copy with two sets of keys, a new master key,
// repair; restic agrees wherever it reads the same place. Covers NS-06, NS-16.

#include <gmock/gmock.h>

#include "holdfast/os/host.hpp"
#include "network.hpp"

namespace holdfast::scenario {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class NetworkTools : public Scenario {
protected:
    // A place of one kind, and all that a program must be told to use it.
    struct Place {
        std::string location;
        Environment environment;
        std::vector<std::string> options, restic;    // restic: empty where it cannot be told of this server
    };
    Place s3() const {
        return {fmt::format("s3:{}/{}/desk", gateway().url(), new_bucket()), s3_keys(), {}, {"restic", "--no-cache"}};
    }
    Place azure() const {
        return {"azure:" + new_bucket() + ":/desk", azure_keys(), {"azure.endpoint=" + azurite().endpoint()}, {}};
    }
    Place sftp() const {
        return {testing::SshServer::location_at(ssh().port(), at("over-ssh")),
                {},
                sftp_options(),
                {"restic", "--no-cache", "-o",
                 fmt::format("sftp.command=ssh -F none -p {} -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={} "
                             "{}@127.0.0.1 -s sftp",
                             ssh().port(), ssh().identity(), ssh().known_hosts(), os::user_name())}};
    }
    Place rest(const Serving& serving) const {
        return {"rest:" + serving.url + "desk/", {}, {}, {"restic", "--no-cache"}};
    }
    Answer there(const Place& place, std::vector<std::string> arguments, const Environment& more = {}) const {
        for (const std::string& option : place.options) arguments.insert(arguments.end(), {"-o", option});
        Environment environment = place.environment;
        environment.emplace_back("HOLDFAST_REPOSITORY", place.location);
        environment.insert(environment.end(), more.begin(), more.end());
        return holdfast(std::move(arguments), environment);
    }
    void works(const Place& place, const std::vector<std::string>& arguments, const Environment& more = {}) const {
        const Answer answer = there(place, arguments, more);
        ASSERT_EQ(answer.exit, 0) << place.location << ": " << arguments[0] << ": " << answer.output << answer.errors;
    }
    void restic_agrees(const Place& place) const {
        if (place.restic.empty()) return;
        std::vector<std::string> arguments = place.restic;
        arguments.insert(arguments.end(), {"check", "--read-data"});
        Environment environment = place.environment;
        environment.emplace_back("RESTIC_REPOSITORY", place.location);
        const Answer answer = run(arguments, environment);
        EXPECT_EQ(answer.exit, 0) << place.location << answer.output << answer.errors;
    }
    std::uint64_t packs(const Place& place) const {
        const Answer listed = there(place, {"list", "packs"});
        EXPECT_EQ(listed.exit, 0) << listed.errors;
        return static_cast<std::uint64_t>(std::count(listed.output.begin(), listed.output.end(), '\n'));
    }
    // Two snapshots that share nothing.
    void fill(const Place& place) const {
        works(place, {"init"});
        for (const unsigned seed : {1u, 2u}) {
            ASSERT_TRUE(os::remove_tree(at("source")));
            make_files(at("source"), 6, seed);
            works(place, {"backup", at("source")});
        }
    }
    void expect_source_comes_back(const Place& place, const Environment& more = {}) const {
        ASSERT_TRUE(os::remove_tree(at("back")));
        works(place, {"restore", "latest", "--target", at("back")}, more);
        expect_equal_trees(at("source"), at("back") + at("source"));
    }
    void forgets_and_prunes(const Place& place) const {
        fill(place);
        const std::uint64_t before = packs(place);
        works(place, {"forget", "--keep-last", "1", "--prune"});
        EXPECT_LT(packs(place), before);
        works(place, {"check", "--read-data"});
        expect_source_comes_back(place);
        EXPECT_EQ(there(place, {"snapshots", "--json"}).json()["snapshots"].items().size(), 1u);
        restic_agrees(place);
    }
};

TEST_F(NetworkTools, ForgetAndPruneOverS3) { forgets_and_prunes(s3()); }
TEST_F(NetworkTools, ForgetAndPruneOverAzure) { forgets_and_prunes(azure()); }
TEST_F(NetworkTools, ForgetAndPruneOverSftp) {
    const Place place = sftp();
    forgets_and_prunes(place);
    // What an upload left that was killed days ago goes, too.
    const std::string leftover = at("over-ssh/index/") + std::string(64, 'a') + "-tmp-0123456789abcdef";
    write(leftover, "half");
    ASSERT_EQ(run({"touch", "-d", "2 days ago", leftover}).exit, 0);
    works(place, {"prune"});
    EXPECT_FALSE(os::exists(leftover));
}
TEST_F(NetworkTools, ForgetAndPruneOverRest) {
    const Serving serving = serve("served", {"--no-auth"});
    forgets_and_prunes(rest(serving));
}

TEST_F(NetworkTools, AppendOnlyRestRefusesToForgetBeforeAnythingChanges) {
    const Serving serving = serve("served", {"--no-auth", "--append-only"});
    const Place place = rest(serving);
    fill(place);
    const Answer refused = there(place, {"forget", "--keep-last", "1", "--prune"});
    EXPECT_EQ(refused.exit, 1) << refused.output;
    EXPECT_THAT(refused.errors, HasSubstr("append-only"));
    EXPECT_EQ(there(place, {"snapshots", "--json"}).json()["snapshots"].items().size(), 2u);
    restic_agrees(place);
}

TEST_F(NetworkTools, CopyBetweenNetworksWithKeysAndPasswordsOfTheirOwn) {
    const Place from = s3(), to = azure();
    fill(from);
    write(at("from.env"), "AWS_ACCESS_KEY_ID=AKTEST\nAWS_SECRET_ACCESS_KEY=sk/test+1\n", 0600);
    write(at("to-password"), "another password\n", 0600);
    const Environment theirs = {{"HOLDFAST_PASSWORD_FILE", at("to-password")}, {"AWS_SESSION_TOKEN", "foreign"}};
    works(to, {"init"}, theirs);
    const std::vector<std::string> copy = {"copy",
                                           "--from-repo",
                                           from.location,
                                           "--from-password-file",
                                           password_file(),
                                           "--from-credentials-file",
                                           at("from.env"),
                                           "--from-option",
                                           "s3.connections=2"};
    works(to, copy, theirs);
    works(to, {"check", "--read-data"}, theirs);
    expect_source_comes_back(to, theirs);
    const Answer again = there(to, copy, theirs);
    EXPECT_THAT(again.output, HasSubstr("0 snapshots copied"));

    Answer wrong = there(to, {"copy", "--from-repo", from.location, "--from-password-file", password_file()}, theirs);
    EXPECT_NE(wrong.exit, 0);
    EXPECT_THAT(wrong.errors, HasSubstr("AWS_ACCESS_KEY_ID"));
    std::vector<std::string> misspelt = copy;
    misspelt.back() = "s3.conections=2";
    EXPECT_EQ(there(to, misspelt, theirs).exit, 2);
    // By the environment alone, as restic names the repository and its password.
    works(to, {"copy"},
          {{"HOLDFAST_PASSWORD_FILE", at("to-password")},
           {"RESTIC_FROM_REPOSITORY", from.location},
           {"RESTIC_FROM_PASSWORD_FILE", password_file()},
           {"HOLDFAST_FROM_CREDENTIALS_FILE", at("from.env")}});
}

TEST_F(NetworkTools, ANewMasterKeyFromS3ToSftp) {
    const Place from = s3(), to = sftp();
    fill(from);
    Place both = from;
    both.options = to.options;
    works(both, {"rekey", "--to", to.location});
    works(to, {"check", "--read-data"});
    expect_source_comes_back(to);
    restic_agrees(to);
}

TEST_F(NetworkTools, RepairOverS3AndRest) {
    const Serving serving = serve("served", {"--no-auth"});
    for (const Place& place : {s3(), rest(serving)}) {
        fill(place);
        // All index files are lost: restic and we find everything again from the packs themselves.
        const storage::BackendOptions plain;
        for (const auto& [name, value] : place.environment) ::setenv(name.c_str(), value.c_str(), 1);
        const auto backend = storage::open_backend(place.location, plain);
        for (const auto& [name, value] : place.environment) ::unsetenv(name.c_str());
        ASSERT_TRUE(backend) << backend.error().message;
        std::vector<storage::FileName> names;
        ASSERT_TRUE((*backend)->list(storage::FileKind::index, [&](const Id& id, std::uint64_t) {
            names.push_back({storage::FileKind::index, id});
        }));
        ASSERT_TRUE((*backend)->remove_many(names, [](const storage::FileName&) {}));
        EXPECT_NE(there(place, {"check"}).exit, 0);
        works(place, {"repair", "index"});
        works(place, {"check", "--read-data"});
        restic_agrees(place);
        expect_source_comes_back(place);

        // A pack is lost for good: what can be told of the snapshots is kept.
        names.clear();
        std::uint64_t largest = 0;
        ASSERT_TRUE((*backend)->list(storage::FileKind::pack, [&](const Id& id, std::uint64_t size) {
            if (size > largest) names = {{storage::FileKind::pack, id}};
            largest = std::max(largest, size);
        }));
        ASSERT_TRUE((*backend)->remove(names.at(0)));
        works(place, {"repair", "index"});
        const Answer repaired = there(place, {"repair", "snapshots", "--forget"});
        EXPECT_EQ(repaired.exit, 3) << repaired.output << repaired.errors;
        works(place, {"check", "--read-data"});
        restic_agrees(place);
    }
}

}    // namespace
}    // namespace holdfast::scenario
