// `holdfast serve` as a process: two machines' worth of commands against it, and its sudden death in an upload.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include <thread>

#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using testing::HasSubstr;
using testing::Not;

using Serve = Scenario;

TEST_F(Serve, KeepsAnotherMachinesBackups) {
    write(at("user-password"), "p/w\n", 0600);
    EXPECT_EQ(
        holdfast_bare({"serve", "--path", at("served"), "--add-user", "bob", "--password-file", at("user-password")})
            .exit,
        0);
    EXPECT_EQ(
        holdfast_bare({"serve", "--path", at("served"), "--add-user", "bob", "--password-file", at("user-password")})
            .exit,
        1);
    auto [server, url] = serve("served", {"--private-repos", "--append-only", "--access-log"});
    const std::string port_and_path = url.substr(7) + "bob/desk/";
    const Environment there = {{"HOLDFAST_REPOSITORY", "rest:http://bob:p%2Fw@" + port_and_path}};
    const Answer made = holdfast({"init"}, there);
    ASSERT_EQ(made.exit, 0) << made.errors;
    EXPECT_THAT(made.output + made.errors, Not(HasSubstr("p%2Fw")));
    make_files(at("files"));
    ASSERT_EQ(holdfast({"backup", at("files")}, there).exit, 0);
    EXPECT_EQ(holdfast({"check", "--read-data"}, there).exit, 0);
    const Answer back = holdfast({"restore", "latest", "--target", at("back")}, there);
    EXPECT_EQ(back.exit, 0) << back.errors;
    expect_equal_trees(at("files"), at("back") + at("files"));
    // The user may stand in the environment, as for restic; a wrong password is said without being repeated.
    const Environment named = {{"HOLDFAST_REPOSITORY", "rest:http://" + port_and_path},
                               {"RESTIC_REST_USERNAME", "bob"},
                               {"RESTIC_REST_PASSWORD", "p/w"}};
    EXPECT_EQ(holdfast({"snapshots"}, named).exit, 0);
    const Answer wrong = holdfast({"snapshots"}, {{"HOLDFAST_REPOSITORY", "rest:http://bob:wr0ng@" + port_and_path}});
    EXPECT_EQ(wrong.exit, 1);
    EXPECT_THAT(wrong.errors, HasSubstr("401"));
    EXPECT_THAT(wrong.errors, Not(HasSubstr("wr0ng")));
    server.kill(SIGTERM);
    EXPECT_EQ(server.wait()->code, 0);
    EXPECT_THAT(server.errors(), HasSubstr("\"user\":\"bob\""));
    EXPECT_THAT(server.errors(), Not(HasSubstr("p/w")));
}

TEST_F(Serve, SaysWhatIsMissing) {
    EXPECT_EQ(holdfast_bare({"serve"}).exit, 2);
    const Answer nobody = holdfast_bare({"serve", "--path", at("served")});
    EXPECT_EQ(nobody.exit, 2);
    EXPECT_THAT(nobody.errors, HasSubstr("--no-auth"));
    EXPECT_EQ(holdfast({"snapshots", "--repo", "sftp:host"}).exit, 2);
}

}    // namespace
}    // namespace holdfast::scenario
