//! Host functions that may wait, in the two ways in which Wasmtime is driven. Each is written once, as a function that *starts* it: synchronously, with the caller at hand, and with a
//! future for an answer that owns what it needs and borrows nothing from the store. `awaited` enters such functions into the linker of a store whose guest waits inside of the call;
//! `polled` into that of a fiber, which is told to call again (see `fibers::calls`).

use crate::guest::{Guest, serve_backtrace};
use crate::shared::WaitName;
use std::future::poll_fn;
use std::pin::pin;
use wasmtime::Caller;

/// Runs a function that may wait.
pub async fn watched<T>(caller: &Caller<'_, Guest>, name: &'static WaitName, function: impl Future<Output = T>) -> T {
    let shared = caller.data().shared;
    let mut function = pin!(function);
    let mut waited = false;
    let result = poll_fn(|cx| {
        if waited {
            serve_backtrace(caller);
        }
        let answer = function.as_mut().poll(cx);
        if answer.is_pending() {
            shared.set_waiting_for(Some(name));
            waited = true;
        }
        answer
    })
    .await;
    if waited {
        shared.set_waiting_for(None);
    }
    result
}

/// What a function is called while it is waited in: "wasi fd_read", unless the list says otherwise.
macro_rules! wait_name {
    ($name:ident) => {
        concat!("wasi ", stringify!($name))
    };
    ($name:ident $text:literal) => {
        $text
    };
}
pub(crate) use wait_name;

/// Defines functions by their starts, the functions of the same names in the module `starts`, as futures.
macro_rules! awaited {
    ({$linker:ident, $module:expr, $starts:ident} $($name:ident($($arg:ident: $ty:ty),*) $($text:literal)?;)*) => {$(
        $linker.func_wrap_async($module, stringify!($name), |mut caller: Caller<'_, Guest>, ($($arg,)*): ($($ty,)*)| {
            static NAME: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: wait_name!($name $($text)?).to_string() });
            Box::new(async move {
                let operation = $starts::$name(&mut caller $(, $arg)*)?;
                watched(&caller, &NAME, operation).await
            })
        })?;
    )*};
}
pub(crate) use awaited;

/// The same for fibers; `operation` makes an `Operation` of what a start answers.
macro_rules! polled {
    ({$linker:ident, $module:expr, $starts:ident, $operation:expr}
        $($name:ident($($arg:ident: $ty:ty),*) $($text:literal)?;)*) => {$(
        $linker.func_wrap($module, stringify!($name), |mut caller: Caller<'_, Guest> $(, $arg: $ty)*| -> Result<i32> {
            static NAME: LazyLock<WaitName> = LazyLock::new(|| WaitName { text: wait_name!($name $($text)?).to_string() });
            calls::answer(&mut caller, &NAME, |caller| $starts::$name(caller $(, $arg)*).map($operation))
        })?;
    )*};
}
pub(crate) use polled;
