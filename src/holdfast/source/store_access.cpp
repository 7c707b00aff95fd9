#include "holdfast/source/store_access.hpp"

#include "holdfast/db/secrets.hpp"

namespace holdfast::source {

Result<db::PostgresAccess> postgres_access(const policy::PostgresConfig& config) {
    HF_TRY(Secret password, db::read_secret(config.password));
    return db::PostgresAccess{{config.host, config.port, config.user, config.maintenance_database},
                              std::move(password)};
}

Result<db::clickhouse::Client> clickhouse_client(const policy::ClickHouseConfig& config) {
    db::clickhouse::Server server;
    server.url = config.url;
    server.user = config.user;
    HF_TRY(server.password, db::read_secret(config.password));
    return db::clickhouse::Client::connect(std::move(server));
}

}    // namespace holdfast::source
