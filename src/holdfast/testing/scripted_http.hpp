#pragma once
// An HTTP server on 127.0.0.1 that answers exactly the bytes a test gives it, and can hang, cut off or lie.
//
//   threads   the script is called by one connection at a time

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/os/fd.hpp"

namespace holdfast::testing {

class ScriptedHttp {
public:
    enum class Then { keep, close, reset, hang };    // after the answer; hang: silent until the test's end
    struct Reply {
        std::string bytes;
        Then then = Then::keep;
    };
    /// Given head and body of a request.
    using Script = std::function<Reply(const std::string& request)>;

    explicit ScriptedHttp(Script script);
    ~ScriptedHttp();

    std::string url() const;    // "http://127.0.0.1:port"
    unsigned connections() const { return connections_; }    // so far
    /// "HTTP/1.1 status" with Content-Length, the headers ("Name: value\r\n"…) and the body.
    static std::string answer(int status, const std::string& body = {}, const std::string& headers = {});

private:
    void accept_loop();
    void serve(int fd);

    Script script_;
    std::mutex script_mutex_, mutex_;
    os::Fd listener_;
    std::uint16_t port_ = 0;
    std::atomic<unsigned> connections_ = 0;
    std::atomic<bool> ending_ = false;
    std::vector<int> open_;
    std::vector<std::thread> threads_;
    std::thread acceptor_;
};

}    // namespace holdfast::testing
