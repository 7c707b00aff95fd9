# Test tool only: an HTTP front on libchdb (opened at run time), so that the suites also meet a modern ClickHouse engine.
# libchdb crashes under AddressSanitizer: this program links nothing of ours and is never instrumented.
add_executable(hf-chdb-front ${CMAKE_CURRENT_LIST_DIR}/chdb_front.cpp)
target_link_libraries(hf-chdb-front PRIVATE fmt::fmt PkgConfig::httplib Threads::Threads ${CMAKE_DL_LIBS})
if(HF_SANITIZE)
    target_compile_options(hf-chdb-front PRIVATE -fno-sanitize=all)
    target_link_options(hf-chdb-front PRIVATE -fno-sanitize=all)
endif()
# The suites that start it find it as HF_BIN_DIR "/hf-chdb-front".
foreach(suite hf_db_test hf_source_test hf_recovery_test hf_trade_server_test)
    if(TARGET ${suite})
        add_dependencies(${suite} hf-chdb-front)
    endif()
endforeach()
