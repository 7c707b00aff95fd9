# A broker of one's own, which outlives the engine that trades with it.
add_executable(holdfast-paper-broker paper_broker.cpp)
target_link_libraries(holdfast-paper-broker PRIVATE hf_broker fmt::fmt Threads::Threads)
install(TARGETS holdfast-paper-broker RUNTIME DESTINATION bin)

# A program of the tests: a broker that speaks FIX.
add_executable(hf-fix-acceptor fix_acceptor.cpp)
target_link_libraries(hf-fix-acceptor PRIVATE hf_broker hf_fix_acceptor fmt::fmt Threads::Threads PkgConfig::quickfix)
