# duckdb.h is needed to compile; libduckdb.so is opened at run time (db/duckdb.hpp says where it is looked for),
# so that holdfast starts, and backs up everything else, on a machine without it.
# scripts/fetch-engines.sh puts both into the cache directory unless the system has them.
set(HF_ENGINES "$ENV{HOME}/.cache/holdfast" CACHE PATH "where scripts/fetch-engines.sh puts libduckdb and libchdb")
find_path(DUCKDB_INCLUDE_DIR duckdb.h HINTS ${HF_ENGINES}/duckdb REQUIRED)
find_library(DUCKDB_LIBRARY duckdb HINTS ${HF_ENGINES}/duckdb REQUIRED)
add_library(hf_duckdb_header INTERFACE)
target_include_directories(hf_duckdb_header SYSTEM INTERFACE ${DUCKDB_INCLUDE_DIR})
target_compile_definitions(hf_duckdb_header INTERFACE HF_DUCKDB_LIBRARY="${DUCKDB_LIBRARY}")
