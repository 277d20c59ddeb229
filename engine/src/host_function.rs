//! One host function: what it is called with, what it answers, and how it is entered into the linkers of all engines.

use crate::abi::{Val, ValKind, ValPayload};
use crate::backtrace::Backtrace;
use crate::error::{Error, ErrorKind};
use crate::fibers::calls::{self, Operation};
use crate::guest::{Guest, GuestMemoryRef, serve_backtrace};
use crate::shared::{CallRef, SharedRef, WaitName};
use std::ffi::c_void;
use std::future::ready;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use wasmtime::{AsContext, FuncType, ValRaw, ValType};

/// A host function as it was defined, to be entered into the linker of either engine.
#[derive(Clone)]
pub(crate) enum Definition {
    Immediate(Arc<Immediate>),
    Waiting(Arc<Waiting>),
}

pub(crate) struct Immediate {
    pub signature: Signature,
    pub function: unsafe extern "C-unwind" fn(
        *mut c_void,
        *mut c_void,
        *mut Caller,
        *const Val,
        usize,
        *mut Val,
        usize,
    ) -> *mut Error,
    pub env: Env,
    pub full_name: String,
}

pub(crate) struct Waiting {
    pub signature: Signature,
    pub poll: unsafe extern "C-unwind" fn(
        *mut c_void,
        *mut c_void,
        *mut Caller,
        *mut *mut c_void,
        *const Val,
        usize,
        *mut Val,
        usize,
        *mut c_void,
        *mut *mut Error,
    ) -> HostPoll,
    pub drop: HostDropFn,
    pub env: Env,
    pub name: WaitName,
}

/// The guest that called a host function; valid only during that call. (A `wasmtime::Caller` in disguise: see `CallerPointer`.)
pub struct Caller {
    _private: [u8; 0],
}

/// What a `*mut Caller` of the C side really points to.
/// cbindgen:ignore
type CallerPointer<'a> = *mut wasmtime::Caller<'a, Guest>;

/// Answer of a host function that may wait.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPoll {
    /// The results are written.
    Ready = 0,
    /// The task was registered and will be woken.
    Pending = 1,
    /// The call of the guest ends as trapped, with the error's message.
    Trap = 2,
}

/// An immediate host function. Returns NULL, or an error (owned by the engine from then on) that ends the guest's call. `results` has `nresults` values of the
/// declared kinds, all zero. Runs on the guest's stack: keep stack use below 32 KiB, do not park, do not throw.
pub type HostFn = Option<
    unsafe extern "C-unwind" fn(
        env: *mut c_void,
        process: *mut c_void,
        caller: *mut Caller,
        args: *const Val,
        nargs: usize,
        results: *mut Val,
        nresults: usize,
    ) -> *mut Error,
>;

/// A host function that may wait. First called with `*op` NULL; while it answers pending it is called again, with the same arguments and `op`, after `task`
/// was woken (or without reason). With `WEFT_HOST_POLL_TRAP` it sets `*error`. Rules of `weft_host_fn` apply.
pub type HostPollFn = Option<
    unsafe extern "C-unwind" fn(
        env: *mut c_void,
        process: *mut c_void,
        caller: *mut Caller,
        op: *mut *mut c_void,
        args: *const Val,
        nargs: usize,
        results: *mut Val,
        nresults: usize,
        task: *mut c_void,
        error: *mut *mut Error,
    ) -> HostPoll,
>;

/// Releases the state of a host function that may wait: called exactly once for each `op` that is not NULL when the function was ready, trapped or was cancelled.
/// From the thread that polls or drops the call.
pub type HostDropFn = Option<unsafe extern "C-unwind" fn(env: *mut c_void, process: *mut c_void, op: *mut c_void)>;

/// Releases `env` when the last program that uses it is gone. Any thread. May be NULL.
pub type EnvDropFn = Option<unsafe extern "C-unwind" fn(env: *mut c_void)>;

/// Numbers of values up to which a host call allocates nothing for them.
const INLINE_ARGUMENTS: usize = 8;
const INLINE_RESULTS: usize = 2;

