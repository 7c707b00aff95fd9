// Listings as hostile servers may send them: they end, and nothing that is no file of ours comes out of them.

#include "holdfast/storage/object_list.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/storage/rest.hpp"

namespace holdfast::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string k_id(64, 'a');

class ObjectList : public ::testing::Test {
protected:
    // Walks through pages that `next` names one after the other, each with `objects`.
    Status walk(const std::function<std::string(std::uint64_t page)>& next,
                const std::vector<std::pair<std::string, std::uint64_t>>& objects) {
        const auto fetch = [&](const std::string&) -> Result<ObjectPage> {
            return ObjectPage{objects, next(pages_++)};
        };
        return list_objects(FileKind::snapshot, "desk/", "listing", fetch,
                            [&](const Id& id, std::uint64_t size) { found_.emplace_back(id.hex(), size); },
                            {.files = 1000, .empty_pages = 100});
    }
    std::uint64_t pages_ = 0;
    std::vector<std::pair<std::string, std::uint64_t>> found_;
};

TEST_F(ObjectList, FindsACircleOfAnyLength) {
    for (const std::uint64_t length : {1u, 2u, 3u, 7u, 10u}) {
        pages_ = 0;
        const auto listed = walk([&](std::uint64_t page) { return fmt::format("page-{}", page % length); }, {});
        ASSERT_FALSE(listed);
        EXPECT_EQ(listed.error().code, ErrorCode::corrupt);
        EXPECT_THAT(listed.error().message, HasSubstr("circle"));
        EXPECT_LE(pages_, 64u) << length;
    }
}

TEST_F(ObjectList, EndsWhereTheServerNeverDoes) {
    const auto fresh = [](std::uint64_t page) { return fmt::format("page-{}", page); };
    const auto full = walk(fresh, {{"desk/snapshots/" + k_id, 1}, {"foreign", 1}});
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, ErrorCode::corrupt);
    EXPECT_EQ(pages_, 501u);
    pages_ = 0;
    const auto empty = walk(fresh, {});
    ASSERT_FALSE(empty);
    EXPECT_EQ(empty.error().code, ErrorCode::corrupt);
    EXPECT_EQ(pages_, 101u);
}

TEST_F(ObjectList, TellsOfNoNameThatIsNotExactlyAFileOfTheKind) {
    const auto listed = walk([](std::uint64_t page) { return page == 0 ? "more" : ""; },
                             {{"desk/snapshots/" + k_id, 7},
                              {"desk/snapshots/../keys/" + k_id, 1},
                              {"desk/snapshots//" + k_id, 1},
                              {"/desk/snapshots/" + k_id, 1},
                              {"desk/snapshots/" + k_id + "/", 1},
                              {"desk/snapshots/" + k_id + "/../../../etc/passwd", 1},
                              {"desk/snapshots/" + k_id.substr(1), 1},
                              {"desk/snapshots/" + std::string(64, 'A'), 1},
                              {"desk/keys/" + k_id, 1},
                              {"other/snapshots/" + k_id, 1},
                              {"..", 1},
                              {"", 1}});
    ASSERT_TRUE(listed);
    EXPECT_EQ(pages_, 2u);
    EXPECT_THAT(found_, ElementsAre(std::pair(k_id, std::uint64_t(7)), std::pair(k_id, std::uint64_t(7))));
}

TEST(S3Page, IsRefusedWhereItClaimsToGoOnNowhere) {
    const auto page = parse_s3_page("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", "listing");
    ASSERT_FALSE(page);
    EXPECT_EQ(page.error().code, ErrorCode::corrupt);
}

TEST(ListPages, RefuseSizesThatAreNone) {
    for (const char* size : {"", "-1", "1e9", "18446744073709551616", "0x10", "1 "}) {
        EXPECT_FALSE(parse_s3_page(fmt::format("<ListBucketResult><Contents><Key>k</Key><Size>{}</Size></Contents>"
                                               "<IsTruncated>false</IsTruncated></ListBucketResult>",
                                               size),
                                   "listing"))
            << size;
        EXPECT_FALSE(parse_azure_page(
            fmt::format("<EnumerationResults><Blobs><Blob><Name>k</Name><Properties><Content-Length>{}</Content-Length>"
                        "</Properties></Blob></Blobs><NextMarker/></EnumerationResults>",
                        size),
            "listing"))
            << size;
    }
}

TEST(RestList, SkipsForeignNamesAndRefusesWhatIsNoWholeList) {
    const std::string one = fmt::format(R"({{"name":"{}","size":5}})", k_id);
    const auto both =
        parse_rest_list(fmt::format(R"([{0},{{"name":"../../etc/passwd","size":1}},{{"size":1}},{0}])", one));
    ASSERT_TRUE(both);
    EXPECT_EQ(both->size(), 2u);
    const auto names = parse_rest_list(fmt::format(R"(["{}","/etc/passwd","..",7,null,[],{{}}])", k_id));
    ASSERT_TRUE(names);
    EXPECT_EQ(names->size(), 1u);
    EXPECT_EQ(names->front().size, std::nullopt);
    for (const char* empty : {"[]", "null", " null\n", " [ ] "}) {
        const auto list = parse_rest_list(empty);
        ASSERT_TRUE(list) << empty;
        EXPECT_TRUE(list->empty());
    }
    for (const std::string& bad :
         {std::string(), std::string("{}"), std::string("7"), std::string("nul"), "[" + one, "[" + one + ",",
          "[" + one + "]]", "[" + one + "] x", one, fmt::format(R"([{{"name":"{}","size":-1}}])", k_id),
          fmt::format(R"([{{"name":"{}","size":1e300}}])", k_id), fmt::format(R"([{{"name":"{}"}}])", k_id)})
        EXPECT_FALSE(parse_rest_list(bad)) << bad;
}

}    // namespace
}    // namespace holdfast::storage
