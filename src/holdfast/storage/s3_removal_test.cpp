// What S3 servers answer to DeleteObjects, word by word: real ones cannot be made to say all of it.

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/format/crypto.hpp"
#include "holdfast/storage/digest.hpp"
#include "holdfast/storage/s3.hpp"
#include "holdfast/testing/scripted_http.hpp"

namespace holdfast::storage {
namespace {

using ::testing::HasSubstr;
using testing::ScriptedHttp;
using ::testing::StartsWith;

class S3Removal : public ::testing::Test {
protected:
    // Removes three files where the server answers to POST with `status` and `answer`, and to DELETE with 204.
    Status remove_three(int status, const std::string& answer) {
        const ScriptedHttp server([&](const std::string& request) {
            requests_.push_back(request);
            if (request.starts_with("DELETE")) return ScriptedHttp::Reply{ScriptedHttp::answer(204, "")};
            return ScriptedHttp::Reply{ScriptedHttp::answer(status, answer)};
        });
        const auto backend =
            s3_backend(parse_s3_location(server.url() + "/bucket/desk", {}).value(),
                       {.credentials = {.access_key = "AK", .secret_key = Secret("sk")}, .http = {.connections = 1}});
        return backend->remove_many(names_, [&](const FileName& name) { gone_.push_back(name); });
    }
    static std::string key(const FileName& name) { return "desk/" + relative_path(name); }
    static FileName named(std::string_view content) { return {FileKind::pack, format::sha256(as_bytes(content))}; }

    const std::vector<FileName> names_ = {named("a"), named("b"), named("c")};
    std::vector<FileName> gone_;
    std::vector<std::string> requests_;
};

TEST_F(S3Removal, IsOneRequestThatCarriesTheHashOfItsNames) {
    ASSERT_TRUE(remove_three(200, "<DeleteResult/>"));
    ASSERT_EQ(requests_.size(), 1u);
    EXPECT_THAT(requests_[0], StartsWith("POST /bucket?delete= "));
    const std::string body = requests_[0].substr(requests_[0].find("\r\n\r\n") + 4);
    for (const FileName& name : names_) EXPECT_THAT(body, HasSubstr("<Key>" + key(name) + "</Key>"));
    MemoryBody bytes(as_bytes(body));
    EXPECT_THAT(requests_[0], HasSubstr("Content-MD5: " + to_base64(md5_of(bytes, 0, bytes.size()).value())));
    EXPECT_EQ(gone_.size(), 3u);
}

TEST_F(S3Removal, TellsWhatIsGoneThoughOneFileIsHeld) {
    const auto removed = remove_three(
        200, fmt::format("<DeleteResult><Error><Key>{}</Key><Code>AccessDenied</Code><Message>held</Message></Error>"
                         "<Error><Key>{}</Key><Code>NoSuchKey</Code><Message/></Error></DeleteResult>",
                         key(names_[1]), key(names_[2])));
    ASSERT_FALSE(removed);
    EXPECT_EQ(removed.error().code, ErrorCode::denied);
    EXPECT_THAT(removed.error().message, HasSubstr(relative_path(names_[1])));
    EXPECT_THAT(removed.error().message, HasSubstr("held"));
    EXPECT_THAT(gone_, ::testing::UnorderedElementsAre(names_[0], names_[2]));
}

TEST_F(S3Removal, IsTriedAgainWhereTheServerWasBusy) {
    const auto removed = remove_three(
        200,
        fmt::format("<DeleteResult><Error><Key>{}</Key><Code>SlowDown</Code></Error></DeleteResult>", key(names_[0])));
    ASSERT_FALSE(removed);
    EXPECT_TRUE(removed.error().retryable());
    EXPECT_EQ(gone_.size(), 2u);
}

TEST_F(S3Removal, GoesOneByOneWhereTheServerDoesNotKnowIt) {
    for (const int status : {501, 405, 400}) {
        requests_.clear();
        gone_.clear();
        const auto removed = remove_three(status, "<Error><Code>NotImplemented</Code></Error>");
        ASSERT_TRUE(removed) << removed.error().message;
        EXPECT_EQ(requests_.size(), 4u);
        EXPECT_EQ(gone_.size(), 3u);
    }
}

TEST_F(S3Removal, BelievesNoAnswerThatIsNone) {
    for (const char* answer : {"", "<html>", "<Error><Code>InternalError</Code></Error>",
                               "<DeleteResult><Error><Key>another</Key><Code>X</Code></Error></DeleteResult>"}) {
        EXPECT_FALSE(remove_three(200, answer)) << answer;
        EXPECT_TRUE(gone_.empty()) << answer;
    }
}

}    // namespace
}    // namespace holdfast::storage
