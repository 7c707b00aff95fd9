#pragma once
// A real redis-server for tests: its own folder, a free port of 127.0.0.1, gone with this object.
//
//   errors   a server that does not come up within 30 s is an error with the tail of its log
//   threads  one; the server dies with the thread that started it

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::testing {

class RedisServer {
public:
    /// `config` are lines of redis.conf; they come after ours (save "", no AOF, diskless sync without delay) and win.
    /// With `requirepass` or ACL users, say how to PING: AUTH arguments, "user password" or "password".
    static Result<RedisServer> start(std::vector<std::string> config = {}, std::vector<std::string> auth = {});
    RedisServer(RedisServer&&) noexcept;
    RedisServer& operator=(RedisServer&&) noexcept;
    ~RedisServer();

    std::uint16_t port() const;
    int pid() const;    // 0 when it does not run
    std::string data_folder() const;
    std::string config_file() const;    // for start commands: `redis-server <file>`
    std::string log_tail() const;

    /// SIGTERM, as `systemctl stop` does; waits for the end.
    Status stop();
    /// kill -9; returns when it is gone.
    void kill();
    /// Starts it again on the same port and folder; waits until it serves (loading has ended).
    Status restart();
    /// Removes all that lies in its data folder. Only when it does not run.
    Status wipe();
    /// Sends the commands in one go and returns the replies as they stand on the wire. An error reply is an Error.
    Result<std::string> talk(const std::vector<std::vector<std::string>>& commands);
    /// SAVE. While a save for a replica is in progress the server refuses another one: waits for its end.
    Status save();
    /// Waits until something answers PING on the port: for a server that somebody else started.
    Status wait_until_up();

private:
    struct State;
    explicit RedisServer(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}    // namespace holdfast::testing
