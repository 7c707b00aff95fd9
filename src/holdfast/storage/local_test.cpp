#include "holdfast/storage/local.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "holdfast/base/log.hpp"
#include "holdfast/storage/limits.hpp"
#include "holdfast/storage/retry.hpp"
#include "holdfast/testing/backend_suite.hpp"
#include "holdfast/testing/faulty_backend.hpp"
#include "holdfast/testing/flaky_backend.hpp"
#include "holdfast/testing/sim_clock.hpp"

namespace holdfast::testing {

INSTANTIATE_TEST_SUITE_P(Unnamed, BackendSuite, ::testing::Values(BackendMaker([](const std::string& folder) {
                             return storage::local_backend(folder);
                         })));
INSTANTIATE_TEST_SUITE_P(Named, BackendSuite, ::testing::Values(BackendMaker([](const std::string& folder) {
                             return storage::local_backend(folder, {.unnamed_files = false});
                         })));
INSTANTIATE_TEST_SUITE_P(Faulty, BackendSuite, ::testing::Values(BackendMaker([](const std::string& folder) {
                             return faulty_backend(storage::local_backend(folder), std::make_shared<Faults>());
                         })));

// The whole suite over a line that breaks at every third call, before or after it did its work.
INSTANTIATE_TEST_SUITE_P(RetryOverABadLine, BackendSuite, ::testing::Values(BackendMaker([](const std::string& folder) {
                             static SimClock clock;
                             set_log({LogLevel::error, false, {}, {}});
                             auto calls = std::make_shared<std::atomic<unsigned>>(0);
                             auto flaky = flaky_backend(storage::local_backend(folder), [calls](std::string_view) {
                                 const unsigned n = (*calls)++;
                                 if (n % 3 == 0) return std::optional(Fate{Fate::When::before});
                                 if (n % 3 == 1) return std::optional(Fate{Fate::When::after});
                                 return std::optional<Fate>();
                             });
                             return storage::retrying_backend(std::move(flaky), {}, clock);
                         })));

INSTANTIATE_TEST_SUITE_P(Limited, BackendSuite, ::testing::Values(BackendMaker([](const std::string& folder) {
                             static SimClock clock;
                             return storage::limited_backend(storage::local_backend(folder),
                                                             {.upload = 1000, .download = 1000, .calls = 2}, clock);
                         })));

}    // namespace holdfast::testing

