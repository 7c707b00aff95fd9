// A rate holds inside one file, too. On a clock that only our own waiting moves: no time is measured.

#include "holdfast/storage/pace.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/format/crypto.hpp"
#include "holdfast/storage/backend.hpp"
#include "holdfast/storage/http_client.hpp"
#include "holdfast/storage/ssh_channel.hpp"
#include "holdfast/testing/scripted_http.hpp"
#include "holdfast/testing/sim_clock.hpp"

namespace holdfast::storage {
namespace {

using namespace std::chrono_literals;
using testing::ScriptedHttp;

constexpr std::uint64_t k_rate = 64 << 10, k_burst = k_rate / 8;

// Sees at each piece how much has travelled before it, and since when.
class PaceTest : public ::testing::Test {
protected:
    // What lies before a piece has been paid for, and the piece itself is small.
    void see(std::uint64_t before, std::uint64_t piece) {
        EXPECT_LE(piece, Pace::k_piece);
        EXPECT_LE(static_cast<double>(before), static_cast<double>(k_rate) * seconds(clock_.elapsed()) + k_burst + 1)
            << "after " << seconds(clock_.elapsed()) << " s";
        ++pieces_;
    }
    void expect_paced(std::uint64_t bytes) const {
        EXPECT_GE(pieces_, bytes / Pace::k_piece);
        EXPECT_GE(seconds(clock_.elapsed()), static_cast<double>(bytes - k_burst) / k_rate - 0.001);
    }
    testing::SimClock clock_;
    std::uint64_t pieces_ = 0;
    const std::string content_ = std::string(1 << 20, 'x');
};

class WatchedBody final : public HttpBody {
public:
    WatchedBody(std::uint64_t size, std::function<void(std::uint64_t, std::uint64_t)> see)
        : size_(size), see_(std::move(see)) {}
    std::uint64_t size() const override { return size_; }
    Status read(std::uint64_t offset, ByteSpan to) override {
        see_(offset, to.size());
        std::fill(to.begin(), to.end(), std::byte{'x'});
        return {};
    }

private:
    const std::uint64_t size_;
    const std::function<void(std::uint64_t, std::uint64_t)> see_;
};

TEST_F(PaceTest, HoldsInsideABodyThatIsSent) {
    std::size_t received = 0;
    const ScriptedHttp server([&](const std::string& request) {
        received = request.size() - request.find("\r\n\r\n") - 4;
        return ScriptedHttp::Reply{ScriptedHttp::answer(200)};
    });
    HttpClient client({.pace = make_paces(k_rate, 0, clock_)});
    WatchedBody body(content_.size(), [&](std::uint64_t at, std::uint64_t n) { see(at, n); });
    const auto answer = client.send({.method = "PUT", .url = server.url() + "/x", .body = &body, .what = "sending"});
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(received, content_.size());
    expect_paced(content_.size());
}

TEST_F(PaceTest, HoldsInsideABodyThatComes) {
    const ScriptedHttp server(
        [&](const std::string&) { return ScriptedHttp::Reply{ScriptedHttp::answer(200, content_)}; });
    HttpClient client({.pace = make_paces(0, k_rate, clock_)});
    std::uint64_t taken = 0;
    const auto answer =
        client.send({.url = server.url() + "/x", .what = "reading", .sink = [&](ByteView bytes) -> Status {
                         see(taken, bytes.size());
                         taken += bytes.size();
                         return {};
                     }});
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(taken, content_.size());
    expect_paced(content_.size());
}

TEST_F(PaceTest, IsSharedByAllConnections) {
    const ScriptedHttp server([](const std::string&) { return ScriptedHttp::Reply{ScriptedHttp::answer(200)}; });
    HttpClient client({.connections = 4, .pace = make_paces(k_rate, 0, clock_)});
    std::vector<std::thread> senders;
    for (int i = 0; i < 4; ++i)
        senders.emplace_back([&] {
            MemoryBody body(as_bytes(std::string_view(content_).substr(0, 256 << 10)));
            EXPECT_TRUE(client.send({.method = "PUT", .url = server.url() + "/x", .body = &body, .what = "sending"}));
        });
    for (std::thread& sender : senders) sender.join();
    EXPECT_GE(seconds(clock_.elapsed()), static_cast<double>((1 << 20) - k_burst) / k_rate - 0.001);
}

class Loop final : public SshChannel {
public:
    explicit Loop(std::function<void(std::uint64_t, std::uint64_t)> see) : see_(std::move(see)) {}
    Status write(ByteView bytes) override {
        see_(written_, bytes.size());
        written_ += bytes.size();
        return {};
    }
    Result<std::size_t> read(ByteSpan to) override {
        see_(read_, to.size());
        read_ += to.size();
        return to.size();
    }

private:
    const std::function<void(std::uint64_t, std::uint64_t)> see_;
    std::uint64_t written_ = 0, read_ = 0;
};

TEST_F(PaceTest, HoldsOnAChannelBothWays) {
    const auto watch = [&](std::uint64_t at, std::uint64_t n) { see(at, n); };
    const auto up = paced_channel(std::make_unique<Loop>(watch), make_paces(k_rate, 0, clock_));
    ASSERT_TRUE(up->write(as_bytes(content_)));
    expect_paced(content_.size());
    const Duration sent = clock_.elapsed();
    const auto down =
        paced_channel(std::make_unique<Loop>([&](std::uint64_t, std::uint64_t n) { EXPECT_LE(n, Pace::k_piece); }),
                      make_paces(0, k_rate, clock_));
    Bytes to(content_.size());
    for (std::size_t at = 0; at < to.size();) {
        const auto n = down->read(ByteSpan(to).subspan(at));
        ASSERT_TRUE(n);
        at += *n;
    }
    EXPECT_GE(seconds(clock_.elapsed() - sent), static_cast<double>(content_.size() - k_burst) / k_rate - 0.001);
}

// Each kind of storage over HTTP keeps to what its options say, and pays once.
class PacedStorage : public PaceTest, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Kinds, PacedStorage, ::testing::Values("rest", "s3", "azure"));

TEST_P(PacedStorage, PaysOnceForWhatItSendsAndReads) {
    const ScriptedHttp server([&](const std::string& request) {
        return ScriptedHttp::Reply{ScriptedHttp::answer(200, request.starts_with("GET") ? content_ : "")};
    });
    ::setenv("AWS_ACCESS_KEY_ID", "AK", 1);
    ::setenv("AWS_SECRET_ACCESS_KEY", "sk", 1);
    ::setenv("AZURE_ACCOUNT_NAME", "desk", 1);
    ::setenv("AZURE_ACCOUNT_KEY", "c2VjcmV0", 1);
    BackendOptions options;
    options.upload_max = k_rate;
    options.download_max = 2 * k_rate;
    const std::string kind = GetParam();
    std::string location = fmt::format("{}:{}/bucket/desk/", kind, server.url());
    if (kind == "azure") {
        location = "azure:bucket:/desk";
        options.extended = {{"azure.endpoint", server.url()}};
    }
    const auto backend = open_backend(location, options, clock_);
    ASSERT_TRUE(backend) << backend.error().message;
    const FileName name{FileKind::pack, format::sha256(as_bytes(content_))};
    const auto put = (*backend)->put(name, as_bytes(content_));
    ASSERT_TRUE(put) << put.error().message;
    EXPECT_GE(clock_.elapsed(), 15800ms);
    EXPECT_LE(clock_.elapsed(), 16s);
    const Duration before = clock_.elapsed();
    const auto read = (*backend)->read(name);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(as_text(*read), content_);
    EXPECT_GE(clock_.elapsed() - before, 7800ms);
    EXPECT_LE(clock_.elapsed() - before, 8s);
}

}    // namespace
}    // namespace holdfast::storage
