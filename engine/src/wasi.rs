//! What a process sees of the world: arguments, environment, directories, network.

use crate::abi::Str;
use crate::error::{Error, ErrorKind, guard};
use crate::shared::SharedRef;
use crate::stdio::{HookInput, HookOutput};
use std::sync::Arc;
use std::time::Duration;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{FsPerms, HostMonotonicClock, HostWallClock, WasiCtxBuilder};

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
#[derive(Default)]
pub struct WasiConfig {
    args: Vec<String>,
    env: Vec<(String, String)>,
    dirs: Vec<Dir>,
    stdin: Option<Stdin>,
    terminal: [bool; 3],
    network: u32,
}

struct Dir {
    /// Absolute, as the working directory may change.
    host: std::path::PathBuf,
    guest: String,
    perms: FsPerms,
}

impl WasiConfig {
    pub(crate) fn has_directories(&self) -> bool {
        !self.dirs.is_empty()
    }

    pub(crate) fn stdin(&self) -> Stdin {
        self.stdin.unwrap_or(Stdin::Empty)
    }

    /// The state of one process. Errors: Io, if a directory is gone by now.
    pub(crate) fn build(&self, shared: SharedRef) -> Result<Box<WasiP1Ctx>, Error> {
        let mut builder = WasiCtxBuilder::new();
        builder.args(&self.args).envs(&self.env);
        // Blocking file operations belong on threads of their own, not on workers.
        builder.allow_blocking_current_thread(false);
        for dir in &self.dirs {
            builder
                .preopened_dir(&dir.host, &dir.guest, dir.perms)
                .map_err(|error| Error::from_wasmtime(ErrorKind::Io, &format!("{}", dir.host.display()), &error))?;
        }
        match self.stdin {
            None | Some(Stdin::Empty) => {}
            Some(Stdin::Inherit) => {
                builder.inherit_stdin();
            }
            Some(Stdin::Hook) => {
                builder.stdin(HookInput::new(shared, self.terminal[0]));
            }
        }
        let output = |stream: u32| HookOutput { shared, stream, terminal: self.terminal[stream as usize] };
        builder.stdout(output(1)).stderr(output(2));
        builder.wall_clock(Clock(shared)).monotonic_clock(Clock(shared));
        let network = self.network;
        builder
            .allow_tcp(network & (NETWORK_TCP_CONNECT | NETWORK_TCP_LISTEN) != 0)
            .allow_udp(network & NETWORK_UDP != 0)
            .allow_ip_name_lookup(network & NETWORK_LOOKUP != 0)
            .socket_addr_check(move |_, used_for| {
                let needed = match used_for {
                    SocketAddrUse::TcpConnect => NETWORK_TCP_CONNECT,
                    // Binding happens on the way to both; the step after it tells which.
                    SocketAddrUse::TcpBind => NETWORK_TCP_CONNECT | NETWORK_TCP_LISTEN,
                    SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => NETWORK_TCP_LISTEN,
                    _ => NETWORK_UDP,
                };
                Box::pin(async move { network & needed != 0 })
            });
        Ok(Box::new(builder.build_p1()))
    }
}

/// The clocks that a guest sees: of the hooks, or of the system.
pub(crate) struct Clock(pub SharedRef);

