# weft_command(<source>…): the executable `weft`, over the room cli and the library as others get it.
# The target is called weft_command, because `weft` is the library.

function(weft_command)
  add_executable(weft_command ${ARGN})
  set_target_properties(weft_command PROPERTIES OUTPUT_NAME weft)
  target_link_libraries(weft_command PRIVATE weft_options weft_cli weft::weft)
  install(TARGETS weft_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# weft_command_generates(<file> <directory below the prefix> <arguments of weft>…)
# A file that weft writes about itself (man page, completions): made at every build, so that it is never out of date.
function(weft_command_generates file destination)
  set(output ${PROJECT_BINARY_DIR}/generated/${file})
  cmake_path(GET output PARENT_PATH directory)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${directory}
    COMMAND weft_command ${ARGN} > ${output}.new
    COMMAND ${CMAKE_COMMAND} -E rename ${output}.new ${output}
    DEPENDS weft_command VERBATIM)
  string(MAKE_C_IDENTIFIER ${file} identifier)
  add_custom_target(weft_generate_${identifier} ALL DEPENDS ${output})
  install(FILES ${output} DESTINATION ${destination})
endfunction()
