// S3 against Ceph's radosgw: the promises of storage/backend.hpp, and what only a network brings. One cluster for the
// program, one bucket for each test. Covers NS-06, NS-15.

#include "holdfast/storage/s3.hpp"

#include <curl/curl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/base/log.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/storage/retry.hpp"
#include "holdfast/storage/xml.hpp"
#include "holdfast/testing/network_suite.hpp"
#include "holdfast/testing/rados_gateway.hpp"

namespace holdfast::testing {
namespace {

using storage::FileKind;
using ::testing::HasSubstr;
using ::testing::Not;

RadosGateway& gateway() {
    static Result<RadosGateway> started = RadosGateway::start();
    static const bool ready = [] {
        if (!started) ADD_FAILURE() << started.error().message << " " << started.error().hint;
        return started.has_value();
    }();
    HF_ASSERT(ready);
    return *started;
}

std::string new_bucket() {
    static std::atomic<int> number = 0;
    return fmt::format("bucket-{}", ++number);
}

storage::S3Location location_of(const std::string& bucket, const storage::BackendOptions& options = {},
                                const std::string& host = "127.0.0.1") {
    return storage::parse_s3_location(fmt::format("http://{}:{}/{}/some/folder", host, gateway().port(), bucket),
                                      options)
        .value();
}

std::unique_ptr<storage::Backend> backend_in(const std::string& bucket, storage::BackendOptions options = {},
                                             storage::S3Settings settings = {}) {
    settings.credentials = RadosGateway::credentials();
    return storage::s3_backend(location_of(bucket, options), std::move(settings));
}

INSTANTIATE_TEST_SUITE_P(PathStyle, BackendSuite,
                         ::testing::Values(BackendMaker([](const std::string&) { return backend_in(new_bucket()); })));
INSTANTIATE_TEST_SUITE_P(VirtualHost, BackendSuite, ::testing::Values(BackendMaker([](const std::string&) {
                             storage::S3Settings settings{.credentials = RadosGateway::credentials()};
                             return storage::s3_backend(
                                 location_of(new_bucket(), {.extended = {{"s3.bucket-lookup", "dns"}}}, "s3.localhost"),
                                 std::move(settings));
                         })));
INSTANTIATE_TEST_SUITE_P(
    Radosgw, NetworkSuite,
    ::testing::Values(NetworkMaker{
        .good =
            [](const std::string& place) {
                return backend_in(place, {}, {.multipart_above = 6 << 20, .part_size = 5 << 20, .list_page = 100});
            },
        .wrong_key =
            [](const std::string& place) {
                storage::S3Settings settings{
                    .credentials = {.access_key = "AKTEST", .secret_key = Secret("wrong-secret-9")}};
                return storage::s3_backend(location_of(place), std::move(settings));
            },
        .secret = "wrong-secret-9"}));

TEST(S3, TellsAnUnknownKeyFromAWrongSecret) {
    storage::S3Settings settings{.credentials = {.access_key = "AKNOBODY", .secret_key = Secret("hidden-7")}};
    const auto backend = storage::s3_backend(location_of(new_bucket()), std::move(settings));
    const auto answer = backend->size({FileKind::config, {}});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::denied);
    EXPECT_THAT(answer.error().message, HasSubstr("InvalidAccessKeyId"));
    EXPECT_THAT(answer.error().hint, HasSubstr("AWS_ACCESS_KEY_ID"));
    EXPECT_THAT(answer.error().message + answer.error().hint, Not(HasSubstr("hidden-7")));
}

TEST(S3, TellsAClockThatIsWrong) {
    const auto backend =
        backend_in(new_bucket(), {}, {.now = [] { return os::SystemClock().now() - std::chrono::hours(1); }});
    const auto answer = backend->size({FileKind::config, {}});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::denied);
    EXPECT_THAT(answer.error().hint, HasSubstr("clock"));
}

TEST(S3, SaysThatThereIsNoRepositoryWhereThereIsNoBucket) {
    EXPECT_EQ(backend_in("no-such-bucket")->size({FileKind::config, {}}).error().code, ErrorCode::not_found);
    EXPECT_EQ(backend_in("no-such-bucket")->read({FileKind::config, {}}).error().code, ErrorCode::not_found);
}

