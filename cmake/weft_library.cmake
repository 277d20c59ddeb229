# libweft.a: all rooms in one archive, and what it takes to find it once installed.

include(CMakePackageConfigHelpers)

get_property(weft_room_objects GLOBAL PROPERTY WEFT_ROOM_OBJECTS)
get_property(weft_rooms GLOBAL PROPERTY WEFT_ROOMS)
if(weft_room_objects)
  add_library(weft STATIC ${weft_room_objects})
  set_target_properties(weft PROPERTIES LINKER_LANGUAGE CXX)
  target_compile_features(weft INTERFACE cxx_std_23)
  target_include_directories(weft INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(weft INTERFACE $<BUILD_INTERFACE:weft_engine> Threads::Threads m ${CMAKE_DL_LIBS})
  if(WEFT_SANITIZE)
    target_link_options(weft INTERFACE $<BUILD_INTERFACE:-fsanitize=${WEFT_SANITIZE}>)
  endif()
  add_library(weft::weft ALIAS weft)
endif()

# Every public header compiles alone: one generated translation unit each, built with everything else.
file(GLOB weft_public_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/include/weft/*.hpp)
if(weft_public_headers AND WEFT_TESTS)
  set(weft_header_sources)
  foreach(header IN LISTS weft_public_headers)
    string(MAKE_C_IDENTIFIER ${header} identifier)
    set(source ${PROJECT_BINARY_DIR}/header_check/${identifier}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include <${header}>\n" @ONLY)
    list(APPEND weft_header_sources ${source})
  endforeach()
  add_library(weft_header_check OBJECT ${weft_header_sources})
  # Only the public include directory: a header that leans on src/ or on the engine does not compile here.
  get_target_property(weft_flags weft_options INTERFACE_COMPILE_OPTIONS)
  target_compile_options(weft_header_check PRIVATE ${weft_flags})
  target_include_directories(weft_header_check PRIVATE ${PROJECT_SOURCE_DIR}/include)
endif()

if(TARGET weft)
  install(TARGETS weft EXPORT weft-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES ${weft_engine_archive} DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY include/weft DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")
  install(EXPORT weft-targets FILE weft-targets.cmake NAMESPACE weft:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weft)
  configure_package_config_file(cmake/weft-config.cmake.in ${PROJECT_BINARY_DIR}/weft-config.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weft)
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/weft-config-version.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/weft-config.cmake ${PROJECT_BINARY_DIR}/weft-config-version.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weft)
  # Relocatable, also where libraries go below lib/<triplet>.
  cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
    OUTPUT_VARIABLE weft_prefix_from_pc)
  configure_file(cmake/weft.pc.in ${PROJECT_BINARY_DIR}/weft.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/weft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()
