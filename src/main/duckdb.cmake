# Beside holdfast, in the same folder: the child that opens DuckDB copies whose health is not known yet.
add_executable(holdfast-duckdb-verify duckdb_verify.cpp)
target_link_libraries(holdfast-duckdb-verify PRIVATE hf_db fmt::fmt)

# A program of the tests: a live writer whose commits carry invariants.
add_executable(holdfast-duckdb-writer duckdb_writer.cpp)
target_link_libraries(holdfast-duckdb-writer PRIVATE hf_db fmt::fmt Threads::Threads)
if(TARGET hf_trade_server_test)
    add_dependencies(hf_trade_server_test holdfast-duckdb-verify)
endif()
