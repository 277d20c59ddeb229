//! Who provides an import: what is built in, and what to tell people about the rest.

use crate::fibers::rewrite::{IMPORT_MODULE, STRAND_MODULE};
use crate::fibers::strands::HOST_MODULE;
use crate::preview1;
use crate::threads;

/// The functions of WASI preview 1 (a test compares them with what is linked).
pub const PREVIEW1_FUNCTIONS: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// In preview 1, but not in its predecessor.
const NOT_IN_UNSTABLE: &[&str] = &["sock_accept"];

/// The packages of WASI that components get.
const WASI_PACKAGES: &[&str] =
    &["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// What is built in under this name, for a core module: "wasi preview 1" or nothing.
pub fn core(module: &str, name: &str) -> Option<&'static str> {
    let known = PREVIEW1_FUNCTIONS.contains(&name);
    let provided = match module {
        preview1::MODULE => known,
        preview1::MODULE_UNSTABLE => known && !NOT_IN_UNSTABLE.contains(&name),
        _ => false,
    };
    provided.then_some("wasi preview 1")
}

/// The same for a core module with threads; its memories aside.
pub fn threaded(module: &str, name: &str) -> Option<&'static str> {
    match (module, name) {
        (threads::SPAWN_MODULE, threads::SPAWN_NAME) => Some("wasi threads"),
        (threads::MODULE, _) => Some("weft threads"),
        // Older than threads.
        (preview1::MODULE_UNSTABLE, _) => None,
        _ => core(module, name),
    }
}

/// What is built in under this name, for a component: "wasi 0.2", "wasi 0.3" or nothing.
pub fn component(name: &str) -> Option<&'static str> {
    if !WASI_PACKAGES.iter().any(|package| name.starts_with(package)) {
        return None;
    }
    let version = name.rsplit_once('@')?.1;
    if version.starts_with("0.2.") {
        Some("wasi 0.2")
    } else if version.starts_with("0.3.") {
        Some("wasi 0.3")
    } else {
        None
    }
}

/// Whether a core module's import belongs to WASI preview 1 by its name, known function or not.
pub fn is_wasi(module: &str) -> bool {
    module == preview1::MODULE || module == preview1::MODULE_UNSTABLE
}

/// What would provide an import that nobody does, as the end of a sentence.
pub fn hint(module: &str, name: &str) -> String {
    match (module, name) {
        (preview1::MODULE_UNSTABLE, name) if PREVIEW1_FUNCTIONS.contains(&name) => {
            "programs with threads get wasi_snapshot_preview1, and not what came before it".to_string()
        }
        (preview1::MODULE | preview1::MODULE_UNSTABLE, _) => "WASI preview 1 has no function of that name".to_string(),
        (threads::SPAWN_MODULE, threads::SPAWN_NAME) => {
            "threads need a shared memory to work on; link with --import-memory --shared-memory".to_string()
        }
        (threads::SPAWN_MODULE, "thread_spawn") => "in wasi-threads it is called thread-spawn".to_string(),
        (STRAND_MODULE, _) => "strands have no function of that name".to_string(),
        (threads::MODULE | IMPORT_MODULE | HOST_MODULE, _) => "the name is reserved".to_string(),
        ("gojs" | "go", _) => "it belongs to a browser; compile the Go program with GOOS=wasip1".to_string(),
        ("wbg" | "__wbindgen_placeholder__" | "__wbindgen_externref_xform__", _) => {
            "it belongs to wasm-bindgen's JavaScript; compile the program for wasm32-wasip1".to_string()
        }
        ("env", name)
            if name.starts_with("emscripten_") || name.starts_with("invoke_") || name.starts_with("__syscall_") =>
        {
            "it belongs to Emscripten's JavaScript; compile the program with a WASI SDK or with -sSTANDALONE_WASM"
                .to_string()
        }
        ("env", "memory") => "only a shared memory is, for threads; link with --shared-memory".to_string(),
        _ if module.starts_with("wasi:") => {
            "it belongs to WASI of another version, or to a part of it that is not provided".to_string()
        }
        _ => "a program that embeds it would have to, as a host function".to_string(),
    }
}
