#include "demo_stack.hpp"

#include <fmt/format.h>

#include <charconv>

#include "holdfast/os/file.hpp"

namespace holdfast::demo {
namespace {
constexpr std::uint64_t k_duckdb_rows = 150'000;    // before the writer adds to them
}

Stack::Stack(std::string folder, testing::RedisServer redis, testing::PostgresServer postgres,
             testing::ClickHouseServer clickhouse)
    : folder_(std::move(folder)),
      redis_(std::move(redis)),
      postgres_(std::move(postgres)),
      clickhouse_(std::move(clickhouse)) {}

Result<std::unique_ptr<Stack>> Stack::start(const std::string& folder) {
    HF_TRY(auto redis, testing::RedisServer::start());
    HF_TRY(auto postgres, testing::PostgresServer::start());
    HF_TRY(auto clickhouse, testing::ClickHouseServer::start());
    return std::unique_ptr<Stack>(new Stack(folder, std::move(redis), std::move(postgres), std::move(clickhouse)));
}

std::uint16_t Stack::clickhouse_port() const {
    const std::string url = clickhouse_.url();
    std::uint16_t port = 0;
    std::from_chars(url.data() + url.rfind(':') + 1, url.data() + url.size(), port);
    return port;
}

Status Stack::fill() {
    HF_DO(testing::fill_postgres(postgres_, amounts_));
    HF_DO(testing::fill_redis(redis_.port(), amounts_));
    HF_DO(testing::fill_clickhouse(clickhouse_port(), amounts_));
    HF_DO(testing::fill_files(config_folder(), logs_folder(), amounts_));
    HF_DO(os::make_folders(os::parent_folder(duckdb_path())));
    HF_DO(testing::create_trades_file(duckdb_path(), amounts_.seed, k_duckdb_rows));
    HF_TRY(writer_, testing::TradesWriter::start(duckdb_path(), amounts_.seed, k_duckdb_rows));
    return {};
}

Status Stack::change() {
    HF_DO(testing::change_postgres(postgres_, amounts_));
    HF_DO(testing::change_redis(redis_.port(), amounts_));
    HF_DO(testing::change_clickhouse(clickhouse_port(), amounts_));
    HF_DO(testing::change_files(config_folder(), logs_folder(), amounts_));
    return writer_->change();
}

Result<Counts> Stack::count() const {
    HF_TRY(Counts all, testing::count_postgres(postgres_));
    HF_TRY(const Counts redis, testing::count_redis(redis_.port()));
    HF_TRY(const Counts clickhouse, testing::count_clickhouse(clickhouse_port()));
    all.insert(all.end(), redis.begin(), redis.end());
    all.insert(all.end(), clickhouse.begin(), clickhouse.end());
    HF_TRY(all.emplace_back(), testing::count_files("config files", config_folder()));
    HF_TRY(all.emplace_back(), testing::count_files("log files", logs_folder()));
    return all;
}

void Stack::crash() {
    writer_->kill();
    redis_.kill();
    postgres_.kill();
    clickhouse_.kill();
}

Status Stack::wipe() {
    for (const std::string& path : {os::parent_folder(duckdb_path()), config_folder(), logs_folder()})
        HF_DO(os::remove_tree(path));
    HF_DO(redis_.wipe());
    HF_DO(clickhouse_.wipe());
    HF_DO(clickhouse_.restart());
    return postgres_.wipe();
}

Status Stack::start_redis_if_asked() {
    if (!os::exists(ask_for_redis_path())) return {};
    HF_DO(os::remove_tree(ask_for_redis_path()));
    return redis_.restart();
}

std::string Stack::configuration(const std::string& repository, const std::string& password_file) const {
    return fmt::format(R"(# Written by holdfast-demo: a whole stack, as holdfast wants it described.
stack = "demo-desk"

[repository]
location = "{}"
password_file = "{}"

[[postgres]]
host = "{}"
port = {}
databases = ["trading"]

[[redis]]
port = {}
data_folder = "{}"
# The demo supervises Redis as systemd would; this tells it to start the server.
start_command = ["touch", "{}"]

[[duckdb]]
path = "{}"

[[clickhouse]]
url = "{}"

[[files]]
paths = ["{}"]

[[logs]]
paths = ["{}"]
)",
                       repository, password_file, postgres_.socket_folder(), postgres_.port(), redis_.port(),
                       redis_.data_folder(), ask_for_redis_path(), duckdb_path(), clickhouse_.url(), config_folder(),
                       logs_folder());
}

}    // namespace holdfast::demo