/// An `env` of the C side, and how to release it.
pub(crate) struct Env {
    pub env: *mut c_void,
    pub drop: EnvDropFn,
}

// SAFETY: whoever passes an `env` promises that its functions may be called from any thread (see the header).
unsafe impl Send for Env {}
unsafe impl Sync for Env {}

impl Drop for Env {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            // SAFETY: called once, as `Env` is not copied.
            unsafe { drop(self.env) };
        }
    }
}

/// A host function ended the call with this error.
#[derive(Debug)]
pub struct HostTrap(pub Error);

impl std::fmt::Display for HostTrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for HostTrap {}

/// # Safety
/// `error` is an error that the C side gives away.
unsafe fn host_trap(error: *mut Error, name: &str) -> wasmtime::Error {
    if error.is_null() {
        return HostTrap(Error::new(ErrorKind::Host, format!("{name} failed without saying why"))).into();
    }
    HostTrap(*unsafe { Box::from_raw(error) }).into()
}

fn value_type(kind: ValKind) -> ValType {
    match kind {
        ValKind::I32 => ValType::I32,
        ValKind::I64 => ValType::I64,
        ValKind::F32 => ValType::F32,
        ValKind::F64 => ValType::F64,
        ValKind::V128 => ValType::V128,
    }
}

fn from_raw(kind: ValKind, raw: &ValRaw) -> Val {
    let of = match kind {
        ValKind::I32 => ValPayload { i32: raw.get_i32() },
        ValKind::I64 => ValPayload { i64: raw.get_i64() },
        ValKind::F32 => ValPayload { f32: f32::from_bits(raw.get_f32()) },
        ValKind::F64 => ValPayload { f64: f64::from_bits(raw.get_f64()) },
        ValKind::V128 => ValPayload { v128: raw.get_v128().to_le_bytes() },
    };
    Val { kind, of }
}

/// # Safety
/// The payload is of the kind `kind`, whatever `value.kind` was changed to.
unsafe fn to_raw(kind: ValKind, value: &Val) -> ValRaw {
    unsafe {
        match kind {
            ValKind::I32 => ValRaw::i32(value.of.i32),
            ValKind::I64 => ValRaw::i64(value.of.i64),
            ValKind::F32 => ValRaw::f32(value.of.f32.to_bits()),
            ValKind::F64 => ValRaw::f64(value.of.f64.to_bits()),
            ValKind::V128 => ValRaw::v128(u128::from_le_bytes(value.of.v128)),
        }
    }
}

/// The value that crosses the ABI, unless it is a reference.
pub(crate) fn from_wasmtime(value: &wasmtime::Val) -> Option<Val> {
    let (kind, of) = match value {
        wasmtime::Val::I32(value) => (ValKind::I32, ValPayload { i32: *value }),
        wasmtime::Val::I64(value) => (ValKind::I64, ValPayload { i64: *value }),
        wasmtime::Val::F32(bits) => (ValKind::F32, ValPayload { f32: f32::from_bits(*bits) }),
        wasmtime::Val::F64(bits) => (ValKind::F64, ValPayload { f64: f64::from_bits(*bits) }),
        wasmtime::Val::V128(value) => (ValKind::V128, ValPayload { v128: value.as_u128().to_le_bytes() }),
        _ => return None,
    };
    Some(Val { kind, of })
}

/// # Safety
/// The payload of `value` is of its kind.
pub(crate) unsafe fn to_wasmtime(value: &Val) -> wasmtime::Val {
    unsafe {
        match value.kind {
            ValKind::I32 => wasmtime::Val::I32(value.of.i32),
            ValKind::I64 => wasmtime::Val::I64(value.of.i64),
            ValKind::F32 => wasmtime::Val::F32(value.of.f32.to_bits()),
            ValKind::F64 => wasmtime::Val::F64(value.of.f64.to_bits()),
            ValKind::V128 => wasmtime::Val::V128(u128::from_le_bytes(value.of.v128).into()),
        }
    }
}

