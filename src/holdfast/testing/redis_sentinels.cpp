#include "holdfast/testing/redis_sentinels.hpp"

#include <fmt/core.h>

#include <chrono>
#include <thread>

#include "holdfast/os/file.hpp"
#include "holdfast/os/socket.hpp"

namespace holdfast::testing {
namespace {

// One command with a short answer; empty when there is none yet.
std::string ask(std::uint16_t port, const std::string& command) {
    constexpr Duration k_within = std::chrono::seconds(2);
    auto socket = os::Socket::connect_tcp("127.0.0.1", port, k_within);
    if (!socket || !socket->write(as_bytes(command + "\r\n"), k_within)) return {};
    Bytes piece;
    piece.resize(std::size_t(64) << 10);
    const auto size = socket->read(piece, k_within);
    return size ? std::string(as_text(ByteView(piece).first(*size))) : std::string();
}

template <class Done>
Status wait_for(const Done& done, std::string_view what) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline) return fail(ErrorCode::store, std::string(what));
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return {};
}

}    // namespace

Result<RedisSentinels> RedisSentinels::start(std::uint16_t master_port, unsigned count, unsigned down_after_ms) {
    HF_TRY(ServerSet servers, ServerSet::create("hf-sentinels"));
    RedisSentinels sentinels(std::move(servers));
    for (unsigned i = 0; i < count; ++i) {
        HF_TRY(const std::uint16_t port, os::free_port());
        const std::string folder = fmt::format("{}/sentinel{}", sentinels.servers_.folder(), i);
        HF_DO(os::make_folders(folder));
        const std::string config = fmt::format(
            "bind 127.0.0.1\nport {}\ndir {}\nsentinel monitor mymaster 127.0.0.1 {} {}\n"
            "sentinel down-after-milliseconds mymaster {}\nsentinel failover-timeout mymaster 5000\n",
            port, folder, master_port, count / 2 + 1, down_after_ms);
        HF_DO(os::write_file(folder + "/sentinel.conf", as_bytes(config)));
        HF_DO(sentinels.servers_.start("sentinel" + std::to_string(i),
                                       {"redis-server", folder + "/sentinel.conf", "--sentinel"}));
        HF_DO(wait_for([&] { return ask(port, "PING").starts_with("+PONG"); }, "a Sentinel did not come up"));
        sentinels.ports_.push_back(port);
    }
    return sentinels;
}

Status RedisSentinels::wait_until_complete(unsigned replicas) const {
    const std::string slaves = fmt::format("slaves={}", replicas), all = fmt::format("sentinels={}", ports_.size());
    return wait_for(
        [&] {
            for (const std::uint16_t port : ports_) {
                const std::string info = ask(port, "INFO sentinel");
                if (info.find(slaves) == info.npos || info.find(all) == info.npos) return false;
            }
            return true;
        },
        "the Sentinels did not find each other");
}

}    // namespace holdfast::testing
