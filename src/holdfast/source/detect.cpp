#include "holdfast/source/detect.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "holdfast/db/redis.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/source/detect_duckdb.hpp"

namespace holdfast::source {
namespace {

using namespace std::chrono_literals;

constexpr Duration k_patience = 500ms;

// "redis", "redis-2", "redis-3": each component needs its own name.
std::string numbered(std::string_view name, std::size_t index) {
    return index == 0 ? std::string(name) : fmt::format("{}-{}", name, index + 1);
}

// One value of redis.conf: "port 6379". The last one counts, as in Redis.
std::string conf_value(std::string_view conf, std::string_view key) {
    std::string value;
    while (!conf.empty()) {
        std::string_view line = conf.substr(0, conf.find('\n'));
        conf.remove_prefix(std::min(conf.size(), line.size() + 1));
        line = line.substr(std::min(line.find_first_not_of(" \t"), line.size()));
        if (!line.starts_with(key) || line.size() <= key.size() ||
            (line[key.size()] != ' ' && line[key.size()] != '\t'))
            continue;
        line = line.substr(std::min(line.find_first_not_of(" \t", key.size()), line.size()));
        while (!line.empty() && (line.back() == ' ' || line.back() == '\r' || line.back() == '"'))
            line.remove_suffix(1);
        if (line.starts_with('"')) line.remove_prefix(1);
        value = line;
    }
    return value;
}

// Asks the server itself for what a restore will need; a configuration file may not be the one it runs with.
std::string config_get(db::RedisClient& client, std::string_view key) {
    const auto reply = client.ask({"CONFIG", "GET", key});
    if (!reply || reply->items().size() != 2) return {};
    return reply->items()[1].text();
}

class RedisFinder {
public:
    explicit RedisFinder(Detected& found) : found_(found) {}

