# weft_room(<name> …): one room of src/, in the few lines that say what is special about it.
#
#   weft_room(sched
#     DEPENDS base platform            # rooms below this one (checked by the include check, too)
#     LINKS   fmt::fmt-header-only     # third-party libraries; their headers count as system headers
#     SOURCES task.cpp scheduler.cpp   # may be empty: a room of headers
#     TESTS   task_test.cpp            # -> one gtest executable sched_test; every TEST is a ctest test, labelled sched
#     TEST_LINKS some::library         # what only the tests need
#     BENCHES task_bench.cpp           # -> sched_bench (google benchmark); also run once, briefly, as a ctest test
#     MODELS  ring_model.cpp           # -> sched_model: compiled alone with WEFT_MODEL=1 so that the atomics can be swapped
#     MODEL_SOURCES ring.cpp           # sources of the room that the model compiles again under that definition
#     FUZZERS parse_fuzz.cpp)          # -> one executable each, over LLVMFuzzerTestOneInput (see cmake/fuzz_main.cpp)
#
# Gives the static library weft_<name>. All rooms together are libweft.a.

include(GoogleTest)

# The outer watchdog: far above what any test needs; a test that reaches it hangs.
set(WEFT_TEST_TIMEOUT_S 300 CACHE STRING "seconds after which ctest kills a hanging test")

