# The Rust crate as a CMake library: target weft_engine (imported, static).
# cargo is always asked and decides itself what to rebuild; all presets of one profile share one archive.

find_program(WEFT_CARGO cargo HINTS $ENV{CARGO_HOME}/bin $ENV{HOME}/.cargo/bin REQUIRED)

set(weft_cargo_directory ${PROJECT_SOURCE_DIR}/build/cargo)
if(WEFT_ENGINE_PROFILE STREQUAL "release")
  set(weft_cargo_flags --release)
  set(weft_engine_archive ${weft_cargo_directory}/release/libweft_engine.a)
elseif(WEFT_ENGINE_PROFILE STREQUAL "dev")
  set(weft_cargo_flags)
  set(weft_engine_archive ${weft_cargo_directory}/debug/libweft_engine.a)
else()
  message(FATAL_ERROR "WEFT_ENGINE_PROFILE is '${WEFT_ENGINE_PROFILE}'; it must be dev or release")
endif()

add_custom_target(weft_engine_build
  COMMAND ${WEFT_CARGO} build --quiet --locked -p weft-engine --target-dir ${weft_cargo_directory} ${weft_cargo_flags}
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
  BYPRODUCTS ${weft_engine_archive}
  COMMENT "engine (cargo, profile ${WEFT_ENGINE_PROFILE}; a first build takes minutes)"
  USES_TERMINAL VERBATIM)

if(WEFT_SANITIZE MATCHES "thread")
  # ThreadSanitizer sees the engine's memory (through malloc and free) but not its locks and atomics, and takes that for
  # races. It can be told to ignore a library, though, not a part of a program: so here the archive becomes a library,
  # which cmake/tsan_suppressions.txt names.
  set(weft_engine_library ${PROJECT_BINARY_DIR}/lib/libweft_engine.so)
  add_custom_command(OUTPUT ${weft_engine_library}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/lib
    COMMAND ${CMAKE_CXX_COMPILER} -shared -o ${weft_engine_library} $<TARGET_PROPERTY:weft_options,INTERFACE_LINK_OPTIONS>
      -fno-sanitize=all -Wl,-soname,libweft_engine.so
      -Wl,--whole-archive ${weft_engine_archive} -Wl,--no-whole-archive -lpthread -lm -ldl
    DEPENDS weft_engine_build ${weft_engine_archive} COMMAND_EXPAND_LISTS VERBATIM)
  add_custom_target(weft_engine_shared DEPENDS ${weft_engine_library})
  add_library(weft_engine SHARED IMPORTED GLOBAL)
  set_target_properties(weft_engine PROPERTIES IMPORTED_LOCATION ${weft_engine_library} IMPORTED_SONAME libweft_engine.so)
  add_dependencies(weft_engine weft_engine_shared)
else()
  add_library(weft_engine STATIC IMPORTED GLOBAL)
  set_target_properties(weft_engine PROPERTIES IMPORTED_LOCATION ${weft_engine_archive})
  add_dependencies(weft_engine weft_engine_build)
endif()
set_target_properties(weft_engine PROPERTIES INTERFACE_LINK_LIBRARIES "Threads::Threads;m;${CMAKE_DL_LIBS}")