/// Room for the values of one call: in place if they are few.
struct Values<const INLINE: usize> {
    inline: [MaybeUninit<Val>; INLINE],
    heap: Vec<Val>,
    size: usize,
}

type Arguments = Values<INLINE_ARGUMENTS>;
type Results = Values<INLINE_RESULTS>;

impl<const INLINE: usize> Values<INLINE> {
    #[inline]
    fn new(values: impl ExactSizeIterator<Item = Val>) -> Values<INLINE> {
        let size = values.len();
        let mut room = Values { inline: [const { MaybeUninit::uninit() }; INLINE], heap: Vec::new(), size };
        if size <= INLINE {
            for (slot, value) in room.inline.iter_mut().zip(values) {
                slot.write(value);
            }
        } else {
            room.heap.extend(values);
        }
        room
    }

    #[inline]
    fn as_mut_slice(&mut self) -> &mut [Val] {
        if self.size <= INLINE {
            // SAFETY: the first `size` were written by `new`.
            unsafe { std::slice::from_raw_parts_mut(self.inline.as_mut_ptr().cast(), self.size) }
        } else {
            &mut self.heap
        }
    }
}

/// One call of a host function that may wait, with the state that it left in `op`: released exactly once, however the wait ends.
pub(crate) struct HostOperation {
    op: *mut c_void,
    /// Of the program, which the call keeps alive.
    function: CallRef<Waiting>,
    shared: SharedRef,
}

// SAFETY: host functions accept to be continued and cancelled on any thread that polls (see the header).
unsafe impl Send for HostOperation {}
unsafe impl Sync for HostOperation {}

impl HostOperation {
    /// For a call that begins; it is counted.
    fn new(function: &Waiting, caller: &mut wasmtime::Caller<'_, Guest>) -> HostOperation {
        let guest = caller.data_mut();
        guest.limiter.count_host_call();
        HostOperation { op: std::ptr::null_mut(), function: CallRef::new(function), shared: guest.shared }
    }

    fn poll(
        &mut self,
        caller: &mut wasmtime::Caller<'_, Guest>,
        args: &mut Arguments,
        results: &mut Results,
    ) -> Poll<wasmtime::Result<()>> {
        let (args, results) = (args.as_mut_slice(), results.as_mut_slice());
        let pointer: CallerPointer<'_> = &raw mut *caller;
        let mut error = std::ptr::null_mut();
        // SAFETY: arguments as promised in the header.
        let answer = unsafe {
            (self.function.poll)(
                self.function.env.env,
                self.shared.process,
                pointer.cast(),
                &raw mut self.op,
                args.as_ptr(),
                args.len(),
                results.as_mut_ptr(),
                results.len(),
                self.shared.task.get(),
                &raw mut error,
            )
        };
        match answer {
            HostPoll::Pending => Poll::Pending,
            HostPoll::Ready => Poll::Ready(Ok(())),
            // SAFETY: the function gave the error away.
            HostPoll::Trap => Poll::Ready(Err(unsafe { host_trap(error, &self.function.name.text) })),
        }
    }
}

impl Drop for HostOperation {
    fn drop(&mut self) {
        if !self.op.is_null()
            && let Some(drop) = self.function.drop
        {
            // SAFETY: the op of this function, not released before.
            unsafe { drop(self.function.env.env, self.shared.process, self.op) };
        }
    }
}

/// One call of a host function that may wait, inside of which the guest waits.
struct HostCall {
    operation: HostOperation,
    args: Arguments,
    results: Results,
}

impl HostCall {
    fn begin(function: &Waiting, caller: &mut wasmtime::Caller<'_, Guest>, args: Arguments) -> HostCall {
        HostCall { args, operation: HostOperation::new(function, caller), results: function.signature.zeros() }
    }

    fn poll(&mut self, caller: &mut wasmtime::Caller<'_, Guest>) -> Poll<wasmtime::Result<()>> {
        let answer = self.operation.poll(caller, &mut self.args, &mut self.results);
        if answer.is_pending() {
            self.operation.shared.set_waiting_for(Some(&self.operation.function.name));
        }
        answer
    }

