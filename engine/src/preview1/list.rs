//! The functions of WASI preview 1 and of what came before it, as lists: `list! { define! { ... } }` hands all of a list to the macro `define`, with what it is to be told.

/// The functions that never wait, as long as nobody else has the WASI state.
macro_rules! quick_functions {
    ($define:ident! $to:tt) => {
        $define! { $to
            args_get(argv: i32, argv_buf: i32);
            args_sizes_get(count: i32, size: i32);
            environ_get(environ: i32, environ_buf: i32);
            environ_sizes_get(count: i32, size: i32);
            fd_allocate(fd: i32, offset: i64, len: i64);
            fd_fdstat_set_flags(fd: i32, flags: i32);
            fd_fdstat_set_rights(fd: i32, base: i64, inheriting: i64);
            fd_prestat_get(fd: i32, prestat: i32);
            fd_prestat_dir_name(fd: i32, path: i32, path_len: i32);
            fd_tell(fd: i32, offset: i32);
            proc_raise(signal: i32);
            sock_recv(fd: i32, data: i32, data_len: i32, flags: i32, size: i32, out_flags: i32);
            sock_send(fd: i32, data: i32, data_len: i32, flags: i32, size: i32);
            sock_shutdown(fd: i32, how: i32);
        }
    };
}

/// The functions that may wait, for the disk.
macro_rules! slow_functions {
    ($define:ident! $to:tt) => {
        $define! { $to
            fd_advise(fd: i32, offset: i64, len: i64, advice: i32);
            fd_datasync(fd: i32);
            fd_fdstat_get(fd: i32, stat: i32);
            fd_filestat_get(fd: i32, stat: i32);
            fd_filestat_set_size(fd: i32, size: i64);
            fd_filestat_set_times(fd: i32, accessed: i64, modified: i64, flags: i32);
            fd_pread(fd: i32, iovs: i32, iovs_len: i32, offset: i64, size: i32);
            fd_pwrite(fd: i32, iovs: i32, iovs_len: i32, offset: i64, size: i32);
            fd_readdir(fd: i32, buf: i32, buf_len: i32, cookie: i64, size: i32);
            fd_seek(fd: i32, offset: i64, whence: i32, position: i32);
            fd_sync(fd: i32);
            path_create_directory(fd: i32, path: i32, path_len: i32);
            path_filestat_get(fd: i32, flags: i32, path: i32, path_len: i32, stat: i32);
            path_filestat_set_times(fd: i32, flags: i32, path: i32, path_len: i32, accessed: i64, modified: i64, set: i32);
            path_link(fd: i32, flags: i32, path: i32, path_len: i32, to_fd: i32, to_path: i32, to_path_len: i32);
            path_open(fd: i32, lookup: i32, path: i32, path_len: i32, oflags: i32, base: i64, inheriting: i64, flags: i32, opened: i32);
            path_readlink(fd: i32, path: i32, path_len: i32, buf: i32, buf_len: i32, size: i32);
            path_remove_directory(fd: i32, path: i32, path_len: i32);
            path_rename(fd: i32, path: i32, path_len: i32, to_fd: i32, to_path: i32, to_path_len: i32);
            path_symlink(target: i32, target_len: i32, fd: i32, path: i32, path_len: i32);
            path_unlink_file(fd: i32, path: i32, path_len: i32);
        }
    };
}

/// Those that change which descriptor is which, and those that read and write one.
macro_rules! stream_functions {
    ($define:ident! $to:tt) => {
        $define! { $to
            fd_close(fd: i32);
            fd_read(fd: i32, iovs: i32, iovs_len: i32, size: i32);
            fd_renumber(fd: i32, to: i32);
        }
    };
}

pub(crate) use {quick_functions, slow_functions, stream_functions};
