// What comes from the outside, taken apart: routes, ranges, files of users.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "holdfast/os/file.hpp"
#include "holdfast/serve/htpasswd.hpp"
#include "holdfast/serve/range.hpp"
#include "holdfast/serve/route.hpp"

namespace holdfast::serve {
namespace {

using ::testing::HasSubstr;
const std::string k_name(64, 'a');

TEST(Route, NamesRepositoriesListsAndFiles) {
    const auto file = parse_route("/bob/host-1/data/" + k_name).value();
    EXPECT_EQ(file.target, Route::Target::file);
    EXPECT_EQ(file.repository(), "bob/host-1");
    EXPECT_EQ(file.kind, storage::FileKind::pack);
    EXPECT_EQ(file.id.hex(), k_name);
    EXPECT_EQ(parse_route("/config").value().file().kind, storage::FileKind::config);
    EXPECT_EQ(parse_route("/a%2Db/config").value().repository(), "a-b");
    EXPECT_EQ(parse_route("/keys/").value().target, Route::Target::list);
    EXPECT_EQ(parse_route("/r/snapshots").value().target, Route::Target::list);
    EXPECT_EQ(parse_route("/r/").value().target, Route::Target::repository);
    EXPECT_EQ(parse_route("/").value().target, Route::Target::repository);
}

TEST(Route, LeadsNowhereElse) {
    for (const std::string& path : {std::string("/../keys/"),
                                    std::string("/a/%2e%2e/keys/"),
                                    std::string("/a%2f..%2f../keys/"),
                                    std::string("/./config"),
                                    std::string("//config"),
                                    std::string("/a//config"),
                                    std::string("/.git/config"),
                                    std::string("/a\\b/config"),
                                    std::string("/a%00b/config"),
                                    std::string("/a b/config"),
                                    std::string("config"),
                                    std::string("/data/") + k_name + "/keys/x",
                                    std::string("/r/data/ab"),
                                    std::string("/r/data/../config"),
                                    "/r/data/" + std::string(64, 'A'),
                                    "/r/data/" + std::string(65, 'a'),
                                    "/r/data/" + k_name + "/",
                                    "/r/data/aa/" + k_name,
                                    "/" + std::string(101, 'x') + "/config",
                                    std::string("/%zz/config"),
                                    std::string("/1/2/3/4/5/6/7/8/9/config"),
                                    std::string("/keys/keys/")})
        EXPECT_EQ(parse_route(path).error().code, ErrorCode::usage) << path;
}

TEST(Range, ChoosesAsTheRfcSays) {
    const auto part = [](std::string_view header) { return choose_range(header, 1000); };
    const auto is = [](const RangeAnswer& answer, RangeKind kind, std::uint64_t begin, std::uint64_t size) {
        return answer.kind == kind && answer.range == ByteRange{begin, size};
    };
    EXPECT_TRUE(is(part("bytes=0-"), RangeKind::part, 0, 1000));
    EXPECT_TRUE(is(part("bytes=10-19"), RangeKind::part, 10, 10));
    EXPECT_TRUE(is(part("bytes=990-2000"), RangeKind::part, 990, 10));
    EXPECT_TRUE(is(part("bytes=-7"), RangeKind::part, 993, 7));
    EXPECT_TRUE(is(part("bytes=-7000"), RangeKind::part, 0, 1000));
    EXPECT_EQ(part("bytes=1000-").kind, RangeKind::unsatisfiable);
    EXPECT_EQ(part("bytes=18446744073709551615-").kind, RangeKind::unsatisfiable);
    EXPECT_EQ(part("bytes=-0").kind, RangeKind::unsatisfiable);
    EXPECT_EQ(choose_range("bytes=0-", 0).kind, RangeKind::unsatisfiable);
    for (const char* odd : {"bytes=5-3", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "lines=1-2", "bytes=1",
                            "bytes=99999999999999999999-", "bytes=+1-2", "bytes= 1-2", ""})
        EXPECT_TRUE(is(part(odd), RangeKind::whole, 0, 1000)) << odd;
    EXPECT_EQ(choose_range(std::nullopt, 5).kind, RangeKind::whole);
}

TEST(Htpasswd, TakesBcryptOnlyAndNamesTheLine) {
    const std::string bob = htpasswd_line("bob", "secret", 4).value();
    EXPECT_EQ(parse_htpasswd("# users\n\n" + bob, "users")->size(), 1u);
    const Error sha = parse_htpasswd(bob + "old:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n", "users").error();
    EXPECT_EQ(sha.code, ErrorCode::config);
    EXPECT_THAT(sha.message, HasSubstr("users:2"));
    EXPECT_EQ(sha.message.find("W6ph"), std::string::npos);
    for (const char* wrong : {"bob\n", ":x\n", "bob:\n", "bob:$apr1$x$y\n", "bob:plain\n"})
        EXPECT_EQ(parse_htpasswd(wrong, "users").error().code, ErrorCode::config) << wrong;
    EXPECT_EQ(parse_htpasswd(bob + bob, "users").error().code, ErrorCode::config);
}

TEST(Users, AdmitsTheRightPairAndFollowsTheFile) {
    const auto folder = os::TempFolder::create("hf-users").value();
    const std::string file = folder.path() + "/htpasswd";
    ASSERT_TRUE(os::write_file(file, as_bytes(htpasswd_line("bob", "secret", 4).value())));
    const auto users = Users::open(file).value();
    for (int i = 0; i < 2; ++i) {    // the second time from memory
        EXPECT_TRUE(users->check("bob", "secret"));
        EXPECT_FALSE(users->check("bob", "Secret"));
        EXPECT_FALSE(users->check("ann", "secret"));
        EXPECT_FALSE(users->check("", ""));
        EXPECT_FALSE(users->check("bob", std::string("secret\0x", 8)));
    }
    ASSERT_TRUE(os::write_file(file, as_bytes(htpasswd_line("bob", "another", 4).value())));
    EXPECT_FALSE(users->check("bob", "secret"));
    EXPECT_TRUE(users->check("bob", "another"));
    ASSERT_TRUE(os::write_file(file, as_bytes("damaged")));
    EXPECT_TRUE(users->check("bob", "another"));    // a wrong file is not used
}

}    // namespace
}    // namespace holdfast::serve