    /// Hands out what the function wrote.
    fn answer_all(&mut self, results: &mut [wasmtime::Val]) {
        let kinds = &self.operation.function.signature.results;
        for ((kind, value), result) in kinds.iter().zip(self.results.as_mut_slice()).zip(results) {
            // SAFETY: all bytes of the payload were zeroed before, so that they are valid for any kind.
            *result = unsafe { to_wasmtime(&Val { kind: *kind, of: value.of }) };
        }
    }

    /// The same, of one whose only result is an i32.
    fn answer(&mut self) -> i32 {
        // SAFETY: as above.
        unsafe { self.results.as_mut_slice()[0].of.i32 }
    }
}

/// A call after a poll that was pending, until it has answered.
struct Waited<'a, Answer> {
    call: HostCall,
    caller: wasmtime::Caller<'a, Guest>,
    answer: Answer,
    /// It is not asked again in the very poll in which it began.
    began: bool,
}

impl<T, Answer: FnMut(&mut HostCall) -> T + Unpin> Future for Waited<'_, Answer> {
    type Output = wasmtime::Result<T>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<wasmtime::Result<T>> {
        let me = self.get_mut();
        if std::mem::take(&mut me.began) {
            return Poll::Pending;
        }
        serve_backtrace(&me.caller);
        me.call.poll(&mut me.caller).map(|answered| {
            answered?;
            me.call.operation.shared.set_waiting_for(None);
            Ok((me.answer)(&mut me.call))
        })
    }
}

/// What `define` and `define_async` have in common.
pub(crate) struct Signature {
    pub module: String,
    pub name: String,
    pub params: Vec<ValKind>,
    pub results: Vec<ValKind>,
}

impl Signature {
    fn ty(&self, engine: &wasmtime::Engine) -> FuncType {
        FuncType::new(
            engine,
            self.params.iter().map(|kind| value_type(*kind)),
            self.results.iter().map(|kind| value_type(*kind)),
        )
    }

    /// What a caller passed.
    fn arguments(&self, raw: &[MaybeUninit<ValRaw>]) -> Arguments {
        Arguments::new(self.params.iter().zip(raw).map(|(kind, raw)| {
            // SAFETY: Wasmtime passes the declared parameters.
            from_raw(*kind, unsafe { raw.assume_init_ref() })
        }))
    }

    /// Room for what a function answers.
    fn zeros(&self) -> Results {
        Results::new(self.results.iter().map(|kind| Val::zero(*kind)))
    }

    /// Hands out what a function wrote to `zeros`.
    fn answer(&self, mut results: Results, raw: &mut [MaybeUninit<ValRaw>]) {
        for ((kind, value), raw) in self.results.iter().zip(results.as_mut_slice()).zip(raw) {
            // SAFETY: all bytes of the payload were zeroed before, so that they are valid for any kind.
            raw.write(unsafe { to_raw(*kind, value) });
        }
    }
}

fn cannot_define(error: &wasmtime::Error) -> Error {
    Error::from_wasmtime(ErrorKind::BadArgument, "cannot define the host function", error)
}

impl Definition {
    pub fn enter(&self, linker: &mut wasmtime::Linker<Guest>, engine: &wasmtime::Engine) -> Result<(), Error> {
        let entered = match self {
            Definition::Immediate(immediate) => immediate.clone().enter(linker, engine),
            Definition::Waiting(waiting) => waiting.clone().enter(linker, engine),
        };
        entered.map_err(|error| cannot_define(&error))
    }

    /// The same for the linker of fibers, who are told to call again where they would wait.
    pub fn enter_fiber(&self, linker: &mut wasmtime::Linker<Guest>, engine: &wasmtime::Engine) -> Result<(), Error> {
        let entered = match self {
            Definition::Immediate(immediate) => immediate.clone().enter(linker, engine),
            Definition::Waiting(waiting) => waiting.clone().enter_fiber(linker, engine),
        };
        entered.map_err(|error| cannot_define(&error))
    }
}

