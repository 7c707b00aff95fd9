# Build all suites of a label: unit_tests, thread_tests, server_tests, scenario_tests, crash_tests.
foreach(label unit thread server scenario crash)
    add_custom_target(${label}_tests)
endforeach()
add_custom_target(fuzz_targets)

# hf_module(NAME [DEPS module...] [LINK target...] [LABEL l] [SERVER_TESTS name...])
#
# One folder under src/holdfast is one module: a namespace, a static library hf_NAME, and (when there
# are *_test.cpp files) a test program hf_NAME_test. A module may include its own headers and those of
# the modules it lists, nothing else: its include path holds one link, to its own folder, and CMake
# hands on the paths of its DEPS. A wrong include therefore does not compile.
function(hf_module name)
    cmake_parse_arguments(M "" "" "DEPS;LINK;TEST_DEPS;LABEL;SERVER_TESTS" ${ARGN})
    set(dir ${CMAKE_SOURCE_DIR}/src/holdfast/${name})
    file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cpp)
    file(GLOB tests CONFIGURE_DEPENDS ${dir}/*_test.cpp)
    file(GLOB fuzzers CONFIGURE_DEPENDS ${dir}/*_fuzz.cpp)
    if(tests)
        list(REMOVE_ITEM sources ${tests})
    endif()
    if(fuzzers)
        list(REMOVE_ITEM sources ${fuzzers})
    endif()

    set(include_root ${CMAKE_BINARY_DIR}/include/${name})
    file(MAKE_DIRECTORY ${include_root}/holdfast)
    file(CREATE_LINK ${dir} ${include_root}/holdfast/${name} SYMBOLIC)

    add_library(hf_${name} STATIC ${sources})
    target_include_directories(hf_${name} PUBLIC ${include_root})
    list(TRANSFORM M_DEPS PREPEND hf_)
    target_link_libraries(hf_${name} PUBLIC ${M_DEPS} PRIVATE ${M_LINK})

    if(NOT M_LABEL)
        set(M_LABEL unit)
    endif()
    if(tests AND NOT HF_FUZZ)
        list(TRANSFORM M_TEST_DEPS PREPEND hf_)
        # Those that start real servers are a program of their own: the sanitizers' turns leave it out.
        if(M_SERVER_TESTS)
            list(TRANSFORM M_SERVER_TESTS REPLACE "(.+)" "${dir}/\\1_test.cpp")
            list(REMOVE_ITEM tests ${M_SERVER_TESTS})
            hf_test(hf_${name}_server_test LABEL server SOURCES ${M_SERVER_TESTS} LINK hf_${name} ${M_TEST_DEPS} ${M_LINK})
        endif()
        hf_test(hf_${name}_test LABEL ${M_LABEL} SOURCES ${tests} LINK hf_${name} ${M_TEST_DEPS} ${M_LINK})
    endif()
    # Fuzz targets: with libFuzzer in the fuzz preset; everywhere else replayed over their corpus and damaged copies of it.
    foreach(source ${fuzzers})
        get_filename_component(target ${source} NAME_WE)
        string(REGEX REPLACE "_fuzz$" "" corpus ${target})
        set(corpus ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${corpus})
        if(HF_FUZZ)
            add_executable(${target} ${source})
            target_link_options(${target} PRIVATE -fsanitize=fuzzer)
            add_test(NAME ${target} COMMAND ${target} -runs=100)
        else()
            add_executable(${target} ${source} ${CMAKE_SOURCE_DIR}/cmake/fuzz_replay.cpp)
            add_test(NAME ${target} COMMAND ${target} ${corpus})
            set_tests_properties(${target} PROPERTIES LABELS unit TIMEOUT 300)
            add_dependencies(unit_tests ${target})
        endif()
        target_link_libraries(${target} PRIVATE hf_${name} ${M_LINK})
        add_dependencies(fuzz_targets ${target})
    endforeach()
endfunction()

# hf_test(NAME LABEL unit|thread|server|scenario|crash... SOURCES ... LINK ...)
#
# One program a suite. unit: no server. server: starts real servers. scenario: runs the real binaries.
# crash: kills them.
# Each writes its own JUnit file (GTEST_OUTPUT is set by ./run), from which the totals are summed.
function(hf_test name)
    cmake_parse_arguments(T "" "" "SOURCES;LINK;LABEL" ${ARGN})
    add_executable(${name} ${T_SOURCES})
    target_link_libraries(${name} PRIVATE ${T_LINK} fmt::fmt GTest::gmock GTest::gtest_main)
    # Only where they are used: a path in every command line would keep ccache from serving a second checkout.
    foreach(source ${T_SOURCES})
        file(STRINGS ${source} uses REGEX "HF_SOURCE_DIR|HF_BIN_DIR|golden_test.hpp|clickhouse_fixture_test.hpp" LIMIT_COUNT 1)
        if(uses)
            set_source_files_properties(${source} PROPERTIES COMPILE_DEFINITIONS
                "HF_SOURCE_DIR=\"${CMAKE_SOURCE_DIR}\";HF_BIN_DIR=\"${CMAKE_RUNTIME_OUTPUT_DIRECTORY}\"")
        endif()
    endforeach()
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS "${T_LABEL}" TIMEOUT 1200)
    foreach(label ${T_LABEL})
        add_dependencies(${label}_tests ${name})
    endforeach()
endfunction()

# hf_lazy_library(NAME TARGET): hf_lazy_NAME, which is compiled as against TARGET but loads libNAME when one of its
# functions is called for the first time (src/holdfast/os/lazy_library.hpp; os/libraries/NAME.cpp lists the functions).
function(hf_lazy_library name target)
    if(NOT CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
        add_library(hf_lazy_${name} INTERFACE)
        target_link_libraries(hf_lazy_${name} INTERFACE ${target})
        return()
    endif()
    find_library(HF_LIBRARY_${name} ${name} REQUIRED)
    execute_process(COMMAND ${CMAKE_OBJDUMP} -p ${HF_LIBRARY_${name}} OUTPUT_VARIABLE headers COMMAND_ERROR_IS_FATAL ANY)
    if(NOT headers MATCHES "SONAME +([^ \n]+)")
        message(FATAL_ERROR "${HF_LIBRARY_${name}} names no SONAME")
    endif()
    add_library(hf_lazy_${name} STATIC os/libraries/${name}.cpp)
    target_compile_definitions(hf_lazy_${name} PRIVATE HF_LIBRARY="${CMAKE_MATCH_1}")
    target_link_libraries(hf_lazy_${name} PRIVATE hf_os)
    target_include_directories(hf_lazy_${name} INTERFACE $<TARGET_PROPERTY:${target},INTERFACE_INCLUDE_DIRECTORIES>)
    target_compile_options(hf_lazy_${name} INTERFACE $<TARGET_PROPERTY:${target},INTERFACE_COMPILE_OPTIONS>)
endfunction()