TEST(S3, LetsTheServerRefuseAFileThatIsNotWhatItsNameSays) {
    const auto backend = backend_in(new_bucket());
    ASSERT_TRUE(backend->create_layout());
    const storage::FileName name{FileKind::pack, format::sha256(as_bytes("what it should be"))};
    const auto status = backend->put(name, as_bytes("what it is"));
    ASSERT_FALSE(status);
    EXPECT_EQ(backend->size(name).error().code, ErrorCode::not_found);
}

TEST(S3, LeavesNothingOfAnUploadInPartsThatFails) {
    // Parts of 1 MiB: the server takes them and refuses to put them together.
    const std::string bucket = new_bucket();
    const auto backend = backend_in(bucket, {}, {.multipart_above = 2 << 20, .part_size = 1 << 20});
    ASSERT_TRUE(backend->create_layout());
    storage::S3Client client(location_of(bucket), RadosGateway::credentials(), {});
    const auto unfinished = [&] {
        const auto answer = client.send({.query = {{"uploads", ""}}, .what = "listing uploads"});
        EXPECT_TRUE(answer) << answer.error().message;
        const std::string text(as_text(answer->body));
        return text.find("<Upload>") != std::string::npos;
    };
    const auto begun = client.send({.method = "POST", .key = "x", .query = {{"uploads", ""}}, .what = "x"});
    ASSERT_TRUE(begun);
    ASSERT_TRUE(unfinished());    // one that stays is seen
    const auto answer = storage::parse_xml(as_text(begun->body));
    ASSERT_TRUE(client.send({.method = "DELETE",
                             .key = "x",
                             .query = {{"uploadId", std::string(answer->text_of("UploadId"))}},
                             .what = "x"}));
    const std::string content(5 << 20, 'x');
    const storage::FileName name{FileKind::pack, format::sha256(as_bytes(content))};
    auto upload = backend->start(FileKind::pack);
    ASSERT_TRUE(upload);
    ASSERT_TRUE((*upload)->write(as_bytes(content)));
    const auto committed = (*upload)->commit(name.id);
    ASSERT_FALSE(committed);
    EXPECT_THAT(committed.error().message, HasSubstr("EntityTooSmall"));
    EXPECT_FALSE(unfinished());
    EXPECT_EQ(backend->size(name).error().code, ErrorCode::not_found);
}

TEST(S3, AsksForEncryptionAndLooksWhetherItWasDone) {
    std::string logged;
    set_log({.timestamp = {}, .sink = [&](std::string_view line) { logged += line; }});
    const std::string bucket = new_bucket();
    const storage::FileName name{FileKind::pack, format::sha256(as_bytes("x"))};
    const auto with_key = backend_in(bucket, {.extended = {{"s3.sse-kms-key-id", "testkey-1"}}});
    ASSERT_TRUE(with_key->create_layout());
    ASSERT_TRUE(with_key->put(name, as_bytes("x")));
    EXPECT_EQ(logged, "");
    EXPECT_EQ(as_text(with_key->read(name).value()), "x");
    storage::S3Client client(location_of(bucket), RadosGateway::credentials(), {});
    const auto head = client.send({.method = "HEAD", .key = "some/folder/" + relative_path(name), .what = "head"});
    ASSERT_TRUE(head) << head.error().message;
    EXPECT_EQ(head->header("x-amz-server-side-encryption"), "aws:kms");    // NS-15
    // radosgw says 200 to AES256 and does nothing: that must be told.
    const auto ignored = backend_in(bucket, {.extended = {{"s3.sse", "AES256"}}});
    ASSERT_TRUE(ignored->put({FileKind::pack, format::sha256(as_bytes("y"))}, as_bytes("y")));
    set_log({});
    EXPECT_THAT(logged, HasSubstr("did not encrypt"));
}