impl Immediate {
    fn enter(
        self: Arc<Immediate>,
        linker: &mut wasmtime::Linker<Guest>,
        engine: &wasmtime::Engine,
    ) -> wasmtime::Result<()> {
        let ty = self.signature.ty(engine);
        let me = self.clone();
        let host = move |mut caller: wasmtime::Caller<'_, Guest>, raw: &mut [MaybeUninit<ValRaw>]| {
            let guest = caller.data_mut();
            guest.limiter.count_host_call();
            let process = guest.shared.process;
            let mut args = me.signature.arguments(raw);
            let args = args.as_mut_slice();
            let mut values = me.signature.zeros();
            let results = values.as_mut_slice();
            let pointer: CallerPointer<'_> = &raw mut caller;
            // SAFETY: arguments as promised in the header.
            let error = unsafe {
                (me.function)(
                    me.env.env,
                    process,
                    pointer.cast(),
                    args.as_ptr(),
                    args.len(),
                    results.as_mut_ptr(),
                    results.len(),
                )
            };
            if !error.is_null() {
                // SAFETY: the function gave the error away.
                return Err(unsafe { host_trap(error, &me.full_name) });
            }
            me.signature.answer(values, raw);
            Ok(())
        };
        // SAFETY: `host` reads and writes values as `ty` says, which was made from the same signature.
        unsafe { linker.func_new_unchecked(&self.signature.module, &self.signature.name, ty, host) }?;
        Ok(())
    }
}

impl Waiting {
    fn enter(
        self: Arc<Waiting>,
        linker: &mut wasmtime::Linker<Guest>,
        engine: &wasmtime::Engine,
    ) -> wasmtime::Result<()> {
        if let Some(entered) = self.enter_typed(linker) {
            return entered;
        }
        let ty = self.signature.ty(engine);
        let me = self.clone();
        linker.func_new_async(
            &self.signature.module,
            &self.signature.name,
            ty,
            move |mut caller, params, results| {
                let args =
                    params.iter().map(|value| from_wasmtime(value).expect("only numbers and vectors are declared"));
                let mut call = HostCall::begin(&me, &mut caller, Arguments::new(args));
                match call.poll(&mut caller) {
                    Poll::Ready(answered) => Box::new(ready(answered.map(|()| call.answer_all(results)))),
                    Poll::Pending => {
                        let answer = move |call: &mut HostCall| call.answer_all(results);
                        Box::new(Waited { call, caller, answer, began: true })
                    }
                }
            },
        )?;
        Ok(())
    }

    /// The signatures of Weft's own functions and others that are common, with types known to the compiler: the general way turns each value into one of Wasmtime's, and back.
    fn enter_typed(self: &Arc<Waiting>, linker: &mut wasmtime::Linker<Guest>) -> Option<wasmtime::Result<()>> {
        macro_rules! typed {
            ($($arg:ident: $ty:ty),*) => {{
                let me = self.clone();
                linker.func_wrap_async(&self.signature.module, &self.signature.name, move |caller, ($($arg,)*): ($($ty,)*)| {
                    me.call_typed(caller, [$(Val::from($arg)),*])
                })
            }};
        }
        use ValKind::{I32, I64};
        if self.signature.results != [I32] {
            return None;
        }
        let entered = match self.signature.params.as_slice() {
            [I32] => typed!(a: i32),
            [I64] => typed!(a: i64),
            [I32, I32] => typed!(a: i32, b: i32),
            [I32, I64] => typed!(a: i32, b: i64),
            [I32, I64, I32, I64] => typed!(a: i32, b: i64, c: i32, d: i64),
            [I32, I64, I64, I64] => typed!(a: i32, b: i64, c: i64, d: i64),
            [I32, I32, I32, I32] => typed!(a: i32, b: i32, c: i32, d: i32),
            [I32, I32, I32, I64] => typed!(a: i32, b: i32, c: i32, d: i64),
            [I32, I32, I32, I32, I64] => typed!(a: i32, b: i32, c: i32, d: i32, e: i64),
            [I64, I64, I32, I32, I64] => typed!(a: i64, b: i64, c: i32, d: i32, e: i64),
            [I32, I32, I64, I32, I32, I32, I64] => {
                typed!(a: i32, b: i32, c: i64, d: i32, e: i32, f: i32, g: i64)
            }
            [I32, I32, I32, I32, I32, I32, I64] => {
                typed!(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i64)
            }
            _ => return None,
        };
        Some(entered.map(|_| ()))
    }