    void try_at(policy::RedisConfig config) {
        db::RedisLogin login{config.host, config.port, config.socket, {}, {}, k_patience};
        auto client = db::RedisClient::connect(login);
        if (!client) return;
        const auto pong = client->ask({"PING"});
        if (!pong) return;
        const bool open = pong->text() == "PONG";
        if (!open && !(pong->refusal() && pong->refusal()->code() == "NOAUTH")) return;
        std::string id;
        if (open) {
            const auto info = client->ask({"INFO", "server"});
            if (info) id = db::info_field(info->text(), "run_id");
            config.data_folder = config_get(*client, "dir");
            if (std::string file = config_get(*client, "dbfilename"); !file.empty())
                config.db_file_name = std::move(file);
            config.append_only = config_get(*client, "appendonly") == "yes";
            if (std::string folder = config_get(*client, "appenddirname"); !folder.empty())
                config.append_folder_name = std::move(folder);
            if (std::string log = config_get(*client, "appendfilename"); !log.empty())
                config.append_file_name = std::move(log);
        } else {
            found_.notes.push_back(
                fmt::format("{} wants a password: set password_file in its [[redis]]", login.text()));
        }
        // The same server answers on its port and on its socket.
        if (!id.empty() && !seen_.insert(id).second) return;
        config.name = numbered("redis", found_.redis.size());
        found_.redis.push_back(std::move(config));
    }

private:
    Detected& found_;
    std::set<std::string> seen_;
};

std::vector<std::string> files_in(const std::string& folder, std::string_view suffix) {
    std::vector<std::string> files;
    if (const auto names = os::list_folder(folder))
        for (const std::string& name : *names)
            if (name.ends_with(suffix)) files.push_back(folder + "/" + name);
    return files;
}

void find_redis(const DetectOptions& options, Detected& found) {
    RedisFinder finder(found);
    std::vector<std::uint16_t> ports = options.redis_ports;
    std::vector<std::string> sockets;
    for (const std::string& file : files_in(options.redis_config_folder, ".conf")) {
        const auto conf = os::read_text(file);
        if (!conf) continue;
        const std::string port = conf_value(*conf, "port"), socket = conf_value(*conf, "unixsocket");
        std::uint16_t number = 0;
        std::from_chars(port.data(), port.data() + port.size(), number);
        if (number != 0 && std::ranges::find(ports, number) == ports.end()) ports.push_back(number);
        if (!socket.empty()) sockets.push_back(socket);
    }
    for (const std::uint16_t port : ports) {
        policy::RedisConfig config;
        config.port = port;
        finder.try_at(std::move(config));
    }
    for (const std::string& folder : options.redis_socket_folders)
        std::ranges::move(files_in(folder, ".sock"), std::back_inserter(sockets));
    for (const std::string& socket : sockets) {
        policy::RedisConfig config;
        config.socket = socket;
        finder.try_at(std::move(config));
    }
}

// The server answers an SSLRequest with one letter before it asks who we are.
bool is_postgres(os::Socket socket) {
    static constexpr std::string_view k_ssl_request("\x00\x00\x00\x08\x04\xd2\x16\x2f", 8);
    std::byte answer{};
    if (!socket.write(as_bytes(k_ssl_request), k_patience)) return false;
    const auto got = socket.read(ByteSpan(&answer, 1), k_patience);
    return got && *got == 1 && (answer == std::byte('S') || answer == std::byte('N'));
}

void find_postgres(const DetectOptions& options, Detected& found) {
    std::set<std::uint16_t> ports;
    const auto take = [&](std::string host, std::uint16_t port) {
        if (!ports.insert(port).second) return;
        policy::PostgresConfig config;
        config.host = std::move(host);
        config.port = port;
        config.name = numbered("postgres", found.postgres.size());
        found.postgres.push_back(std::move(config));
    };
    for (const std::string& folder : options.postgres_socket_folders) {
        const auto names = os::list_folder(folder);
        if (!names) continue;
        for (const std::string& name : *names) {
            static constexpr std::string_view k_prefix = ".s.PGSQL.";
            std::uint16_t port = 0;
            if (!name.starts_with(k_prefix)) continue;
            const auto [end, bad] = std::from_chars(name.data() + k_prefix.size(), name.data() + name.size(), port);
            if (bad != std::errc() || end != name.data() + name.size()) continue;    // the .lock beside it
            auto socket = os::Socket::connect_unix(folder + "/" + name, k_patience);
            if (socket && is_postgres(*std::move(socket))) take(folder, port);
        }
    }
    for (const std::uint16_t port : options.postgres_ports) {
        auto socket = os::Socket::connect_tcp("127.0.0.1", port, k_patience);
        if (socket && is_postgres(*std::move(socket))) take("127.0.0.1", port);
    }
}

void find_clickhouse(const DetectOptions& options, Detected& found) {
    for (const std::uint16_t port : options.clickhouse_ports) {
        auto socket = os::Socket::connect_tcp("127.0.0.1", port, k_patience);
        if (!socket || !socket->write(as_bytes("GET /ping HTTP/1.0\r\n\r\n"), k_patience)) continue;
        std::string answer;
        Bytes buffer(1024);
        while (answer.size() < 8192) {
            const auto got = socket->read(buffer, k_patience);
            if (!got || *got == 0) break;
            answer += as_text(ByteView(buffer).first(*got));
        }
        if (!answer.starts_with("HTTP/1.") || answer.find("\r\n\r\nOk.\n") == std::string::npos) continue;
        policy::ClickHouseConfig config;
        config.name = numbered("clickhouse", found.clickhouse.size());
        config.url = fmt::format("http://127.0.0.1:{}", port);
        found.clickhouse.push_back(std::move(config));
    }
}

}    // namespace

Detected detect(const DetectOptions& options) {
    Detected found;
    find_postgres(options, found);
    find_redis(options, found);
    find_clickhouse(options, found);
    find_duckdb(options, found);
    return found;
}

}    // namespace holdfast::source
