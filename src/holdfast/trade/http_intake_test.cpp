// Signals over HTTP, as producers send them, well-meaning ones and others. Requirements: MT-07, EA-08.

#include "holdfast/trade/http_intake.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/trade/engine_fixture_test.hpp"

namespace holdfast::trade {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* k_token = "0123456789abcdef-token";

std::string uuid(unsigned n) { return fmt::format("0197b8e4-7b6a-7c3e-9d3f-{:012x}", n); }
std::string signal(unsigned n, std::string_view more = {}) {
    return fmt::format(R"({{"id":"{}","symbol":"EURUSD","side":"buy","quantity":"0.1"{}}})", uuid(n), more);
}

struct Answer {
    int status = 0;
    std::string head, body;
};

class Client {
public:
    explicit Client(Result<os::Socket> socket, std::string token = k_token)
        : socket_(std::move(socket).value()), token_(std::move(token)) {}

    void send(std::string_view bytes) { EXPECT_TRUE(socket_.write(as_bytes(bytes), 30s)); }
    Answer receive() {
        std::size_t end;
        while ((end = pending_.find("\r\n\r\n")) == std::string::npos)
            if (!more()) return {};
        Answer answer{std::stoi(pending_.substr(9, 3)), pending_.substr(0, end + 2), {}};
        pending_.erase(0, end + 4);
        const std::size_t at = answer.head.find("Content-Length: ");
        const auto size = std::stoul(answer.head.substr(at + 16));
        while (pending_.size() < size)
            if (!more()) return {};
        answer.body = pending_.substr(0, size);
        pending_.erase(0, size);
        return answer;
    }
    Answer ask(std::string_view method, std::string_view path, std::string_view body = {}) {
        send(fmt::format("{} {} HTTP/1.1\r\nHost: x\r\n{}{}Content-Length: {}\r\n\r\n{}", method, path,
                         token_.empty() ? "" : "Authorization: Bearer ", token_.empty() ? "" : token_ + "\r\n",
                         body.size(), body));
        return receive();
    }

private:
    bool more() {
        Bytes piece(64 << 10);
        const auto n = socket_.read(piece, 30s);
        if (!n || *n == 0) return false;
        pending_ += as_text(ByteView(piece).first(*n));
        return true;
    }
    os::Socket socket_;
    const std::string token_;
    std::string pending_;
};

class HttpIntakeTest : public ::testing::Test {
protected:
    void start(const std::function<void(HttpIntakeOptions&)>& change = {}) {
        HttpIntakeOptions options;
        options.listen = "127.0.0.1:0";
        options.unix_socket = socket_path();
        options.token = Secret(k_token);
        options.answer_max = 60s;
        if (change) change(options);
        auto started =
            HttpIntake::start(std::move(options),
                              {.submit = engine_.submit(),
                               .find = [this](const ledger::Uuid& id) -> Result<std::optional<ledger::Order>> {
                                   return engine_.find(id);
                               },
                               .results = feed_,
                               .ticks = [this](std::span<const ProducerTick> ticks) -> Status {
                                   const std::scoped_lock lock(ticks_mutex_);
                                   ticks_.insert(ticks_.end(), ticks.begin(), ticks.end());
                                   return {};
                               }},
                              clock_);
        ASSERT_TRUE(started) << started.error().message;
        intake_ = std::move(*started);
    }
    Client tcp(std::string token = k_token) {
        return Client(os::Socket::connect_tcp("127.0.0.1", intake_->port(), 30s), std::move(token));
    }
    Client local() { return Client(os::Socket::connect_unix(socket_path(), 30s), ""); }
    std::string socket_path() const { return folder_.path() + "/acct.sock"; }

