# What every translation unit of Weft is compiled with: one INTERFACE target, weft_options.

add_library(weft_options INTERFACE)
target_compile_features(weft_options INTERFACE cxx_std_23)
target_include_directories(weft_options INTERFACE
  ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_include_directories(weft_options SYSTEM INTERFACE ${PROJECT_SOURCE_DIR}/engine/include)
target_compile_options(weft_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
  -Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  # Designated initializers leave out fields on purpose: what is not named has its default.
  -Wno-missing-field-initializers
  # libstdc++ 12 sorts with a function that it has deprecated itself, and clang reports that at our call.
  $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>
  # GCC 12 warns about overlap inside its own std::string (GCC bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  # Backtraces of our own faults and profiles need frame pointers; the cost is below what we can measure.
  -fno-omit-frame-pointer)
target_compile_definitions(weft_options INTERFACE WEFT_VERSION="${PROJECT_VERSION}")
if(WEFT_FUZZ)
  # What the fuzzers link, not only they themselves, tells libFuzzer where it has been.
  target_compile_options(weft_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(weft_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(WEFT_WERROR)
  target_compile_options(weft_options INTERFACE -Werror)
endif()

find_package(Threads REQUIRED)
target_link_libraries(weft_options INTERFACE Threads::Threads)

# Sanitizers cover everything outside the engine; the engine archive itself stays as cargo built it.
if(WEFT_SANITIZE)
  target_compile_options(weft_options INTERFACE -fsanitize=${WEFT_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(weft_options INTERFACE -fsanitize=${WEFT_SANITIZE})
  target_compile_definitions(weft_options INTERFACE WEFT_SANITIZE=1)
  if(WEFT_SANITIZE MATCHES "thread")
    target_compile_definitions(weft_options INTERFACE WEFT_SANITIZE_THREAD=1)
  endif()
endif()

# The engine archive is large: a fast linker halves the edit-compile-test loop.
find_program(WEFT_LLD NAMES ld.lld-19 ld.lld)
find_program(WEFT_MOLD NAMES mold)
if(WEFT_LLD)
  # -fuse-ld takes no path from GCC, so the linker gets a directory of its own under the name GCC looks for.
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/linker)
  file(CREATE_LINK ${WEFT_LLD} ${PROJECT_BINARY_DIR}/linker/ld.lld SYMBOLIC)
  target_link_options(weft_options INTERFACE -fuse-ld=lld -B${PROJECT_BINARY_DIR}/linker)
elseif(WEFT_MOLD)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/linker)
  file(CREATE_LINK ${WEFT_MOLD} ${PROJECT_BINARY_DIR}/linker/ld.mold SYMBOLIC)
  target_link_options(weft_options INTERFACE -fuse-ld=mold -B${PROJECT_BINARY_DIR}/linker)
endif()

find_program(WEFT_CCACHE ccache)
if(WEFT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${WEFT_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${WEFT_CCACHE})
endif()
