//! Limits on what a process may use, and counters of what it uses. Growing beyond a limit ends the process: an allocation that merely fails would be
//! reported by the guest in its own words, if at all, and nobody could tell which limit to raise.

use crate::call::{Counters, Limits, UNLIMITED};
use crate::outcome::{Finished, LimitKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The error that ends a call at a limit.
#[derive(Debug, Clone, Copy)]
pub struct LimitReached {
    pub kind: LimitKind,
    pub value: u64,
    pub asked: u64,
}

impl std::fmt::Display for LimitReached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let LimitReached { kind, value, asked } = self;
        match kind {
            LimitKind::Memory => write!(f, "memory limit of {value} bytes reached (asked for {asked})"),
            LimitKind::Table => write!(f, "table limit of {value} elements reached (asked for {asked})"),
            LimitKind::Instances => write!(f, "limit of {value} instances reached"),
            LimitKind::Memories => write!(f, "limit of {value} memories reached (asked for {asked})"),
            LimitKind::Tables => write!(f, "limit of {value} tables reached (asked for {asked})"),
            LimitKind::Fuel => write!(f, "fuel limit of {value} reached"),
            LimitKind::Stack => write!(f, "stack limit of {value} bytes reached"),
            LimitKind::Output => write!(f, "limit on buffered output reached"),
            LimitKind::None => write!(f, "no limit reached"),
        }
    }
}

impl std::error::Error for LimitReached {}

/// Counts what one store uses, for Wasmtime to ask before it grows anything.
pub struct Limiter {
    limits: Limits,
    counters: CountersRef,
    memory_bytes: u64,
    table_elements: u64,
    /// How much the growth under way added, to be taken back if it fails after all.
    memory_growing: u64,
    table_growing: u64,
    host_calls: u64,
    /// What the memories of all threads of the process take together; None without threads.
    together: Option<Arc<MemoryTotal>>,
    /// The last growth of memory that went beyond the limit.
    refused: Option<LimitReached>,
}

/// The C++ side's counters, or none.
#[derive(Clone, Copy)]
pub struct CountersRef(pub *mut Counters);

// SAFETY: only accessed as atomics, and alive as long as the call (promised in the header).
unsafe impl Send for CountersRef {}
unsafe impl Sync for CountersRef {}

impl CountersRef {
    /// Relaxed: readers want a recent number and infer nothing else from it.
    #[inline]
    fn store(self, field: impl FnOnce(*mut Counters) -> *mut u64, value: u64) {
        if !self.0.is_null() {
            // SAFETY: see the type; fields of a repr(C) struct of u64 are aligned.
            unsafe { AtomicU64::from_ptr(field(self.0)) }.store(value, Ordering::Relaxed);
        }
    }

    /// Raises the field to `value`. Several threads may.
    fn at_least(self, field: impl FnOnce(*mut Counters) -> *mut u64, value: u64) {
        if !self.0.is_null() {
            // SAFETY: as in `store`.
            unsafe { AtomicU64::from_ptr(field(self.0)) }.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// Adds to the field. Several threads may: a total that each of them stored could be an old one by then.
    fn add(self, field: impl FnOnce(*mut Counters) -> *mut u64, value: u64) {
        if !self.0.is_null() {
            // SAFETY: as in `store`.
            unsafe { AtomicU64::from_ptr(field(self.0)) }.fetch_add(value, Ordering::Relaxed);
        }
    }

    fn subtract(self, field: impl FnOnce(*mut Counters) -> *mut u64, value: u64) {
        self.add(field, value.wrapping_neg());
    }

    pub fn fuel_consumed(self, fuel: u64) {
        self.store(|counters| unsafe { &raw mut (*counters).fuel_consumed }, fuel);
    }
}

/// The memory of a process with threads: the memories that they share, and those of each.
pub struct MemoryTotal {
    limit: u64,
    counters: CountersRef,
    /// Written by all threads of the process. Relaxed: it is a count, and publishes nothing.
    bytes: AtomicU64,
    /// The same for the elements of all threads' tables.
    table_elements: AtomicU64,
}

impl MemoryTotal {
    pub fn new(limit: u64, counters: CountersRef) -> MemoryTotal {
        MemoryTotal { limit, counters, bytes: AtomicU64::new(0), table_elements: AtomicU64::new(0) }
    }

    /// Counts elements of tables, unless that were beyond `limit`.
    fn add_table_elements(&self, growth: u64, limit: u64) -> Result<(), LimitReached> {
        let before = self.table_elements.fetch_add(growth, Ordering::Relaxed);
        let asked = before.saturating_add(growth);
        if asked > limit {
            self.table_elements.fetch_sub(growth, Ordering::Relaxed);
            return Err(LimitReached { kind: LimitKind::Table, value: limit, asked });
        }
        Ok(())
    }

    /// Counts `growth` bytes more, unless that were beyond the limit.
    pub fn add(&self, growth: u64) -> Result<(), LimitReached> {
        let mut bytes = self.bytes.load(Ordering::Relaxed);
        loop {
            let asked = bytes.saturating_add(growth);
            if asked > self.limit {
                return Err(LimitReached { kind: LimitKind::Memory, value: self.limit, asked });
            }
            match self.bytes.compare_exchange_weak(bytes, asked, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    self.counters.add(|counters| unsafe { &raw mut (*counters).memory_bytes }, growth);
                    self.counters.at_least(|counters| unsafe { &raw mut (*counters).memory_bytes_max }, asked);
                    return Ok(());
                }
                Err(now) => bytes = now,
            }
        }
    }

    pub fn remove(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.counters.subtract(|counters| unsafe { &raw mut (*counters).memory_bytes }, bytes);
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        if let Some(together) = &self.together {
            if self.memory_bytes > 0 {
                together.remove(self.memory_bytes);
            }
            together.table_elements.fetch_sub(self.table_elements, Ordering::Relaxed);
        }
    }
}

impl Limiter {
    /// Of one thread of a process with threads: memory is counted together with the others'.
    pub fn of_thread(limits: Limits, counters: CountersRef, together: Arc<MemoryTotal>) -> Limiter {
        let mut limiter = Limiter::new(limits, counters);
        limiter.together = Some(together);
        limiter
    }