impl Clock {
    fn system(clock: libc::clockid_t) -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes one timespec; these clocks always exist.
        unsafe { libc::clock_gettime(clock, &mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        match self.0.hooks().wall_now {
            // SAFETY: the hook accepts the call's process.
            Some(now) => Duration::from_nanos(unsafe { now(self.0.process) }),
            None => Clock::system(libc::CLOCK_REALTIME),
        }
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        match self.0.hooks().monotonic_now {
            // SAFETY: the hook accepts the call's process.
            Some(now) => unsafe { now(self.0.process) },
            None => u64::try_from(Clock::system(libc::CLOCK_MONOTONIC).as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// Text that a guest gets as a C string.
unsafe fn c_text(text: Str, what: &str) -> Result<String, Error> {
    let text = unsafe { text.text(what) }?;
    if text.contains('\0') {
        return Err(Error::new(ErrorKind::BadArgument, format!("{what} contains a zero byte")));
    }
    Ok(text.to_string())
}

fn set_env(env: &mut Vec<(String, String)>, name: String, value: String) {
    match env.iter_mut().find(|(other, _)| *other == name) {
        Some((_, old)) => *old = value,
        None => env.push((name, value)),
    }
}

/// Makes an empty one. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_new(config: *mut *mut WasiConfig) -> *mut Error {
    debug_assert!(!config.is_null());
    guard(|| {
        unsafe { config.write(Arc::into_raw(Arc::new(WasiConfig::default())).cast_mut()) };
        Ok(())
    })
}

/// One more owner; from now on it must not be changed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_retain(config: *const WasiConfig) {
    debug_assert!(!config.is_null());
    unsafe { Arc::increment_strong_count(config) };
}

/// One owner less; NULL is allowed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_free(config: *const WasiConfig) {
    if !config.is_null() {
        drop(unsafe { Arc::from_raw(config) });
    }
}

/// Appends an argument; the first one is the program's name. Errors: BadArgument (not UTF-8, or with a zero byte).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_arg(config: *mut WasiConfig, argument: Str) -> *mut Error {
    debug_assert!(!config.is_null());
    guard(|| {
        let argument = unsafe { c_text(argument, "an argument") }?;
        unsafe { &mut *config }.args.push(argument);
        Ok(())
    })
}

/// Sets an environment variable; the last setting of a name counts. Errors: BadArgument (not UTF-8, a zero byte, a name that is empty or contains "=").
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_env(config: *mut WasiConfig, name: Str, value: Str) -> *mut Error {
    debug_assert!(!config.is_null());
    guard(|| {
        let name = unsafe { c_text(name, "the name of an environment variable") }?;
        if name.is_empty() || name.contains('=') {
            return Err(Error::new(
                ErrorKind::BadArgument,
                format!("\"{name}\" cannot be the name of an environment variable"),
            ));
        }
        let value = unsafe { c_text(value, &format!("the environment variable {name}")) }?;
        set_env(&mut unsafe { &mut *config }.env, name, value);
        Ok(())
    })
}

/// Sets all environment variables of this process that are UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_inherit_env(config: *mut WasiConfig) -> *mut Error {
    debug_assert!(!config.is_null());
    guard(|| {
        for (name, value) in std::env::vars_os() {
            if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
                set_env(&mut unsafe { &mut *config }.env, name, value);
            }
        }
        Ok(())
    })
}

/// Gives the guest the directory `host`, under the name `guest`. Errors: Io (missing, not a directory, no permission; names the path), BadArgument.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_dir(
    config: *mut WasiConfig,
    host: Str,
    guest: Str,
    read_only: bool,
) -> *mut Error {
    debug_assert!(!config.is_null());
    guard(|| {
        let host = unsafe { c_text(host, "the path of a directory") }?;
        let guest = unsafe { c_text(guest, "the guest's name of a directory") }?;
        // The system's texts end in "(os error 2)", which helps nobody.
        let failed = |error: std::io::Error| {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
            Error::new(ErrorKind::Io, format!("{host}: {text}"))
        };
        let path = std::fs::canonicalize(&host).map_err(failed)?;
        // Opens it as processes will: fails now if it is a file, or not readable.
        std::fs::read_dir(&path).map_err(failed)?;
        let perms = if read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
        unsafe { &mut *config }.dirs.push(Dir { host: path, guest, perms });
        Ok(())
    })
}

/// Where standard input comes from; default empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_stdin(config: *mut WasiConfig, mode: Stdin) {
    debug_assert!(!config.is_null());
    unsafe { &mut *config }.stdin = Some(mode);
}

/// What the guest is told when it asks whether stream 0, 1 or 2 is a terminal; default no. (With inherited standard input the truth about that is told.)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_terminal(config: *mut WasiConfig, stream: u32, terminal: bool) {
    debug_assert!(!config.is_null() && stream < 3);
    if let Some(slot) = unsafe { &mut *config }.terminal.get_mut(stream as usize) {
        *slot = terminal;
    }
}

/// What the guest may do on the network: `WEFT_NETWORK_*` bits; default nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_wasi_config_network(config: *mut WasiConfig, flags: u32) {
    debug_assert!(!config.is_null());
    unsafe { &mut *config }.network = flags;
}
