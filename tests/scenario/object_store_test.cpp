// Off-site: a repository in S3 (radosgw) and in Azure Blob storage (azurite), used as on a disk; restic works in the same
// bucket. Covers NS-06, NS-12 (a new machine restores from off-site with nothing but the keys and the password).

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/testing/azurite_server.hpp"
#include "holdfast/testing/rados_gateway.hpp"
#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::AzuriteServer;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RadosGateway;

RadosGateway& gateway() {
    static Result<RadosGateway> started = RadosGateway::start();
    if (!started) ADD_FAILURE() << started.error().message << " " << started.error().hint;
    HF_ASSERT(started.has_value());
    return *started;
}

class ObjectStore : public Scenario {
protected:
    // Everything that a machine needs to know.
    Environment s3(const std::string& bucket, const std::string& secret = "sk/test+1") const {
        const std::string place = fmt::format("s3:{}/{}/stack", gateway().url(), bucket);
        return {{"HOLDFAST_REPOSITORY", place},
                {"RESTIC_REPOSITORY", place},
                {"AWS_ACCESS_KEY_ID", "AKTEST"},
                {"AWS_SECRET_ACCESS_KEY", secret}};
    }
    void expect_ok(const Answer& answer) { ASSERT_EQ(answer.exit, 0) << answer.output << answer.errors; }
};

TEST_F(ObjectStore, HoldsARepositoryThatResticReadsAndWritesToo) {
    const Environment place = s3("vault");
    make_files(at("data"), 40);
    expect_ok(holdfast({"init"}, place));
    expect_ok(holdfast({"backup", at("data")}, place));
    expect_ok(holdfast({"check", "--read-data"}, place));
    expect_ok(holdfast({"restore", "latest", "--target", at("out")}, place));
    expect_equal_trees(at("data"), at("out") + at("data"));

    // restic, over the wire, in the same bucket.
    expect_ok(run({"restic", "--no-cache", "check", "--read-data"}, place));
    expect_ok(run({"restic", "--no-cache", "restore", "latest", "--target", at("theirs")}, place));
    expect_equal_trees(at("data"), at("theirs") + at("data"));

    // And what restic wrote there is ours to read.
    make_files(at("more"), 3, 7);
    expect_ok(run({"restic", "--no-cache", "backup", at("more")}, place));
    expect_ok(holdfast({"restore", "latest", "--path", at("more"), "--target", at("back")}, place));
    expect_equal_trees(at("more"), at("back") + at("more"));
    const Answer listed = holdfast({"snapshots", "--json"}, place);
    expect_ok(listed);
    expect_ok(holdfast({"check"}, place));

    // A second init must not replace what is there.
    const Answer again = holdfast({"init"}, place);
    EXPECT_NE(again.exit, 0);
    EXPECT_THAT(again.errors, HasSubstr("already"));
}

TEST_F(ObjectStore, IsReadByRepositoriesOfResticsMaking) {
    const Environment place = s3("theirs");
    make_files(at("data"), 5);
    expect_ok(run({"restic", "--no-cache", "init", "--repository-version", "2"}, place));
    expect_ok(run({"restic", "--no-cache", "backup", at("data")}, place));
    expect_ok(holdfast({"check", "--read-data"}, place));
    expect_ok(holdfast({"restore", "latest", "--target", at("out")}, place));
    expect_equal_trees(at("data"), at("out") + at("data"));
}

TEST_F(ObjectStore, SaysWhatIsWrongWithTheKeysAndKeepsThemSecret) {
    const Answer wrong = holdfast({"snapshots"}, s3("vault", "this-is-not-it"));
    EXPECT_EQ(wrong.exit, 1);
    EXPECT_THAT(wrong.errors, HasSubstr("SignatureDoesNotMatch"));
    EXPECT_THAT(wrong.errors, HasSubstr("AWS_SECRET_ACCESS_KEY"));
    EXPECT_THAT(wrong.errors + wrong.output, Not(HasSubstr("this-is-not-it")));
    Environment none = s3("vault");
    none.resize(1);
    const Answer without = holdfast({"snapshots"}, none);
    EXPECT_EQ(without.exit, 1);
    EXPECT_THAT(without.errors, HasSubstr("AWS_ACCESS_KEY_ID"));
    const Answer nothing = holdfast({"snapshots"}, s3("no-such-bucket"));
    EXPECT_EQ(nothing.exit, 10) << nothing.errors;
    const Answer option = holdfast({"snapshots", "-o", "s3.regoin=x"}, s3("vault"));
    EXPECT_EQ(option.exit, 2);
    EXPECT_THAT(option.errors, HasSubstr("s3.regoin"));
}

TEST_F(ObjectStore, HoldsARepositoryInAzure) {
    auto server = AzuriteServer::start();
    ASSERT_TRUE(server) << server.error().message << server.error().hint;
    const Environment place = {{"HOLDFAST_REPOSITORY", "azure:vault:/stack"},
                               {"AZURE_ACCOUNT_NAME", "hfaccount"},
                               {"AZURE_ACCOUNT_KEY", to_base64(server->credentials().key)}};
    const std::vector<std::string> endpoint = {"-o", "azure.endpoint=" + server->endpoint()};
    const auto there = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.end(), endpoint.begin(), endpoint.end());
        return holdfast(arguments, place);
    };
    make_files(at("data"), 20);
    expect_ok(there({"init"}));
    expect_ok(there({"backup", at("data")}));
    expect_ok(there({"check", "--read-data"}));
    expect_ok(there({"restore", "latest", "--target", at("out")}));
    expect_equal_trees(at("data"), at("out") + at("data"));
}

}    // namespace
}    // namespace holdfast::scenario
