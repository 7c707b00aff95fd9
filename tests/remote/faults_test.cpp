// Backups over lines that break at random byte counts, by a reset or by an end that looks orderly, and on which one connection
// overtakes the other, from printed seeds: they end right or with an error, never with a snapshot that is not whole. NS-12
// (storage half).

#include <fmt/core.h>
#include <gmock/gmock.h>

#include <signal.h>

#include <atomic>
#include <random>
#include <thread>

#include "holdfast/format/crypto.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/storage/azure.hpp"
#include "holdfast/storage/retry.hpp"
#include "holdfast/storage/s3.hpp"
#include "holdfast/testing/azurite_server.hpp"
#include "holdfast/testing/fault_proxy.hpp"
#include "holdfast/testing/rados_gateway.hpp"
#include "holdfast/vault/backup.hpp"
#include "holdfast/vault/check.hpp"
#include "rest_server.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

constexpr const char* k_password = "open sesame";

// About every second connection is cut, somewhere in its first megabyte; some are slow.
std::function<LineFaults(unsigned)> bad_line(std::uint64_t seed) {
    auto random = std::make_shared<std::mt19937_64>(seed);
    return [random](unsigned number) {
        LineFaults faults;
        if (number == 0 || (*random)() % 2 == 0) faults.cut_up = 3000 + (*random)() % 1'000'000;
        if ((*random)() % 3 == 0) faults.cut_down = 3000 + (*random)() % 300'000;
        faults.refuse = (*random)() % 8 == 0;
        faults.orderly = (*random)() % 2 == 0;
        if ((*random)() % 4 == 0) faults.delay = 1ms;
        return faults;
    };
}

