#include "holdfast/testing/redis_server.hpp"

#include <fmt/core.h>
#include <signal.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <thread>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/os/socket.hpp"

namespace holdfast::testing {
namespace {

constexpr auto k_up_within = std::chrono::seconds(30);

std::string encode(const std::vector<std::string>& arguments) {
    std::string request = fmt::format("*{}\r\n", arguments.size());
    for (const std::string& argument : arguments) request += fmt::format("${}\r\n{}\r\n", argument.size(), argument);
    return request;
}

// A value may hold what looks like an error.
bool has_error(std::string_view replies) {
    while (!replies.empty()) {
        if (replies.front() == '-') return true;
        const std::size_t line = std::min(replies.find("\r\n"), replies.size());
        std::size_t length = 0;
        const bool is_value =
            replies.front() == '$' &&
            std::from_chars(replies.data() + 1, replies.data() + line, length).ptr == replies.data() + line;
        replies.remove_prefix(std::min(replies.size(), line + 2 + (is_value ? length + 2 : 0)));
    }
    return false;
}

// Sends commands, then one whose answer cannot be mistaken, and reads up to that.
Result<std::string> exchange(std::uint16_t port, const std::vector<std::string>& auth,
                             const std::vector<std::vector<std::string>>& commands) {
    constexpr Duration k_within = std::chrono::seconds(30);
    const std::string mark = "holdfast-end-of-replies", end = fmt::format("${}\r\n{}\r\n", mark.size(), mark);
    HF_TRY(os::Socket socket, os::Socket::connect_tcp("127.0.0.1", port, k_within));
    std::string replies;
    Bytes piece;
    piece.resize(std::size_t(64) << 10);
    // In parts: a server that cannot send its replies stops reading.
    for (std::size_t at = 0; at <= commands.size(); at += 1000) {
        std::string request;
        if (at == 0 && !auth.empty()) {
            std::vector<std::string> arguments{"AUTH"};
            arguments.insert(arguments.end(), auth.begin(), auth.end());
            request = encode(arguments);
        }
        for (std::size_t i = at; i < std::min(commands.size(), at + 1000); ++i) request += encode(commands[i]);
        request += encode({"ECHO", mark});
        HF_DO(socket.write(as_bytes(request), k_within));
        while (!replies.ends_with(end)) {
            HF_TRY(const std::size_t n, socket.read(piece, k_within));
            if (n == 0) return fail(ErrorCode::unreachable, "redis-server closed the connection");
            replies += as_text(ByteView(piece).first(n));
            if (replies.ends_with("required.\r\n") || replies.find("-LOADING") != std::string::npos) break;
        }
        if (has_error(replies)) return fail(ErrorCode::store, "redis-server answers " + replies.substr(0, 2000));
        replies.resize(replies.size() - end.size());
    }
    if (!auth.empty()) replies.erase(0, std::string_view("+OK\r\n").size());
    return replies;
}

}    // namespace

struct RedisServer::State {
    os::TempFolder folder;
    std::uint16_t port = 0;
    std::vector<std::string> auth;
    std::optional<os::Process> process;
};

RedisServer::RedisServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
RedisServer::RedisServer(RedisServer&&) noexcept = default;
RedisServer& RedisServer::operator=(RedisServer&&) noexcept = default;
RedisServer::~RedisServer() = default;

std::uint16_t RedisServer::port() const { return state_->port; }
int RedisServer::pid() const { return state_->process ? state_->process->pid() : 0; }
std::string RedisServer::data_folder() const { return state_->folder.path() + "/data"; }
std::string RedisServer::config_file() const { return state_->folder.path() + "/redis.conf"; }

std::string RedisServer::log_tail() const {
    auto text = os::read_text(state_->folder.path() + "/redis.log");
    if (!text) return {};
    return text->size() > 2000 ? text->substr(text->size() - 2000) : *text;
}

Result<RedisServer> RedisServer::start(std::vector<std::string> config, std::vector<std::string> auth) {
    HF_TRY(os::TempFolder folder, os::TempFolder::create("hf-redis"));
    HF_TRY(const std::uint16_t port, os::free_port());
    RedisServer server(std::unique_ptr<State>(new State{std::move(folder), port, std::move(auth), std::nullopt}));
    HF_DO(os::make_folders(server.data_folder()));
    std::string text = fmt::format(
        "bind 127.0.0.1\nport {}\ndir {}\nlogfile {}/redis.log\nsave \"\"\nappendonly no\n"
        "repl-diskless-sync yes\nrepl-diskless-sync-delay 0\n",
        port, server.data_folder(), server.state_->folder.path());
    for (const std::string& line : config) text += line + '\n';
    HF_DO(os::write_file(server.config_file(), as_bytes(text)));
    HF_DO(server.restart());
    return server;
}

Status RedisServer::restart() {
    HF_ASSERT(!state_->process);
    os::Command command;
    command.arguments = {"redis-server", config_file()};
    command.output = os::Stream::null;
    HF_TRY(os::Process process, os::Process::start(command));
    state_->process = std::move(process);
    return wait_until_up();
}

Status RedisServer::wait_until_up() {
    const auto deadline = std::chrono::steady_clock::now() + k_up_within;
    while (!talk({{"PING"}})) {
        const bool ended = state_->process && state_->process->wait(Duration::zero()).has_value();
        if (ended || std::chrono::steady_clock::now() > deadline) {
            state_->process.reset();
            return fail(ErrorCode::store, fmt::format("redis-server on port {} did not come up", state_->port),
                        log_tail());
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return {};
}

Result<std::string> RedisServer::talk(const std::vector<std::vector<std::string>>& commands) {
    return exchange(state_->port, state_->auth, commands);
}

Status RedisServer::save() {
    const auto deadline = std::chrono::steady_clock::now() + k_up_within;
    for (;;) {
        const auto saved = talk({{"SAVE"}});
        if (saved) return {};
        const bool busy = saved.error().message.find("save already in progress") != std::string::npos;
        if (!busy || std::chrono::steady_clock::now() > deadline) return fail(saved.error());
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

Status RedisServer::stop() {
    HF_ASSERT(state_->process);
    state_->process->kill(SIGTERM);
    HF_TRY(const os::ExitStatus status, state_->process->wait(k_up_within));
    state_->process.reset();
    if (!status.ok()) return fail(ErrorCode::store, "redis-server: " + status.text(), log_tail());
    return {};
}

void RedisServer::kill() {
    state_->process.reset();    // kills and reaps
}

Status RedisServer::wipe() {
    HF_ASSERT(!state_->process);
    HF_DO(os::remove_tree(data_folder()));
    return os::make_folders(data_folder());
}

}    // namespace holdfast::testing
