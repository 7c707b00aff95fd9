#pragma once
// A TCP line that misbehaves as a test says, between a client and a server on 127.0.0.1.
//
//   threads   faults may be changed at any time, from any thread; what a connection does is decided when it is made, but
//             `hang` and `delay` act on living ones, too
//   end       the destructor cuts all connections and waits for its threads

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::testing {

/// What one connection suffers.
struct LineFaults {
    std::optional<std::uint64_t> cut_up;    // reset (RST both ways) after so many bytes to the server
    std::optional<std::uint64_t> cut_down;    // ... to the client
    bool refuse = false;    // accepted, then reset before anything is passed
    bool orderly = false;    // a cut is the end of the stream (FIN both ways), as of a proxy that gives up
    Duration delay{};    // of each piece each way: what goes over another connection overtakes it
};

class FaultProxy {
public:
    static Result<std::unique_ptr<FaultProxy>> start(std::uint16_t target_port);
    ~FaultProxy();

    std::uint16_t port() const { return port_; }
    /// Decides for every new connection; `number` counts them from 0. Empty: no faults.
    void plan(std::function<LineFaults(unsigned number)> plan);
    /// Bytes are held while it is true; connections stay open.
    void hang(bool on) { hang_ = on; }
    /// Each way waits so long before a piece travels on.
    void delay(Duration each_way) { delay_ = each_way.count(); }
    /// Resets every living connection.
    void cut_now();
    unsigned connections() const { return count_; }    // so far
    unsigned cuts() const { return cuts_; }

private:
    struct Line;
    FaultProxy(os::Fd listener, std::uint16_t port, std::uint16_t target);
    void accept_loop();
    void pump(Line& line, bool up);

    os::Fd listener_;
    const std::uint16_t port_, target_;
    std::atomic<bool> ending_ = false, hang_ = false;
    std::atomic<std::int64_t> delay_ = 0;
    std::atomic<unsigned> count_ = 0, cuts_ = 0;
    std::mutex mutex_;
    std::function<LineFaults(unsigned)> plan_;
    std::vector<std::shared_ptr<Line>> lines_;
    std::vector<std::thread> threads_;
    std::thread acceptor_;
};

}    // namespace holdfast::testing
