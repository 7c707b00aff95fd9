// Servers that mean harm, one kind of storage after the other: nothing that they answer fills our memory, keeps us for ever, or
// becomes a name that leads elsewhere. (Paths and sizes of SFTP: sftp_packet_fuzz.cpp.)

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/format/crypto.hpp"
#include "holdfast/storage/azure.hpp"
#include "holdfast/storage/rest.hpp"
#include "holdfast/storage/s3.hpp"
#include "holdfast/testing/scripted_http.hpp"

namespace holdfast::storage {
namespace {

using testing::ScriptedHttp;

const FileName k_key{FileKind::key, format::sha256(as_bytes("key"))};

class HostileServer : public ::testing::TestWithParam<const char*> {
protected:
    std::unique_ptr<Backend> backend(const ScriptedHttp& server) const {
        const std::string kind = GetParam();
        if (kind == "s3")
            return s3_backend(parse_s3_location(server.url() + "/bucket/desk", {}).value(),
                              {.credentials = {.access_key = "AK", .secret_key = Secret("sk")}});
        if (kind == "azure")
            return azure_backend(
                parse_azure_location("desk:/desk", "a", {.extended = {{"azure.endpoint", server.url()}}}).value(),
                {.credentials = {.account = "a", .key = Bytes(32)}});
        return open_rest(server.url() + "/desk/", {}).value();
    }
    // A list of nothing that names `token` as its next page.
    static std::string page(const std::string& token) {
        if (std::string_view(GetParam()) == "s3")
            return fmt::format(
                "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>"
                "</ListBucketResult>",
                token);
        return fmt::format("<EnumerationResults><Blobs/><NextMarker>{}</NextMarker></EnumerationResults>", token);
    }
};
INSTANTIATE_TEST_SUITE_P(Kinds, HostileServer, ::testing::Values("s3", "azure", "rest"));

TEST_P(HostileServer, SendsNoMoreOfAFileThanItMayHold) {
    // It claims all that 63 bits can, and sends more than a key file has.
    const ScriptedHttp server([](const std::string&) {
        return ScriptedHttp::Reply{
            "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n" + std::string(2 << 20, 'x'),
            ScriptedHttp::Then::hang};
    });
    const auto read = backend(server)->read(k_key);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::corrupt) << read.error().message;
}

TEST_P(HostileServer, SendsNoMoreOfAPartThanWasAskedFor) {
    for (const int status : {206, 200}) {
        const ScriptedHttp server([&](const std::string&) {
            return ScriptedHttp::Reply{
                fmt::format("HTTP/1.1 {} OK\r\nContent-Length: 9223372036854775807\r\n\r\n", status) +
                    std::string(2 << 20, 'x'),
                ScriptedHttp::Then::hang};
        });
        std::array<std::byte, 100> to;
        const auto read = backend(server)->read_at(k_key, 7, to);
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().code, ErrorCode::corrupt) << read.error().message;
    }
}

TEST_P(HostileServer, IsNotBelievedASizeThatIsNone) {
    for (const char* length : {"-1", "18446744073709551616", "1e9", "x"}) {
        const ScriptedHttp server([&](const std::string&) {
            return ScriptedHttp::Reply{fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", length),
                                       ScriptedHttp::Then::close};
        });
        EXPECT_FALSE(backend(server)->size(k_key)) << length;
    }
}

class HostileServerWithPages : public HostileServer {};
INSTANTIATE_TEST_SUITE_P(Kinds, HostileServerWithPages, ::testing::Values("s3", "azure"));

TEST_P(HostileServerWithPages, ThatListsInACircleIsLeft) {
    unsigned pages = 0;
    const ScriptedHttp server([&](const std::string&) {
        return ScriptedHttp::Reply{ScriptedHttp::answer(200, page(fmt::format("token-{}", pages++ % 3)))};
    });
    const auto listed = backend(server)->list(FileKind::pack, [](const Id&, std::uint64_t) {});
    ASSERT_FALSE(listed);
    EXPECT_EQ(listed.error().code, ErrorCode::corrupt) << listed.error().message;
    EXPECT_LE(pages, 16u);
}

TEST_P(HostileServer, ListsNoNameThatLeadsElsewhere) {
    const std::string good = k_key.id.hex();
    std::string body;
    const std::string kind = GetParam();
    for (const std::string& name : std::vector<std::string>{good, "../" + good, "../../etc/passwd", "/etc/passwd",
                                                            good + "/..", std::string(64, 'g'), ""}) {
        if (kind == "s3") body += fmt::format("<Contents><Key>desk/keys/{}</Key><Size>1</Size></Contents>", name);
        if (kind == "azure")
            body += fmt::format(
                "<Blob><Name>desk/keys/{}</Name><Properties><Content-Length>1</Content-Length></Properties></Blob>",
                name);
        if (kind == "rest") body += fmt::format("{}{{\"name\":\"{}\",\"size\":1}}", body.empty() ? "" : ",", name);
    }
    if (kind == "s3") body = "<ListBucketResult>" + body + "<IsTruncated>false</IsTruncated></ListBucketResult>";
    if (kind == "azure") body = "<EnumerationResults><Blobs>" + body + "</Blobs><NextMarker/></EnumerationResults>";
    if (kind == "rest") body = "[" + body + "]";
    const ScriptedHttp server([&](const std::string&) { return ScriptedHttp::Reply{ScriptedHttp::answer(200, body)}; });
    std::vector<Id> found;
    const auto listed = backend(server)->list(FileKind::key, [&](const Id& id, std::uint64_t) { found.push_back(id); });
    ASSERT_TRUE(listed) << listed.error().message;
    EXPECT_THAT(found, ::testing::ElementsAre(k_key.id));
}

}    // namespace
}    // namespace holdfast::storage