TEST(S3, GivesTheStorageClassToPacksAlone) {
    // radosgw refuses a class that it does not have: so it shows what was sent.
    const auto backend = backend_in(new_bucket(), {.extended = {{"s3.storage-class", "STANDARD_IA"}}});
    ASSERT_TRUE(backend->create_layout());
    const Id id = format::sha256(as_bytes("x"));
    EXPECT_FALSE(backend->put({FileKind::pack, id}, as_bytes("x")));
    EXPECT_TRUE(backend->put({FileKind::index, id}, as_bytes("x")));
    const auto standard = backend_in(new_bucket(), {.extended = {{"s3.storage-class", "STANDARD"}}});
    ASSERT_TRUE(standard->create_layout());
    EXPECT_TRUE(standard->put({FileKind::pack, id}, as_bytes("x")));
}

TEST(S3, IsUnreachableWhileItsServerIsDeadAndGoesOnAfterwards) {
    const std::string bucket = new_bucket();
    const auto backend = backend_in(bucket);
    ASSERT_TRUE(backend->create_layout());
    const auto named = [](int i) {
        return storage::FileName{FileKind::index, format::sha256(as_bytes(std::to_string(i)))};
    };
    // Killed while somebody writes: what was acknowledged by then stays.
    std::atomic<int> written = 0;
    std::optional<Error> failure;
    std::thread writer([&] {
        for (int i = 0; !failure; ++i) {
            auto put = backend->put(named(i), as_bytes(std::to_string(i)));
            if (!put)
                failure = std::move(put).error();
            else
                ++written;
        }
    });
    while (written < 20) std::this_thread::yield();
    gateway().kill();
    writer.join();
    EXPECT_EQ(failure->code, ErrorCode::unreachable) << failure->message;
    EXPECT_TRUE(failure->retryable());
    EXPECT_EQ(backend->read(named(0)).error().code, ErrorCode::unreachable);
    EXPECT_EQ(backend->list(FileKind::index, [](const Id&, std::uint64_t) {}).error().code, ErrorCode::unreachable);

    // One that tries again gets through once the server is back.
    os::SystemClock clock;
    auto patient = storage::retrying_backend(
        backend_in(bucket),
        {.rule = {.first = std::chrono::milliseconds(50), .longest = std::chrono::milliseconds(200)},
         .chance = {},
         .counters = {}},
        clock);
    Status late;
    std::thread waiter([&] { late = patient->put(named(-1), as_bytes("-1")); });
    const auto back = gateway().restart();
    ASSERT_TRUE(back) << back.error().message;
    waiter.join();
    EXPECT_TRUE(late) << late.error().message;
    EXPECT_EQ(as_text(backend->read(named(-1)).value()), "-1");
    for (int i = 0; i < written; ++i) EXPECT_EQ(as_text(backend->read(named(i)).value()), std::to_string(i));
}

// libcurl's own signer as a second opinion: the server accepts both, for the same request.
TEST(S3, SignsAsLibcurlDoes) {
    const std::string bucket = new_bucket();
    const auto backend = backend_in(bucket);
    ASSERT_TRUE(backend->create_layout());
    const storage::FileName name{FileKind::index, format::sha256(as_bytes("both"))};
    ASSERT_TRUE(backend->put(name, as_bytes("both")));
    CURL* easy = curl_easy_init();
    std::string body;
    const std::string url = fmt::format("{}/{}/some/folder/{}", gateway().url(), bucket, relative_path(name));
    curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:s3");
    curl_easy_setopt(easy, CURLOPT_USERNAME, "AKTEST");
    curl_easy_setopt(easy, CURLOPT_PASSWORD, "sk/test+1");
    curl_slist* headers = curl_slist_append(nullptr, ("x-amz-content-sha256: " + format::sha256({}).hex()).c_str());
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(
        easy, CURLOPT_WRITEFUNCTION, +[](char* data, std::size_t size, std::size_t n, void* to) {
            static_cast<std::string*>(to)->append(data, size * n);
            return size * n;
        });
    EXPECT_EQ(curl_easy_perform(easy), CURLE_OK);
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    EXPECT_EQ(body, "both");
}

}    // namespace
}    // namespace holdfast::testing
