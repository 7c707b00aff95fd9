// restic itself against `holdfast serve`, and both programs on one repository behind it.

#include <gmock/gmock.h>
#include <signal.h>

#include <thread>

#include "holdfast/storage/http_client.hpp"
#include "holdfast/vault/backup.hpp"
#include "holdfast/vault/check.hpp"
#include "rest_server.hpp"

namespace holdfast::testing {
namespace {

using ::testing::HasSubstr;

class Restic : public ::testing::Test {
protected:
    static os::Command command(const RestServer& server, const std::vector<std::string>& arguments) {
        os::Command restic;
        restic.arguments = {"restic", "--cacert", server.ca_file(), "--no-cache", "-q"};
        restic.arguments.insert(restic.arguments.end(), arguments.begin(), arguments.end());
        restic.environment = {{"RESTIC_REPOSITORY", server.location()}, {"RESTIC_PASSWORD", "open sesame"}};
        restic.without_environment = {"HTTPS_PROXY", "https_proxy"};
        return restic;
    }
    static os::Finished restic(const RestServer& server, const std::vector<std::string>& arguments) {
        auto finished = os::run(command(server, arguments));
        EXPECT_TRUE(finished);
        return finished ? *finished : os::Finished{{-1, 0}, "", ""};
    }
    void works(const RestServer& server, std::vector<std::string> arguments) {
        const auto finished = restic(server, arguments);
        EXPECT_TRUE(finished.status.ok()) << arguments[0] << ": " << finished.output << finished.errors;
    }
    void make_files(std::uint64_t seed) {
        for (int i = 0; i < 5; ++i)
            ASSERT_TRUE(
                os::write_file(fmt::format("{}/file-{}", source(), i), as_bytes(noise(300'000, seed * 10 + i))));
    }
    std::string source() {
        const std::string path = folder_.path() + "/source";
        EXPECT_TRUE(os::make_folders(path));
        return path;
    }
    Result<std::unique_ptr<vault::Repository>> open(const RestServer& server) {
        return vault::Repository::open(server.backend(), Secret("open sesame"), system_clock());
    }
    os::TempFolder folder_ = os::TempFolder::create("hf-restic").value();
};

TEST_F(Restic, DoesAllItsWorkAgainstOurServer) {
    const RestServer server;
    works(server, {"init"});
    make_files(1);
    works(server, {"backup", source()});
    make_files(2);
    works(server, {"backup", source()});
    works(server, {"check", "--read-data"});
    works(server, {"forget", "--keep-last", "1", "--prune"});
    works(server, {"check", "--read-data"});
    works(server, {"restore", "latest", "--target", folder_.path() + "/back"});
    for (int i = 0; i < 5; ++i) {
        const std::string file = fmt::format("{}/file-{}", source(), i);
        EXPECT_EQ(os::read_text(folder_.path() + "/back" + file).value(), os::read_text(file).value());
    }
    EXPECT_FALSE(restic(server, {"init"}).status.ok());    // there is one
}

TEST_F(Restic, ReadsWhatWeWroteThroughTheServerAndWeReadIts) {
    const RestServer server;
    {
        vault::InitOptions options;
        options.cost = {1024, 8, 1};
        auto made = vault::Repository::init(server.backend(), Secret("open sesame"), system_clock(), options);
        HF_OK(made);
        make_files(1);
        auto backup = vault::Backup::start(**made, {});
        HF_OK(backup);
        HF_OK((*backup)->add_path(source()));
        HF_OK((*backup)->commit());
    }
    works(server, {"check", "--read-data"});
    make_files(2);
    works(server, {"backup", source()});
    auto repository = open(server);
    HF_OK(repository);
    const auto report = vault::check(**repository, {.read_data = true, .progress = {}});
    HF_OK(report);
    EXPECT_TRUE(report->ok()) << (report->errors.empty() ? "" : report->errors[0]);
    EXPECT_EQ(report->snapshots, 2u);
}

TEST_F(Restic, CannotForgetWhatIsAppendOnly) {
    const RestServer server([](serve::ServeOptions& options) { options.handler.append_only = true; });
    works(server, {"init"});
    for (std::uint64_t seed : {1, 2}) {
        make_files(seed);
        works(server, {"backup", source()});
    }
    // restic tries a refused removal again for a minute: it has seen enough once the server has counted a refusal.
    auto forgetting = os::Process::start(command(server, {"forget", "--keep-last", "1", "--prune"}));
    HF_OK(forgetting);
    storage::HttpOptions login;
    login.ca_file = server.ca_file();
    login.user = "bob";
    login.password = Secret("p/w");
    storage::HttpClient client(std::move(login));
    storage::HttpRequest metrics;
    metrics.url = server.server().url() + "metrics";
    for (std::string text; text.find("method=\"DELETE\",code=\"403\"") == std::string::npos;) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        const auto answer = client.send(metrics);
        HF_OK(answer);
        text = as_text(answer->body);
        ASSERT_TRUE(os::process_exists(forgetting->pid())) << forgetting->errors();
    }
    forgetting->kill(SIGINT);    // it takes its lock away
    EXPECT_FALSE(forgetting->wait()->ok());
    works(server, {"check", "--read-data"});
    const auto listed = restic(server, {"snapshots", "--json"});
    EXPECT_THAT(listed.output, ::testing::ContainsRegex("short_id.*short_id"));
    EXPECT_THAT(restic(server, {"init"}).errors, HasSubstr("already"));
}

}    // namespace
}    // namespace holdfast::testing
