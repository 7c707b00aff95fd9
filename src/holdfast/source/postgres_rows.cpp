#include "holdfast/source/postgres_rows.hpp"

#include <fmt/core.h>

#include <map>
#include <optional>

#include "holdfast/source/postgres_content.hpp"

namespace holdfast::source {
namespace {

// Below this a COPY of our own saves less than it costs; so many arguments any system takes.
constexpr std::uint64_t k_bytes_min = std::uint64_t(1) << 20;
constexpr int k_tables_max = 256;
// Small enough that the server's next rows still find room in the socket while these are worked on.
constexpr std::size_t k_batch = std::size_t(256) << 10;

}    // namespace

Result<LargeTables> LargeTables::find(const db::PostgresAccess& access, const std::string& database,
                                      const std::string& encoding, const std::string& snapshot,
                                      const PostgresChoice& choice) {
    HF_TRY(auto connection, access.connect(database));
    // As pg_dump sets it: tables are read from their beginning, so that the same rows come in the same order.
    HF_DO(connection.execute(copy_form_settings(connection.server_major(), encoding) +
                             " SET synchronize_seqscans = off"));
    HF_DO(connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT " +
                             db::quote_literal(snapshot)));
    HF_TRY(const auto large,
           connection.query(
               fmt::format("SELECT c.oid, (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) "
                           "FROM pg_attribute a WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped{}) "
                           "FROM pg_class c WHERE c.oid = ANY($1::oid[]) AND relkind = 'r' AND pg_relation_size(c.oid) "
                           ">= {} ORDER BY pg_relation_size(c.oid) DESC, c.oid LIMIT {}",
                           connection.server_major() >= 12 ? " AND attgenerated = ''" : "", k_bytes_min, k_tables_max),
               {choice.oids()}));
    std::map<std::string, std::string> columns;
    for (const auto& table : large) columns.emplace(table.text(0), table.text(1));
    LargeTables tables(std::move(connection));
    for (const PostgresTable& table : choice.tables) {
        const auto found = columns.find(table.oid);
        if (!table.rows || found == columns.end()) continue;
        tables.rows_.push_back({table.oid, found->second, 0, {}});
        tables.quoted_.push_back(table.quoted());
    }
    return tables;
}

std::vector<std::string> LargeTables::arguments() const {
    std::vector<std::string> arguments;
    for (const std::string& table : quoted_) arguments.push_back("--exclude-table-data=" + table);
    return arguments;
}

Result<Bytes> LargeTables::add_to(ByteView head_bytes, const db::ArchiveHead& head) {
    int_bytes_ = head.int_bytes;
    return db::add_entries(head_bytes, head, rows_);
}

Status LargeTables::copy(const std::function<Status(ByteView)>& sink) {
    const db::RowsBlock block(int_bytes_);
    Bytes batch;
    batch.reserve(2 * k_batch);
    for (const db::AddedRows& rows : rows_) {
        if (rows.entry == 0) continue;    // pg_dump did not leave them to us: a name in another encoding
        block.begin(batch, rows.entry);
        Status taken;
        const Status copied = connection_.copy_out(rows.copy_out, [&](ByteView row) {
            block.row(batch, row);
            if (batch.size() < k_batch || !taken) return;
            taken = sink(batch);
            batch.clear();
            if (!taken) connection_.cancel();
        });
        HF_DO(std::move(taken));
        HF_DO(copied);
        block.end(batch);
    }
    HF_DO(sink(batch));
    return connection_.execute("COMMIT");
}

}    // namespace holdfast::source