    fn call_typed<'a, const N: usize>(
        &self,
        mut caller: wasmtime::Caller<'a, Guest>,
        args: [Val; N],
    ) -> Box<dyn Future<Output = wasmtime::Result<i32>> + Send + 'a> {
        let mut call = HostCall::begin(self, &mut caller, Arguments::new(args.into_iter()));
        // Most calls need not wait: the future that could, with all that it takes along, is not made for them.
        match call.poll(&mut caller) {
            Poll::Ready(answered) => Box::new(ready(answered.map(|()| call.answer()))),
            Poll::Pending => Box::new(Waited { call, caller, answer: HostCall::answer, began: true }),
        }
    }

    fn enter_fiber(
        self: Arc<Waiting>,
        linker: &mut wasmtime::Linker<Guest>,
        engine: &wasmtime::Engine,
    ) -> wasmtime::Result<()> {
        let ty = self.signature.ty(engine);
        let me = self.clone();
        let host = move |mut caller: wasmtime::Caller<'_, Guest>, raw: &mut [MaybeUninit<ValRaw>]| {
            let mut args = me.signature.arguments(raw);
            let mut results = me.signature.zeros();
            let answered = calls::call(
                &mut caller,
                &me.name,
                |caller| Ok(Operation::Host(HostOperation::new(&me, caller))),
                |caller, operation| match operation {
                    Operation::Host(operation) => operation.poll(caller, &mut args, &mut results),
                    _ => unreachable!("started above, or by the same function before"),
                },
            )?;
            // What a function that is pending may have written is not handed out.
            let results = if answered.is_some() { results } else { me.signature.zeros() };
            me.signature.answer(results, raw);
            Ok(())
        };
        // SAFETY: `host` reads and writes values as `ty` says, which was made from the same signature.
        unsafe { linker.func_new_unchecked(&self.signature.module, &self.signature.name, ty, host) }?;
        Ok(())
    }
}

/// The memory that the calling guest exports as "memory", or that its threads share: false if there is none. Valid until the host function returns (ready or pending). In a host
/// function. Memory that threads share may change while it is looked at: copy out once, then check the copy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_caller_memory(caller: *mut Caller, base: *mut *mut u8, size: *mut usize) -> bool {
    debug_assert!(!caller.is_null() && !base.is_null() && !size.is_null());
    // SAFETY: made by `define` or `define_async` for the host function that is running.
    let caller = unsafe { &mut *caller.cast::<wasmtime::Caller<'_, Guest>>() };
    let (data, bytes) = match crate::guest::memory_of(caller) {
        Some(GuestMemoryRef::Own(memory)) => (memory.data_ptr(&*caller), memory.data_size(&*caller)),
        Some(GuestMemoryRef::Shared(memory)) => (memory.data().as_ptr().cast_mut().cast(), memory.data_size()),
        None => return false,
    };
    unsafe {
        base.write(data);
        size.write(bytes);
    }
    true
}

/// The guest's stack at this host call, owned by whoever asks (`weft_backtrace_free`). In a host function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_caller_backtrace(caller: *mut Caller) -> *mut Backtrace {
    debug_assert!(!caller.is_null());
    // SAFETY: as above.
    let caller = unsafe { &*caller.cast::<wasmtime::Caller<'_, Guest>>() };
    let program = caller.as_context().data().program;
    Box::into_raw(Box::new(Backtrace::capture(caller, program.module())))
}
