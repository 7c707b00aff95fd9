/* The owner of a DuckDB database: commits, checkpoints so that `holdfast duckdb watch` loses nothing, and makes a copy for the backup.
 *
 *     cc duckdb_owner.c -lholdfast_duckdb -lduckdb -o duckdb_owner
 *     ./duckdb_owner /srv/trades.duckdb trades 100 /srv/copies/trades.duckdb
 *
 * commits 100 rows one by one, checkpoints, and copies the database, whose name in SQL is `trades`.
 */
#include <duckdb.h>
#include <holdfast_duckdb.h>

#include <stdio.h>
#include <stdlib.h>

static int run(void* connection, const char* sql, char* error, size_t error_size) {
    duckdb_result result;
    const duckdb_state state = duckdb_query((duckdb_connection)connection, sql, &result);
    if (state != DuckDBSuccess) snprintf(error, error_size, "%s", duckdb_result_error(&result));
    duckdb_destroy_result(&result);
    return state == DuckDBSuccess ? 0 : 1;
}

static int must(duckdb_connection connection, const char* sql) {
    char error[1000] = "";
    if (run(connection, sql, error, sizeof error) == 0) return 0;
    fprintf(stderr, "%s: %s\n", sql, error);
    return 1;
}

int main(int count, char** words) {
    duckdb_database database;
    duckdb_connection connection;
    char sql[200];
    int bad = 0;
    if (count != 5) {
        fprintf(stderr, "usage: duckdb_owner FILE NAME COMMITS COPY\n");
        return 2;
    }
    if (duckdb_open(words[1], &database) != DuckDBSuccess || duckdb_connect(database, &connection) != DuckDBSuccess) {
        fprintf(stderr, "cannot open %s\n", words[1]);
        return 1;
    }
    hfd_owner owner = {.size = sizeof owner, .run = run, .context = connection, .file = words[1]};
    bad |= must(connection, "CREATE TABLE IF NOT EXISTS trades (id BIGINT, note VARCHAR)");
    for (int i = 0; i < atoi(words[3]) && !bad; ++i) {
        snprintf(sql, sizeof sql, "INSERT INTO trades SELECT count(*) + 1, 'one of many' FROM trades");
        bad |= must(connection, sql);
    }
    const hfd_code checkpointed = hfd_checkpoint(&owner, 5000);
    printf("checkpoint: %s%s%s\n", hfd_code_name(checkpointed), checkpointed < 0 ? " " : "",
           checkpointed < 0 ? hfd_last_error() : "");
    const hfd_code copied = hfd_copy(&owner, words[2], words[4]);
    printf("copy: %s%s%s\n", hfd_code_name(copied), copied < 0 ? " " : "", copied < 0 ? hfd_last_error() : "");
    duckdb_disconnect(&connection);
    duckdb_close(&database);
    return bad || checkpointed < 0 || copied < 0 ? 1 : 0;
}
