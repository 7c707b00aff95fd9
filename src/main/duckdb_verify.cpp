// The child process that opens DuckDB copies whose health is not known yet: a torn one can crash the library.

#include "holdfast/db/duckdb_check.hpp"

int main(int count, char** arguments) { return holdfast::db::duckdb_verify_main(count, arguments); }
