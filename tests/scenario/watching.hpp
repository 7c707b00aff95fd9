#pragma once
// A command that goes on until it is stopped and tells what it does, one JSON event a line: each wait is for an event, never for a time.

#include <signal.h>

#include <array>
#include <string>
#include <string_view>

#include "holdfast/base/json.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::scenario {

class Watching {
public:
    explicit Watching(const os::Command& command) : process_(os::Process::start(command).value()) {}
    /// "ended" with its "errors" when there are no more.
    json::Value next() {
        for (;;) {
            if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
                auto value = json::parse(buffer_.substr(0, end), "event");
                buffer_.erase(0, end + 1);
                return value.value();
            }
            std::array<std::byte, 4096> some;
            const auto got = os::read_some(process_.output(), some);
            if (!got || *got == 0) return json::Value::object({{"event", "ended"}, {"errors", process_.errors()}});
            buffer_ += as_text(ByteView(some).first(*got));
        }
    }
    /// Passes others over.
    json::Value next(std::string_view wanted) {
        for (;;) {
            json::Value event = next();
            if (event["event"].text() == wanted || event["event"].text() == "ended") return event;
        }
    }
    os::ExitStatus stop() {
        process_.kill(SIGTERM);
        next("ended");
        return process_.wait().value();
    }

private:
    os::Process process_;
    std::string buffer_;
};

}    // namespace holdfast::scenario