    pub fn new(limits: Limits, counters: CountersRef) -> Limiter {
        Limiter {
            limits,
            counters,
            memory_bytes: 0,
            table_elements: 0,
            memory_growing: 0,
            table_growing: 0,
            host_calls: 0,
            together: None,
            refused: None,
        }
    }

    pub fn counters(&self) -> CountersRef {
        self.counters
    }

    /// `finished`, which was made of `error`, or what the end is really due to.
    pub fn judge(&self, finished: Finished, error: &wasmtime::Error) -> Finished {
        match self.refused {
            // Wasmtime reports a heap that may not grow as a full one.
            Some(limit) if error.is::<wasmtime::GcHeapOutOfMemory<()>>() => finished.at_limit(limit),
            _ => finished,
        }
    }

    #[inline]
    pub fn count_host_call(&mut self) {
        self.host_calls += 1;
        self.counters.store(|counters| unsafe { &raw mut (*counters).host_calls }, self.host_calls);
    }

    /// Whether a core module with so many memories and tables may be instantiated. (Components make their instances inside Wasmtime, which asks
    /// `instances` and its like, and reports in text: see `outcome`.)
    pub fn check_module(&self, memories: u64, tables: u64) -> Result<(), LimitReached> {
        let check = |kind, value: u64, asked: u64| {
            if asked > value { Err(LimitReached { kind, value, asked }) } else { Ok(()) }
        };
        check(LimitKind::Instances, self.limits.instances, 1)?;
        check(LimitKind::Memories, self.limits.memories, memories)?;
        check(LimitKind::Tables, self.limits.tables, tables)
    }

    fn memory_changed(&mut self, bytes: u64) {
        self.memory_bytes = bytes;
        if self.together.is_some() {
            return;
        }
        self.counters.store(|counters| unsafe { &raw mut (*counters).memory_bytes }, bytes);
        self.counters.at_least(|counters| unsafe { &raw mut (*counters).memory_bytes_max }, bytes);
    }

    /// Whether `growth` bytes more are within the limit.
    fn ask(&self, growth: u64) -> Result<(), LimitReached> {
        if let Some(together) = &self.together {
            return together.add(growth);
        }
        let asked = self.memory_bytes.saturating_add(growth);
        if asked > self.limits.memory_bytes {
            return Err(LimitReached { kind: LimitKind::Memory, value: self.limits.memory_bytes, asked });
        }
        Ok(())
    }
}

fn count(limit: u64) -> usize {
    if limit == UNLIMITED { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) }
}

impl wasmtime::ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.memory_growing = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            // Beyond what the memory itself allows: the guest sees an ordinary failure, whatever the limit.
            return Ok(false);
        }
        let growth = (desired - current) as u64;
        if let Err(limit) = self.ask(growth) {
            self.refused = Some(limit);
            return Err(limit.into());
        }
        self.memory_growing = growth;
        self.memory_changed(self.memory_bytes + growth);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        let growth = std::mem::take(&mut self.memory_growing);
        if let Some(together) = &self.together {
            together.remove(growth);
        }
        self.memory_changed(self.memory_bytes - growth);
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.table_growing = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let growth = (desired - current) as u64;
        let asked = self.table_elements.saturating_add(growth);
        if let Some(together) = &self.together {
            together.add_table_elements(growth, self.limits.table_elements)?;
        } else if asked > self.limits.table_elements {
            return Err(LimitReached { kind: LimitKind::Table, value: self.limits.table_elements, asked }.into());
        }
        self.table_growing = growth;
        self.table_elements = asked;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        let growth = std::mem::take(&mut self.table_growing);
        if let Some(together) = &self.together {
            together.table_elements.fetch_sub(growth, Ordering::Relaxed);
        }
        self.table_elements -= growth;
        Ok(())
    }

    fn instances(&self) -> usize {
        count(self.limits.instances)
    }

    fn tables(&self) -> usize {
        count(self.limits.tables)
    }

    fn memories(&self) -> usize {
        count(self.limits.memories)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_count_adds_up() {
        // SAFETY: a repr(C) struct of integers.
        let mut counters: Counters = unsafe { std::mem::zeroed() };
        let total = MemoryTotal::new(UNLIMITED, CountersRef(&raw mut counters));
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..20_000 {
                        assert!(total.add(3).is_ok());
                        assert!(total.add(1).is_ok());
                        total.remove(3);
                    }
                });
            }
        });
        assert_eq!(total.bytes.load(Ordering::Relaxed), 80_000);
        assert_eq!(counters.memory_bytes, 80_000);
        assert!(counters.memory_bytes_max >= 80_000);
    }
}
