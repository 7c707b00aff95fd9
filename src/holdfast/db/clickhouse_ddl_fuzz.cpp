// CREATE statements come out of a vault, TSV and error texts from a server: none of them may break us.
#include <cstddef>
#include <cstdint>

#include "holdfast/db/clickhouse_ddl.hpp"
#include "holdfast/db/clickhouse_text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast::db::clickhouse;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto create = parse_create(text)) (void)parse_create(create_as(*create, "d", "t"));
    (void)with_insertable_columns(text);
    (void)with_insertable_columns(without_replication(text).rest);
    (void)parse_rows(text);
    (void)server_error(500, 0, text);
    return 0;
}
