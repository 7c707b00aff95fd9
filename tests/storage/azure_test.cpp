// Azure Blob storage against azurite: the promises of storage/backend.hpp by key and by SAS, and what only a network brings.
// Covers NS-06.

#include "holdfast/storage/azure.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/storage/azure_client.hpp"
#include "holdfast/testing/azurite_server.hpp"
#include "holdfast/testing/network_suite.hpp"

namespace holdfast::testing {
namespace {

using storage::FileKind;
using ::testing::HasSubstr;
using ::testing::Not;

AzuriteServer& server() {
    static Result<AzuriteServer> started = AzuriteServer::start();
    static const bool ready = [] {
        if (!started) ADD_FAILURE() << started.error().message << " " << started.error().hint;
        return started.has_value();
    }();
    HF_ASSERT(ready);
    return *started;
}

std::string new_container() {
    static std::atomic<int> number = 0;
    return fmt::format("container-{}", ++number);
}

storage::AzureLocation location_of(const std::string& container) {
    return storage::parse_azure_location(container + ":/some/folder", "hfaccount",
                                         {.extended = {{"azure.endpoint", server().endpoint()}}})
        .value();
}

std::unique_ptr<storage::Backend> backend_in(const std::string& container, storage::AzureSettings settings = {}) {
    if (settings.credentials.account.empty()) settings.credentials = server().credentials();
    return storage::azure_backend(location_of(container), std::move(settings));
}

// A SAS for the content of a container cannot make it.
std::unique_ptr<storage::Backend> with_sas(const std::string& container, const std::string& rights) {
    EXPECT_TRUE(backend_in(container)->create_layout());
    return backend_in(container, {.credentials = server().sas(container, rights)});
}

storage::AzureCredentials wrong_key() {
    Bytes key;
    EXPECT_TRUE(from_base64("d3Jvbmcta2V5LTk=", key));
    return {.account = "hfaccount", .key = key};
}

INSTANTIATE_TEST_SUITE_P(SharedKey, BackendSuite, ::testing::Values(BackendMaker([](const std::string&) {
                             return backend_in(new_container());
                         })));
INSTANTIATE_TEST_SUITE_P(Sas, BackendSuite, ::testing::Values(BackendMaker([](const std::string&) {
                             return with_sas(new_container(), "rwdl");
                         })));
INSTANTIATE_TEST_SUITE_P(
    Azurite, NetworkSuite,
    ::testing::Values(NetworkMaker{
        .good =
            [](const std::string& place) {
                return backend_in(place, {.blocks_above = 6 << 20, .block_size = 5 << 20, .list_page = 700});
            },
        .wrong_key = [](const std::string& place) { return backend_in(place, {.credentials = wrong_key()}); },
        .secret = "d3Jvbmcta2V5LTk="}));

TEST(Azure, TellsASasThatMayOnlyRead) {
    const std::string container = new_container();
    const auto reader = with_sas(container, "rl");
    const storage::FileName name{FileKind::index, format::sha256(as_bytes("x"))};
    ASSERT_TRUE(backend_in(container)->put(name, as_bytes("x")));
    EXPECT_EQ(as_text(reader->read(name).value()), "x");
    const auto refused = reader->put({FileKind::index, format::sha256(as_bytes("y"))}, as_bytes("y"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::denied);
    EXPECT_THAT(refused.error().hint, HasSubstr("SAS"));
    EXPECT_THAT(refused.error().message, Not(HasSubstr("sig=")));
    EXPECT_EQ(reader->remove(name).error().code, ErrorCode::denied);
}

TEST(Azure, SaysThatThereIsNoRepositoryWhereThereIsNoContainer) {
    EXPECT_EQ(backend_in("no-such-container")->size({FileKind::config, {}}).error().code, ErrorCode::not_found);
    const auto read = backend_in("no-such-container")->read({FileKind::config, {}});
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::not_found);
    EXPECT_THAT(read.error().message, HasSubstr("ContainerNotFound"));
}

TEST(Azure, LetsTheServerRefuseABodyThatWasDamaged) {
    const std::string container = new_container();
    ASSERT_TRUE(backend_in(container)->create_layout());
    storage::AzureClient client(location_of(container), server().credentials(), {});
    storage::MemoryBody body(as_bytes("damaged"));
    const auto answer = client.send({.method = "PUT",
                                     .blob = "x",
                                     .headers = {{"Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="},    // of nothing
                                                 {"x-ms-blob-type", "BlockBlob"}},
                                     .body = &body,
                                     .what = "writing x"});
    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().message, HasSubstr("HTTP 400"));
    EXPECT_EQ(client.send({.method = "HEAD", .blob = "x", .what = "x"}).error().code, ErrorCode::not_found);
}

TEST(Azure, ShowsNothingOfBlocksThatNeverBecameABlob) {
    const std::string container = new_container();
    const auto backend = backend_in(container);
    ASSERT_TRUE(backend->create_layout());
    storage::AzureClient client(location_of(container), server().credentials(), {});
    const storage::FileName name{FileKind::pack, format::sha256(as_bytes("x"))};
    storage::MemoryBody body(as_bytes("half"));
    ASSERT_TRUE(client.send({.method = "PUT",
                             .blob = "some/folder/" + relative_path(name),
                             .query = {{"comp", "block"}, {"blockid", "MDAwMDAwMDA="}},
                             .body = &body,
                             .what = "a block"}));
    EXPECT_EQ(backend->size(name).error().code, ErrorCode::not_found);
    int found = 0;
    ASSERT_TRUE(backend->list(FileKind::pack, [&](const Id&, std::uint64_t) { ++found; }));
    EXPECT_EQ(found, 0);
}

TEST(AzureLocation, IsSpelledAsResticSpellsIt) {
    const auto plain = storage::parse_azure_location("backup:/", "acc", {});
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->endpoint, "https://acc.blob.core.windows.net");
    EXPECT_EQ(plain->prefix, "");
    EXPECT_EQ(storage::parse_azure_location("backup:/a//b/", "acc", {})->prefix, "a/b/");
    EXPECT_EQ(storage::parse_azure_location("backup", "acc", {})->prefix, "");
    for (const char* bad : {"", ":/x", "AB:/x", "ab:/x", "a/b:/x", "abc:/a/../b"})
        EXPECT_EQ(storage::parse_azure_location(bad, "acc", {}).error().code, ErrorCode::usage) << bad;
    EXPECT_EQ(
        storage::parse_azure_location("abc", "acc", {.extended = {{"azure.endpoint", "http://u:p@h/"}}}).error().code,
        ErrorCode::usage);
}

}    // namespace
}    // namespace holdfast::testing
