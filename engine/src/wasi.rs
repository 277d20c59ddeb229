//! What a process sees of the world: arguments, environment, directories, network.

use crate::abi::Str;
use crate::error::Error;

/// Where a guest's standard input comes from.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// There is none: end of input at once.
    Empty = 0,
    /// From this process's own standard input, read by a thread of its own.
    Inherit = 1,
    /// From the `read` hook.
    Hook = 2,
}

/// Network flag: the guest may open TCP connections.
pub const NETWORK_TCP_CONNECT: u32 = 1;
/// Network flag: the guest may listen on TCP ports.
pub const NETWORK_TCP_LISTEN: u32 = 2;
/// Network flag: the guest may use UDP.
pub const NETWORK_UDP: u32 = 4;
/// Network flag: the guest may look up names.
pub const NETWORK_LOOKUP: u32 = 8;

/// What a process sees of the world. Filled by one thread, then shared by any number of processes; counted by reference. Standard output and error always go
/// to the `write` hook. Without further calls a guest sees no arguments, no environment, no directory, no network.
pub struct WasiConfig {}

/// Makes an empty one. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_new(config: *mut *mut WasiConfig) -> *mut Error {
    todo!()
}

/// One more owner; from now on it must not be changed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_retain(config: *const WasiConfig) {
    todo!()
}

/// One owner less; NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_free(config: *const WasiConfig) {
    todo!()
}

/// Appends an argument; the first one is the program's name. Errors: BadArgument (not UTF-8, or with a zero byte).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_arg(config: *mut WasiConfig, argument: Str) -> *mut Error {
    todo!()
}

/// Sets an environment variable; the last setting of a name counts. Errors: BadArgument.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_env(config: *mut WasiConfig, name: Str, value: Str) -> *mut Error {
    todo!()
}

/// Sets all environment variables of this process that are UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_inherit_env(config: *mut WasiConfig) -> *mut Error {
    todo!()
}

/// Gives the guest the directory `host`, under the name `guest`. Errors: Io (missing, not a directory, no permission; names the path), BadArgument.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_dir(config: *mut WasiConfig, host: Str, guest: Str, read_only: bool) -> *mut Error {
    todo!()
}

/// Where standard input comes from; default empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_stdin(config: *mut WasiConfig, mode: Stdin) {
    todo!()
}

/// What the guest is told when it asks whether stream 0, 1 or 2 is a terminal; default no.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_terminal(config: *mut WasiConfig, stream: u32, terminal: bool) {
    todo!()
}

/// What the guest may do on the network: `WEFT_NETWORK_*` bits; default nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_network(config: *mut WasiConfig, flags: u32) {
    todo!()
}
