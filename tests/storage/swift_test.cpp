// S3 against OpenStack Swift's s3api: it checks the region of a signature and does not know If-None-Match, so that what the
// adapter does instead is proven here. Covers NS-06.

#include <fmt/core.h>
#include <gmock/gmock.h>

#include <set>

#include "holdfast/os/host.hpp"
#include "holdfast/storage/retry.hpp"
#include "holdfast/storage/s3.hpp"
#include "holdfast/testing/backend_suite.hpp"
#include "holdfast/testing/swift_server.hpp"

namespace holdfast::testing {
namespace {

using storage::FileKind;
using ::testing::HasSubstr;

SwiftServer& swift() {
    static Result<SwiftServer> started = SwiftServer::start();
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

std::unique_ptr<storage::Backend> backend_in(const std::string& bucket, storage::BackendOptions options = {},
                                             storage::S3Settings settings = {}) {
    if (settings.credentials.access_key.empty()) settings.credentials = SwiftServer::credentials();
    auto location =
        storage::parse_s3_location(fmt::format("http://127.0.0.1:{}/{}/some/folder", swift().port(), bucket), options);
    // As the product does: a busy Swift says 503 now and then.
    static os::SystemClock clock;
    return storage::retrying_backend(storage::s3_backend(*std::move(location), std::move(settings)), {}, clock);
}

INSTANTIATE_TEST_SUITE_P(Swift, BackendSuite,
                         ::testing::Values(BackendMaker([](const std::string&) { return backend_in(new_bucket()); })));

TEST(Swift, TellsThatTheRegionIsAnother) {
    const auto backend = backend_in(new_bucket(), {.extended = {{"s3.region", "eu-west-7"}}});
    const auto answer = backend->size({FileKind::config, {}});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::usage) << answer.error().message;
    EXPECT_THAT(answer.error().hint, HasSubstr("s3.region=us-east-1"));
}

TEST(Swift, RefusesAWrongSecretAndIsBelieved) {
    storage::S3Settings settings{.credentials = {.access_key = "test:tester", .secret_key = Secret("hidden-7")}};
    const auto answer = backend_in(new_bucket(), {}, std::move(settings))->size({FileKind::config, {}});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::denied) << answer.error().message;
}

TEST(Swift, TakesAnUploadInPartsAndAListInPages) {
    const auto backend =
        backend_in(new_bucket(), {}, {.multipart_above = 6 << 20, .part_size = 5 << 20, .list_page = 7});
    ASSERT_TRUE(backend->create_layout());
    const std::string content(11 << 20, 'p');
    const storage::FileName name{FileKind::pack, format::sha256(as_bytes(content))};
    auto upload = backend->start(FileKind::pack);
    ASSERT_TRUE(upload);
    ASSERT_TRUE((*upload)->write(as_bytes(content)));
    const auto committed = (*upload)->commit(name.id);
    ASSERT_TRUE(committed) << committed.error().message;
    EXPECT_EQ(format::sha256(backend->read(name).value()), name.id);
    for (int i = 0; i < 20; ++i) {
        const std::string text = std::to_string(i);
        ASSERT_TRUE(backend->put({FileKind::index, format::sha256(as_bytes(text))}, as_bytes(text)));
    }
    std::set<Id> found;
    ASSERT_TRUE(backend->list(FileKind::index, [&](const Id& id, std::uint64_t) { found.insert(id); }));
    EXPECT_EQ(found.size(), 20u);
}

TEST(Swift, SaysThatItDoesNotEncrypt) {
    const auto backend = backend_in(new_bucket(), {.extended = {{"s3.sse", "AES256"}}});
    ASSERT_TRUE(backend->create_layout());
    const auto put = backend->put({FileKind::index, format::sha256(as_bytes("x"))}, as_bytes("x"));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, ErrorCode::unsupported);
    EXPECT_THAT(put.error().hint, HasSubstr("s3.sse"));
}

}    // namespace
}    // namespace holdfast::testing
