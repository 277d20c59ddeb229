// The terminal behind a standard stream, as the command line sees it. Writing itself is in stdio.hpp.
//
//   if (platform::is_terminal(2)) draw(platform::terminal_columns(2));
//
// Plain functions over file descriptors, any thread.
#pragma once

namespace weft::platform {

bool is_terminal(int fd) noexcept;

// Columns of the terminal behind `fd`; 80 when that is not to be had.
unsigned terminal_columns(int fd) noexcept;

// Its lines; 24 when that is not to be had.
unsigned terminal_rows(int fd) noexcept;

bool is_pipe(int fd) noexcept;

// True when `fd` is a pipe or socket whose reader has gone: writing to it would fail.
bool reader_gone(int fd) noexcept;

}  // namespace weft::platform
