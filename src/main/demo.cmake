# Fills a scratch stack, backs it up with the real holdfast, destroys it and brings it back before your eyes.
add_executable(holdfast-demo demo.cpp demo_report.cpp demo_stack.cpp)
target_link_libraries(holdfast-demo PRIVATE hf_base hf_os hf_testing fmt::fmt Threads::Threads)

# The trade path with each of its parts killed in turn.
add_executable(holdfast-demo-trade demo_trade.cpp demo_report.cpp)
target_link_libraries(holdfast-demo-trade PRIVATE hf_base hf_os hf_testing fmt::fmt Threads::Threads)