namespace holdfast::storage {
namespace {

class Local : public ::testing::TestWithParam<bool> {
protected:
    std::string root() const { return folder_.path() + "/repo"; }
    std::unique_ptr<Backend> backend() const { return local_backend(root(), {.unnamed_files = GetParam()}); }
    os::TempFolder folder_ = os::TempFolder::create("hf-local").value();
};
INSTANTIATE_TEST_SUITE_P(Files, Local, ::testing::Bool());

TEST_P(Local, LaysOutWhatResticExpects) {
    ASSERT_TRUE(backend()->create_layout());
    for (const char* path : {"data/00", "data/a7", "data/ff", "index", "keys", "locks", "snapshots"}) {
        const auto st = os::status_of(root() + '/' + path);
        ASSERT_TRUE(st) << path;
        EXPECT_EQ(st->st_mode & 07777, 0700u) << path;
    }
    ASSERT_TRUE(backend()->create_layout());    // again is no error
}

TEST_P(Local, WritesPrivateReadOnlyFiles) {
    const auto b = backend();
    ASSERT_TRUE(b->create_layout());
    const FileName name{FileKind::pack, format::sha256(as_bytes("x"))};
    ASSERT_TRUE(b->put(name, as_bytes("x")));
    const auto st = os::status_of(root() + '/' + relative_path(name)).value();
    EXPECT_EQ(st.st_mode & 07777, 0400u);
    EXPECT_EQ(st.st_nlink, 1u);
}

TEST_P(Local, MakesMissingDataFoldersOnDemand) {
    const auto b = backend();
    ASSERT_TRUE(b->create_layout());
    ASSERT_TRUE(os::remove_tree(root() + "/data"));
    const FileName name{FileKind::pack, format::sha256(as_bytes("x"))};
    EXPECT_TRUE(b->put(name, as_bytes("x")));
    EXPECT_TRUE(b->read(name));
    EXPECT_TRUE(b->sync());
}

TEST_P(Local, MakesNoRepositoryWhereThereIsNone) {
    EXPECT_EQ(backend()->put({FileKind::lock, {}}, as_bytes("x")).error().code, ErrorCode::not_found);
    EXPECT_FALSE(os::exists(root()));
}

TEST_P(Local, LeavesNothingOfAnAbandonedUpload) {
    const auto b = backend();
    ASSERT_TRUE(b->create_layout());
    {
        auto upload = b->start(FileKind::snapshot);
        ASSERT_TRUE(upload);
        ASSERT_TRUE((*upload)->write(as_bytes("half")));
    }
    EXPECT_TRUE(os::list_folder(root() + "/snapshots").value().empty());
}

TEST_P(Local, SkipsTemporaryAndForeignNames) {
    const auto b = backend();
    ASSERT_TRUE(b->create_layout());
    ASSERT_TRUE(os::write_file(root() + "/snapshots/" + std::string(64, 'a') + "-tmp-123", as_bytes("x")));
    ASSERT_TRUE(os::write_file(root() + "/snapshots/" + std::string(64, 'A'), as_bytes("x")));
    ASSERT_TRUE(os::write_file(root() + "/data/README", as_bytes("x")));
    int found = 0;
    for (const FileKind kind : {FileKind::snapshot, FileKind::pack})
        ASSERT_TRUE(b->list(kind, [&](const Id&, std::uint64_t) { ++found; }));
    EXPECT_EQ(found, 0);
}

TEST(OpenBackend, TakesPathsAndNamesWhatItKnows) {
    EXPECT_EQ(open_backend("/a/b").value()->location(), "/a/b");
    EXPECT_EQ(open_backend("local:/a/b").value()->location(), "/a/b");
    EXPECT_EQ(open_backend("./c:d").value()->location(), "./c:d");
    const auto odd = open_backend("carrier-pigeon:host/loft");
    ASSERT_FALSE(odd);
    EXPECT_EQ(odd.error().code, ErrorCode::unsupported);
    EXPECT_NE(odd.error().hint.find("local:"), std::string::npos);
    EXPECT_EQ(open_backend("").error().code, ErrorCode::usage);
}

TEST(OpenBackend, RefusesOptionsThatNobodyKnows) {
    EXPECT_EQ(open_backend("/a", {.extended = {{"pigeon.speed", "9"}}}).error().code, ErrorCode::usage);
    EXPECT_EQ(open_backend("/a", {.extended = {{"local.speed", "9"}}}).error().code, ErrorCode::usage);
    EXPECT_EQ(parse_option("s3.region=eu=1").value(), std::pair(std::string("s3.region"), std::string("eu=1")));
    for (const char* bad : {"", "x", "s3.region", "region=1", ".x=1", "s3.=1"})
        EXPECT_EQ(parse_option(bad).error().code, ErrorCode::usage) << bad;
    const BackendOptions options{.extended = {{"s3.connections", "7"}, {"s3.a", "true"}, {"s3.connections", "9"}}};
    EXPECT_EQ(options.number("s3.connections", 5, 1, 100).value(), 9u);
    EXPECT_EQ(options.number("s3.connections", 5, 1, 8).error().code, ErrorCode::usage);
    EXPECT_EQ(options.number("s3.none", 5, 1, 100).value(), 5u);
    EXPECT_TRUE(options.flag("s3.a", false).value());
    EXPECT_EQ(options.flag("s3.connections", false).error().code, ErrorCode::usage);
}

}    // namespace
}    // namespace holdfast::storage