    os::TempFolder folder_ = os::TempFolder::create("hf-intake").value();
    os::SystemClock clock_;
    TestEngine engine_;
    std::shared_ptr<ResultFeed> feed_ = std::make_shared<ResultFeed>(0, 8);
    std::mutex ticks_mutex_;
    std::vector<ProducerTick> ticks_;
    std::unique_ptr<HttpIntake> intake_;
};

TEST_F(HttpIntakeTest, TakesASignalOnceHoweverOftenItIsSent) {
    start();
    Client client = tcp();
    const Answer first = client.ask("POST", "/v1/signals", signal(1));
    EXPECT_EQ(first.status, 202);
    EXPECT_THAT(first.body, HasSubstr("\"verdict\":\"accepted\""));
    const Answer second = client.ask("POST", "/v1/signals", signal(1));
    EXPECT_EQ(second.status, 200);
    EXPECT_THAT(second.body, HasSubstr("\"verdict\":\"duplicate\",\"order\":{\"id\":\"" + uuid(1)));
    const Answer other = local().ask("POST", "/v1/signals", signal(1, ",\"take_profit\":5"));
    EXPECT_EQ(other.status, 409);
    EXPECT_THAT(other.body, HasSubstr("\"verdict\":\"conflict\""));
    EXPECT_THAT(other.body, HasSubstr("another signal"));
    EXPECT_EQ(engine_.orders(), 1u);
    const Answer found = client.ask("GET", "/v1/orders/" + uuid(1));
    EXPECT_EQ(found.status, 200);
    EXPECT_THAT(found.body, HasSubstr("\"state\":\"accepted\",\"symbol\":\"EURUSD\""));
    EXPECT_EQ(client.ask("GET", "/v1/orders/" + uuid(2)).status, 404);
    EXPECT_EQ(client.ask("GET", "/v1/orders/nonsense").status, 400);
    const IntakeCounts counts = intake_->counts();
    EXPECT_EQ(counts.accepted, 1u);
    EXPECT_EQ(counts.duplicate, 1u);
    EXPECT_EQ(counts.conflict, 1u);
}

TEST_F(HttpIntakeTest, AnswersEachSignalOfAnArrayAndTheWorstInTheStatus) {
    start();
    Client client = local();
    EXPECT_EQ(client.ask("POST", "/v1/signals", "[" + signal(1) + "," + signal(1) + "]").status, 202);
    const Answer again = client.ask("POST", "/v1/signals", "[" + signal(1) + "," + signal(2) + "]");
    EXPECT_EQ(again.status, 202);
    EXPECT_THAT(again.body, ::testing::MatchesRegex(R"(\[.*"duplicate".*"accepted".*\]
)"));
    EXPECT_EQ(client.ask("POST", "/v1/signals", "[" + signal(1) + "," + signal(2) + "]").status, 200);
    EXPECT_EQ(client.ask("POST", "/v1/signals", "[" + signal(3) + "," + signal(1, ",\"stop_loss\":1") + "]").status,
              409);
    EXPECT_EQ(engine_.orders(), 3u);
    // One that is malformed: none is taken, and it is said which.
    const Answer bad = client.ask("POST", "/v1/signals", "[" + signal(4) + ",{\"id\":5}]");
    EXPECT_EQ(bad.status, 400);
    EXPECT_THAT(bad.body, HasSubstr("signal 2: id must be a string"));
    EXPECT_EQ(engine_.orders(), 3u);
}

TEST_F(HttpIntakeTest, TellsStrangersNothing) {
    start();
    for (const char* token : {"", "x", "0123456789abcdef-tokeN", "0123456789abcdef-token2", "0123456789abcdef-toke"})
        for (const char* path : {"/v1/signals", "/v1/orders/x", "/nothing", "/v1/results"}) {
            const Answer answer = tcp(token).ask("POST", path, signal(1));
            EXPECT_EQ(answer.status, 401) << token << path;
            EXPECT_THAT(answer.head, HasSubstr("WWW-Authenticate: Bearer"));
            EXPECT_THAT(answer.body, Not(HasSubstr("0123")));
        }
    Client basic = tcp("");
    basic.send(fmt::format("GET /v1/orders/x HTTP/1.1\r\nAuthorization: Basic {}\r\n\r\n", k_token));
    EXPECT_EQ(basic.receive().status, 401);
    EXPECT_EQ(engine_.submissions(), 0u);
    EXPECT_EQ(intake_->counts().denied, 21u);
}

TEST_F(HttpIntakeTest, RefusesHostileRequestsAndGoesOn) {
    start();
    Client client = local();
    EXPECT_EQ(client.ask("POST", "/v1/signals", R"({"id":"x"})").status, 400);
    EXPECT_EQ(client.ask("POST", "/v1/signals", R"({"quantity":NaN})").status, 400);
    EXPECT_EQ(client.ask("GET", "/v1/signals").status, 405);
    EXPECT_EQ(client.ask("DELETE", "/v1/orders/" + uuid(1)).status, 405);
    EXPECT_EQ(client.ask("GET", "/v2/signals").status, 404);
    const Answer future = client.ask("POST", "/v1/signals", signal(9, R"(,"created_at":"2100-01-01T00:00:00Z")"));
    EXPECT_EQ(future.status, 400);
    EXPECT_THAT(future.body, HasSubstr("clock"));
    // 10 MB: refused from the head, whether they come or not.
    Client big = local();
    big.send("POST /v1/signals HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n");
    EXPECT_EQ(big.receive().status, 413);
    EXPECT_EQ(local().ask("POST", "/v1/signals", "\"" + std::string(k_body_max, 'x') + "\"").status, 413);
    EXPECT_EQ(local().ask("POST", "/v1/signals", "\"" + std::string(k_body_max - 2, 'x') + "\"").status, 400);
    Client chunked = local();
    chunked.send("POST /v1/signals HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    EXPECT_EQ(chunked.receive().status, 411);
    Client odd = local();
    odd.send("GET / HTTP/2\r\n\r\n");
    EXPECT_EQ(odd.receive().status, 400);
    EXPECT_EQ(local().ask("POST", "/v1/signals", signal(1)).status, 202);
    EXPECT_EQ(engine_.submissions(), 1u);
}

TEST_F(HttpIntakeTest, SaysWhenTheEngineCannotTakeIt) {
    start([](HttpIntakeOptions& options) { options.answer_max = 50ms; });
    Client client = local();
    engine_.away(true);
    const Answer away = client.ask("POST", "/v1/signals", signal(1));
    EXPECT_EQ(away.status, 503);
    EXPECT_THAT(away.head, HasSubstr("Retry-After: 1"));
    EXPECT_THAT(away.body, HasSubstr("the journal's disk is full"));
    engine_.away(false);
    // No answer in time: it may have been taken. The same signal again is safe, and the late answer harms nobody.
    engine_.silent(true);
    EXPECT_EQ(client.ask("POST", "/v1/signals", signal(1)).status, 503);
    engine_.silent(false);
    EXPECT_EQ(client.ask("POST", "/v1/signals", signal(1)).status, 200);
    EXPECT_EQ(engine_.orders(), 1u);
}

TEST_F(HttpIntakeTest, BoundsWhatWaits) {
    start([](HttpIntakeOptions& options) { options.waiting_max = 2; });
    engine_.silent(true);
    std::vector<std::thread> producers;
    std::atomic<int> accepted = 0;
    for (unsigned n = 0; n < 2; ++n)
        producers.emplace_back([&, n] { accepted += local().ask("POST", "/v1/signals", signal(n)).status == 202; });
    while (engine_.held() < 2) std::this_thread::sleep_for(1ms);
    EXPECT_EQ(local().ask("POST", "/v1/signals", signal(5)).status, 503);
    engine_.silent(false);
    for (std::thread& producer : producers) producer.join();
    EXPECT_EQ(accepted, 2);
    EXPECT_EQ(local().ask("POST", "/v1/signals", signal(5)).status, 202);
}

TEST_F(HttpIntakeTest, ClosesConnectionsBeyondItsLimit) {
    start([](HttpIntakeOptions& options) { options.connections_max = 2; });
    Client one = local(), two = local();
    EXPECT_EQ(one.ask("POST", "/v1/signals", signal(1)).status, 202);
    EXPECT_EQ(two.ask("POST", "/v1/signals", signal(2)).status, 202);
    auto third = os::Socket::connect_unix(socket_path(), 30s);
    ASSERT_TRUE(third);
    Bytes piece(16);
    const auto n = third->read(piece, 30s);
    EXPECT_TRUE(!n || *n == 0);
    EXPECT_EQ(one.ask("POST", "/v1/signals", signal(3)).status, 202);    // keep-alive
}

TEST_F(HttpIntakeTest, ManyProducersAtOnceWithTheSameSignals) {
    start();
    constexpr unsigned k_producers = 8, k_signals = 100;
    std::vector<std::thread> producers;
    std::atomic<unsigned> accepted = 0, duplicate = 0, other = 0;
    for (unsigned p = 0; p < k_producers; ++p)
        producers.emplace_back([&, p] {
            Client client = p % 2 ? tcp() : local();
            for (unsigned n = 0; n < k_signals; ++n) {
                const int status = client.ask("POST", "/v1/signals", signal(n)).status;
                ++(status == 202 ? accepted : status == 200 ? duplicate : other);
            }
        });
    for (std::thread& producer : producers) producer.join();
    EXPECT_EQ(accepted, k_signals);
    EXPECT_EQ(duplicate, (k_producers - 1) * k_signals);
    EXPECT_EQ(other, 0u);
    EXPECT_EQ(engine_.orders(), k_signals);
}

ledger::Order order_named(unsigned n) {
    ledger::Order order;
    order.id = *ledger::Uuid::parse(uuid(n));
    order.state = ledger::OrderState::filled;
    return order;
}

TEST_F(HttpIntakeTest, HandsOutResultsInOrderAndSaysWhenSomeAreGone) {
    start();
    Client client = local();
    EXPECT_EQ(client.ask("GET", "/v1/results").body, "{\"next\":0,\"gap\":false,\"changes\":[]}\n");
    std::thread late([&] {
        std::this_thread::sleep_for(20ms);
        feed_->publish(5, order_named(1));
    });
    const Answer waited = client.ask("GET", "/v1/results?after=0&wait=30");
    late.join();
    EXPECT_THAT(waited.body,
                HasSubstr("{\"next\":5,\"gap\":false,\"changes\":[{\"sequence\":5,\"order\":{\"id\":\"" + uuid(1)));
    for (unsigned n = 6; n < 20; ++n) feed_->publish(n, order_named(n));
    const Answer gap = client.ask("GET", "/v1/results?after=5&max=3");
    EXPECT_THAT(gap.body, HasSubstr("\"next\":14,\"gap\":true"));
    EXPECT_THAT(gap.body, HasSubstr("\"sequence\":12"));
    EXPECT_THAT(client.ask("GET", "/v1/results?after=14").body, HasSubstr("\"next\":19,\"gap\":false"));
    EXPECT_EQ(client.ask("GET", "/v1/results?after=x").status, 400);
    EXPECT_EQ(client.ask("GET", "/v1/results?max=0").status, 400);
}

TEST_F(HttpIntakeTest, TakesTicks) {
    start();
    Client client = local();
    EXPECT_EQ(client.ask("POST", "/v1/ticks", R"([{"symbol":"EURUSD","bid":"1.08335","ask":"1.08337"}])").status, 200);
    ASSERT_EQ(ticks_.size(), 1u);
    EXPECT_EQ(ticks_[0].ask.text(), "1.08337");
    EXPECT_GT(ticks_[0].at.nanoseconds, 0);
    for (const char* bad :
         {"{}", "[{}]", R"([{"symbol":"X","bid":"-1","ask":"1"}])", R"([{"symbol":"X","bid":1,"ask":"1"}])",
          R"([{"symbol":"X","bid":"1","ask":"1","at":"?"}])", "[5]", "x"})
        EXPECT_EQ(client.ask("POST", "/v1/ticks", bad).status, 400) << bad;
    EXPECT_EQ(ticks_.size(), 1u);
}

TEST_F(HttpIntakeTest, DoesNotStartOpenToEverybody) {
    const auto refused = [&](std::string listen, std::string token) {
        HttpIntakeOptions options;
        options.listen = std::move(listen);
        options.token = Secret(std::move(token));
        return HttpIntake::start(std::move(options),
                                 {.submit = engine_.submit(), .find = [](const ledger::Uuid&) { return std::nullopt; }},
                                 clock_)
            .error();
    };
    EXPECT_EQ(refused("", "").code, ErrorCode::config);
    EXPECT_EQ(refused("127.0.0.1:0", "").code, ErrorCode::config);
    EXPECT_EQ(refused("127.0.0.1:0", "short").code, ErrorCode::config);
    EXPECT_THAT(refused("127.0.0.1:0", "short-secret").message, Not(HasSubstr("short-secret")));
}

TEST_F(HttpIntakeTest, StopFinishesWhatIsOnItsWay) {
    start();
    engine_.silent(true);
    std::atomic<int> status = 0;
    std::thread producer([&] { status = local().ask("POST", "/v1/signals", signal(1)).status; });
    // Somebody who waits for results does not keep it.
    auto reader = os::Socket::connect_unix(socket_path(), 30s);
    ASSERT_TRUE(reader && reader->write(as_bytes("GET /v1/results?after=0&wait=30 HTTP/1.1\r\n\r\n"), 30s));
    while (engine_.held() < 1) std::this_thread::sleep_for(1ms);
    std::thread stopper([&] { intake_->stop(); });
    std::this_thread::sleep_for(10ms);
    engine_.silent(false);
    stopper.join();
    producer.join();
    EXPECT_EQ(status, 202);
}

}    // namespace
}    // namespace holdfast::trade