class BadLine : public ::testing::TestWithParam<std::uint64_t> {
protected:
    void SetUp() override {
        set_log({LogLevel::error, false, {}, {}});
        for (int i = 0; i < 12; ++i)
            ASSERT_TRUE(os::write_file(fmt::format("{}/file-{}", source_.path(), i),
                                       as_bytes(noise(400'000, GetParam() * 100 + static_cast<unsigned>(i)))));
    }
    void TearDown() override { set_log({}); }

    Result<vault::Backup::Outcome> back_up(std::unique_ptr<storage::Backend> backend) {
        const storage::RetryOptions retry{
            .rule = {.first = 1ms, .longest = 20ms, .total = 60s, .jitter = 0.5}, .chance = {}, .counters = counters_};
        HF_TRY(auto repository,
               vault::Repository::open(storage::retrying_backend(std::move(backend), retry, system_clock()),
                                       Secret(k_password), system_clock()));
        vault::BackupOptions options;
        options.pack_size_target = 1 << 20;
        HF_TRY(auto backup, vault::Backup::start(*repository, options));
        HF_DO(backup->add_path(source_.path()));
        return backup->commit();
    }

    // `direct` and `through` open the same repository, the second one through the proxy.
    void holds(FaultProxy& proxy, const std::function<std::unique_ptr<storage::Backend>()>& direct,
               const std::function<std::unique_ptr<storage::Backend>()>& through) {
        vault::InitOptions options;
        options.cost = {1024, 8, 1};
        HF_OK(vault::Repository::init(direct(), Secret(k_password), system_clock(), options));
        proxy.plan(bad_line(GetParam()));
        const auto outcome = back_up(through());
        proxy.plan({});
        auto repository = vault::Repository::open(direct(), Secret(k_password), system_clock());
        HF_OK(repository);
        const auto snapshots = (*repository)->snapshots();
        HF_OK(snapshots);
        if (outcome) {
            ASSERT_EQ(snapshots->size(), 1u);
            EXPECT_EQ(snapshots->front().id, outcome->snapshot);
        } else {
            EXPECT_EQ(outcome.error().code, ErrorCode::unreachable) << error_text(outcome.error());
            EXPECT_TRUE(snapshots->empty());
        }
        // The lock of a backup that failed may be left when its removal did not get through.
        const auto report = vault::check(**repository, {.read_data = true, .progress = {}});
        HF_OK(report);
        EXPECT_TRUE(report->ok()) << report->errors.front();
        RecordProperty("cuts", static_cast<int>(proxy.cuts()));
        EXPECT_GT(proxy.cuts(), 0u);
    }

    static std::string new_bucket() {
        static unsigned number = 0;
        return fmt::format("bad-line-{}", ++number);
    }

    os::TempFolder source_ = os::TempFolder::create("hf-source").value();
    std::shared_ptr<storage::RetryCounters> counters_ = std::make_shared<storage::RetryCounters>();
};
INSTANTIATE_TEST_SUITE_P(Seeds, BadLine, ::testing::Range<std::uint64_t>(1, 7));

TEST_P(BadLine, LosesNothingOverRest) {
    const RestServer server;
    const auto proxy = FaultProxy::start(server.server().port()).value();
    holds(*proxy, [&] { return server.backend(); }, [&] { return server.backend("bob/repo", proxy->port()); });
}

TEST_P(BadLine, LosesNothingOverSftp) {
    const auto folder = os::TempFolder::create("hf-sftp").value();
    const auto proxy = FaultProxy::start(ssh().port()).value();
    HF_OK(ssh().trust_port(proxy->port()));
    holds(
        *proxy, [&] { return storage::open_backend(ssh().location(folder.path() + "/repo"), sftp_options()).value(); },
        [&] {
            return storage::open_backend(SshServer::location_at(proxy->port(), folder.path() + "/repo"), sftp_options())
                .value();
        });
}

// Packs of every second seed go in parts.
TEST_P(BadLine, LosesNothingOverS3) {
    static Result<RadosGateway> server = RadosGateway::start();
    ASSERT_TRUE(server) << server.error().message;
    const auto proxy = FaultProxy::start(server->port()).value();
    const std::string bucket = new_bucket();
    const auto at = [&](std::uint16_t port) {
        const std::string place = fmt::format("http://127.0.0.1:{}/{}/desk", port, bucket);
        storage::S3Settings settings{.credentials = RadosGateway::credentials()};
        if (GetParam() % 2 == 1) settings.multipart_above = 256 << 10;
        return storage::s3_backend(storage::parse_s3_location(place, {}).value(), std::move(settings));
    };
    holds(*proxy, [&] { return at(server->port()); }, [&] { return at(proxy->port()); });
}

TEST_P(BadLine, LosesNothingOverAzure) {
    static Result<AzuriteServer> server = AzuriteServer::start();
    ASSERT_TRUE(server) << server.error().message;
    const std::string direct = server->endpoint();    // http://127.0.0.1:port/account
    const std::size_t colon = direct.rfind(':'), slash = direct.find('/', colon);
    const auto port = static_cast<std::uint16_t>(std::stoi(direct.substr(colon + 1, slash - colon - 1)));
    const auto proxy = FaultProxy::start(port).value();
    const std::string container = new_bucket();
    const auto at = [&](const std::string& endpoint) {
        storage::AzureSettings settings{.credentials = server->credentials()};
        if (GetParam() % 2 == 1)
            settings = {.credentials = server->credentials(), .blocks_above = 256 << 10, .block_size = 256 << 10};
        return storage::azure_backend(storage::parse_azure_location(container + ":/desk", "hfaccount",
                                                                    {.extended = {{"azure.endpoint", endpoint}}})
                                          .value(),
                                      std::move(settings));
    };
    const std::string through = fmt::format("http://127.0.0.1:{}{}", proxy->port(), direct.substr(slash));
    holds(*proxy, [&] { return at(direct); }, [&] { return at(through); });
}

// kill -9 of the real server in the middle of uploads, twice: the backup goes on when it is back, and nothing half has a name.
TEST(KilledServer, LosesNothing) {
    set_log({LogLevel::error, false, {}, {}});
    const auto folder = os::TempFolder::create("hf-killed").value();
    const std::uint16_t port = os::free_port().value();
    const auto open = [&] {
        return storage::open_backend(fmt::format("rest:http://127.0.0.1:{}/desk/", port)).value();
    };
    const auto start = [&] {
        os::Command command;
        command.arguments = {HF_BIN_DIR "/holdfast",
                             "serve",
                             "--path",
                             folder.path() + "/served",
                             "--no-auth",
                             "--listen",
                             fmt::format("127.0.0.1:{}", port),
                             "--json"};
        auto server = os::Process::start(command).value();
        std::array<std::byte, 256> line;
        EXPECT_GT(os::read_some(server.output(), line).value(), 0u);    // it listens
        return server;
    };
    os::Process server = start();
    ASSERT_TRUE(os::make_folders(folder.path() + "/source"));
    ASSERT_TRUE(os::write_file(folder.path() + "/source/file", as_bytes(noise(24 << 20))));
    vault::InitOptions cheap;
    cheap.cost = {1024, 8, 1};
    HF_OK(vault::Repository::init(open(), Secret(k_password), system_clock(), cheap));
    auto counters = std::make_shared<storage::RetryCounters>();
    std::atomic<bool> done = false;
    Status outcome;
    std::thread backing_up([&] {
        outcome = [&]() -> Status {
            const storage::RetryOptions retry{.rule = {.first = 5ms, .longest = 50ms, .total = 120s, .jitter = 0.5},
                                              .chance = {},
                                              .counters = counters};
            HF_TRY(auto repository, vault::Repository::open(storage::retrying_backend(open(), retry, system_clock()),
                                                            Secret(k_password), system_clock()));
            vault::BackupOptions options;
            options.pack_size_target = 1 << 20;
            HF_TRY(auto backup, vault::Backup::start(*repository, options));
            HF_DO(backup->add_path(folder.path() + "/source"));
            HF_DO(backup->commit());
            return {};
        }();
        done = true;
    });
    for (unsigned kills = 1; kills <= 2; ++kills) {
        const auto packs = [&] {
            unsigned count = 0;
            const auto local = storage::open_backend(folder.path() + "/served/desk").value();
            EXPECT_TRUE(local->list(storage::FileKind::pack, [&](const Id&, std::uint64_t) { ++count; }));
            return count;
        };
        while (!done && packs() < 3 * kills) std::this_thread::yield();
        server.kill(SIGKILL);
        EXPECT_TRUE(server.wait());
        server = start();
    }
    backing_up.join();
    HF_OK(outcome);
    auto repository = vault::Repository::open(open(), Secret(k_password), system_clock());
    HF_OK(repository);
    const auto report = vault::check(**repository, {.read_data = true, .progress = {}});
    HF_OK(report);
    EXPECT_TRUE(report->ok()) << report->errors.front();
    EXPECT_EQ(report->snapshots, 1u);
    os::Command find;
    find.arguments = {"find", folder.path() + "/served", "-name", "*tmp*"};
    EXPECT_EQ(os::run(find)->output, "");
    set_log({});
}

TEST(HangingLine, IsGivenUpAndTriedAgain) {
    set_log({LogLevel::error, false, {}, {}});
    RestServer server;
    const auto proxy = FaultProxy::start(server.server().port()).value();
    auto options = server.client_options();
    options.extended = {{"rest.timeout", "1"}};
    HF_OK(server.backend()->create_layout());
    auto counters = std::make_shared<storage::RetryCounters>();
    // The line is whole again as soon as somebody has given it up.
    const storage::RetryOptions retry{.rule = {.first = 1ms, .longest = 1ms, .total = 60s, .jitter = 0},
                                      .chance =
                                          [&] {
                                              proxy->hang(false);
                                              return 0.0;
                                          },
                                      .counters = counters};
    auto b = storage::retrying_backend(
        storage::open_backend(server.location("bob/repo", proxy->port()), options).value(), retry, system_clock());
    proxy->hang(true);
    const std::string content = noise(1 << 20);
    const storage::FileName name{storage::FileKind::pack, format::sha256(as_bytes(content))};
    HF_OK(b->put(name, as_bytes(content)));
    EXPECT_GE(counters->retries, 1u);
    EXPECT_EQ(as_text(server.backend()->read(name).value()), content);
    set_log({});
}

}    // namespace
}    // namespace holdfast::testing