function(weft_room name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" ""
    "DEPENDS;LINKS;SOURCES;TESTS;TEST_LINKS;BENCHES;BENCH_LINKS;MODELS;MODEL_SOURCES;FUZZERS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "weft_room(${name}): unknown words: ${arg_UNPARSED_ARGUMENTS}")
  endif()

  set(library weft_${name})
  list(TRANSFORM arg_DEPENDS PREPEND weft_ OUTPUT_VARIABLE dependencies)
  if(arg_SOURCES)
    add_library(${library} STATIC ${arg_SOURCES})
    target_link_libraries(${library} PUBLIC weft_options ${dependencies} ${arg_LINKS})
    set_property(GLOBAL APPEND PROPERTY WEFT_ROOM_OBJECTS $<TARGET_OBJECTS:${library}>)
  else()
    add_library(${library} INTERFACE)
    target_link_libraries(${library} INTERFACE weft_options ${dependencies} ${arg_LINKS})
  endif()
  set_property(GLOBAL APPEND PROPERTY WEFT_ROOMS ${name})

  if(arg_TESTS AND WEFT_TESTS)
    weft_test(${name}_test SOURCES ${arg_TESTS} LINKS ${library} ${arg_TEST_LINKS} LABELS ${name})
  endif()
  # A model run is one thread that switches between many stacks: ThreadSanitizer could find nothing, and loses its way.
  if(arg_MODELS AND WEFT_TESTS AND NOT WEFT_SANITIZE MATCHES "thread")
    # A schedule that breaks a rule is abandoned with its stacks and whatever is on them: no leaks are looked for here.
    weft_test(${name}_model SOURCES ${arg_MODELS} ${arg_MODEL_SOURCES} LINKS weft_options LABELS ${name} model
      ENVIRONMENT ASAN_OPTIONS=detect_leaks=0)
    target_compile_definitions(${name}_model PRIVATE WEFT_MODEL=1)
  endif()
  if(arg_BENCHES AND WEFT_BENCHES)
    weft_bench(${name}_bench SOURCES ${arg_BENCHES} LINKS ${library} ${arg_BENCH_LINKS} LABELS ${name})
  endif()
  if(arg_FUZZERS AND WEFT_TESTS)
    foreach(source IN LISTS arg_FUZZERS)
      weft_fuzzer(${source} LINKS ${library} ${arg_TEST_LINKS} LABELS ${name})
    endforeach()
  endif()
endfunction()

# weft_test(<executable> [BOTH_FIBERS] SOURCES … LINKS … LABELS … [ENVIRONMENT K=V …] [FIXTURES …])
# With BOTH_FIBERS they are there twice: guests run on either kind of fiber.
# A gtest executable whose tests ctest knows one by one. For what crosses rooms, see tests/.
function(weft_test executable)
  cmake_parse_arguments(PARSE_ARGV 1 arg "BOTH_FIBERS" "" "SOURCES;LINKS;LABELS;ENVIRONMENT;FIXTURES")
  add_executable(${executable} ${arg_SOURCES})
  target_link_libraries(${executable} PRIVATE weft_options ${arg_LINKS} GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_definitions(${executable} PRIVATE
    WEFT_SOURCE_DIRECTORY="${PROJECT_SOURCE_DIR}" WEFT_BUILD_DIRECTORY="${PROJECT_BINARY_DIR}"
    WEFT_GUESTS_DIRECTORY="${PROJECT_SOURCE_DIR}/build/guests")
  set_target_properties(${executable} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  set(properties TIMEOUT ${WEFT_TEST_TIMEOUT_S})
  if(arg_ENVIRONMENT)
    list(APPEND properties ENVIRONMENT "${arg_ENVIRONMENT}")
  endif()
  if(arg_FIXTURES)
    list(APPEND properties FIXTURES_REQUIRED "${arg_FIXTURES}")
  endif()
  # gtest_discover_tests cannot pass a list as one property value: several labels become one word each.
  list(GET arg_LABELS 0 label)
  gtest_discover_tests(${executable}
    TEST_PREFIX "${executable}." DISCOVERY_TIMEOUT 60 DISCOVERY_MODE PRE_TEST
    PROPERTIES ${properties} LABELS ${label})
  if(arg_BOTH_FIBERS AND WEFT_CONTINUATIONS)
    # The same again on continuations: see tests/support/fibers.hpp.
    list(APPEND properties ENVIRONMENT_MODIFICATION "WEFT_TEST_FIBERS=set:continuations")
    gtest_discover_tests(${executable}
      TEST_PREFIX "${executable}." TEST_SUFFIX ".continuations" TEST_LIST ${executable}_continuations
      DISCOVERY_TIMEOUT 60 DISCOVERY_MODE PRE_TEST
      PROPERTIES ${properties} LABELS ${label})
  endif()
endfunction()

function(weft_bench executable)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINKS;LABELS")
  add_executable(${executable} ${arg_SOURCES})
  target_link_libraries(${executable} PRIVATE weft_options ${arg_LINKS} benchmark::benchmark benchmark::benchmark_main)
  set_target_properties(${executable} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
  if(WEFT_TESTS)
    # Run once, briefly, so that a benchmark cannot rot.
    add_test(NAME ${executable}.once COMMAND ${executable} --benchmark_min_time=0.001)
    set_tests_properties(${executable}.once PROPERTIES TIMEOUT ${WEFT_TEST_TIMEOUT_S} LABELS "${arg_LABELS}")
  endif()
endfunction()

# Under clang with WEFT_FUZZ=ON a libFuzzer binary. Elsewhere the same function under our own small driver, which
# replays the corpus and a fixed number of seeded mutations: that run is a test.
function(weft_fuzzer source)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINKS;LABELS")
  cmake_path(GET source STEM name)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE weft_options ${arg_LINKS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/${name}_corpus)
  if(WEFT_FUZZ)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set(arguments -runs=20000 -seed=1)
    if(EXISTS ${corpus})
      list(APPEND arguments ${corpus})
    endif()
  else()
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/fuzz_main.cpp)
    set(arguments --runs 20000)
    if(EXISTS ${corpus})
      list(APPEND arguments ${corpus})
    endif()
  endif()
  add_test(NAME ${name}.short COMMAND ${name} ${arguments})
  set_tests_properties(${name}.short PROPERTIES TIMEOUT ${WEFT_TEST_TIMEOUT_S} LABELS "${arg_LABELS};fuzz")
endfunction()
