//! What is known about a rewritten module beside its code.

use super::Kind;
use crate::rewrite::{Damaged, Input, OffsetMap, put_string, put_unsigned};

/// What is kept beside the machine code of a rewritten module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    pub kind: Kind,
    pub functions: Functions,
    /// The original functions of those that are the rest of one, in order.
    pub rests: Vec<u32>,
    pub offsets: OffsetMap,
    /// What `run` and `begin` can call: the exports whose parameters and results are numbers or vectors, and last the start function, which has no name.
    pub entries: Vec<Entry>,
    /// The entry that is to be run before any other.
    pub start: Option<u32>,
    /// Where in the original strands are made, by what the host is told as the site.
    pub spawn_sites: Vec<u32>,
    pub stack: Option<StackPointer>,
    pub tls: Option<Tls>,
    /// How `malloc` was found. Strands get their stacks from it.
    pub malloc: Option<Found>,
    /// Whether functions have names, by which those are known that must not be preempted.
    pub named: bool,
}

/// How the indices of functions moved: imports were added after the original's, and functions after all, the rests last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Functions {
    pub(super) imported: u32,
    pub(super) added_imports: u32,
    pub(super) defined: u32,
    pub(super) added: u32,
}

/// A function that can be called from outside, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is exported.
    pub name: String,
    pub k: u32,
}

/// How a thing was found that has no place of its own in a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Exported,
    /// In the name section.
    Named,
    /// By what the code does with it.
    Pattern,
}

/// The global with the top of the stack that compilers keep in the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackPointer {
    pub global: u32,
    pub found: Found,
}

/// Variables that each thread has its own of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The global with their address.
    pub base: u32,
    /// In bytes. None: the module does not say.
    pub size: Option<u32>,
    pub align: Option<u32>,
}

impl Side {
    /// The index in the original of a function; None if it was added.
    pub fn original_function(&self, rewritten: u32) -> Option<u32> {
        let Functions { imported, added_imports, defined, added } = self.functions;
        let Some(place) = rewritten.checked_sub(imported) else { return Some(rewritten) };
        let place = place.checked_sub(added_imports)?;
        if place < defined {
            return Some(imported + place);
        }
        let rest = (place - defined).checked_sub(added)?;
        self.rests.get(rest as usize).copied()
    }

    /// The number of the entry that is exported as `name`.
    pub fn entry(&self, name: &str) -> Option<u32> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| entry.k)
    }

    /// Why the module cannot run on strands, if it cannot.
    pub fn obstacle(&self) -> Option<&'static str> {
        let Kind::Strands { preemptive } = self.kind else { return None };
        if self.stack.is_some() && self.malloc.is_none() {
            return Some(
                "its strands need stacks of their own, but it has no function called malloc to get them from (export it, or keep the names)",
            );
        }
        if preemptive && self.stack.is_some() && !self.named {
            return Some(
                "strands cannot be preempted in it, as it has no names by which to know the functions of its library that must not be",
            );
        }
        None
    }

    /// Appends the encoded form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let kind = match self.kind {
            Kind::Alone => 0,
            Kind::Strands { preemptive } => 1 + u64::from(preemptive),
        };
        put_unsigned(out, kind);
        let Functions { imported, added_imports, defined, added } = self.functions;
        for count in [imported, added_imports, defined, added, self.rests.len() as u32] {
            put_unsigned(out, count.into());
        }
        for &function in &self.rests {
            put_unsigned(out, function.into());
        }
        self.offsets.encode(out);
        put_unsigned(out, self.entries.len() as u64);
        for entry in &self.entries {
            put_string(out, &entry.name);
            put_unsigned(out, entry.k.into());
        }
        put_optional(out, self.start);
        put_unsigned(out, self.spawn_sites.len() as u64);
        for &site in &self.spawn_sites {
            put_unsigned(out, site.into());
        }
        put_optional(out, self.stack.map(|stack| stack.global));
        put_found(out, self.stack.map(|stack| stack.found));
        put_optional(out, self.tls.map(|tls| tls.base));
        put_optional(out, self.tls.and_then(|tls| tls.size));
        put_optional(out, self.tls.and_then(|tls| tls.align));
        put_found(out, self.malloc);
        put_unsigned(out, self.named.into());
    }

    /// Reads what `encode` wrote.
    pub fn decode(input: &mut Input<'_>) -> Result<Side, Damaged> {
        let kind = match input.unsigned()? {
            0 => Kind::Alone,
            number @ (1 | 2) => Kind::Strands { preemptive: number == 2 },
            _ => return Err(Damaged),
        };
        let functions = Functions {
            imported: input.u32()?,
            added_imports: input.u32()?,
            defined: input.u32()?,
            added: input.u32()?,
        };
        let mut rests = Vec::new();
        for _ in 0..input.unsigned()? {
            rests.push(input.u32()?);
        }
        functions.imported.checked_add(functions.defined).ok_or(Damaged)?;
        let offsets = OffsetMap::decode(input)?;
        let mut entries = Vec::new();
        for _ in 0..input.unsigned()? {
            entries.push(Entry { name: input.string()?, k: input.u32()? });
        }
        let start = optional(input)?;
        let mut spawn_sites = Vec::new();
        for _ in 0..input.unsigned()? {
            spawn_sites.push(input.u32()?);
        }
        let stack = match (optional(input)?, found(input)?) {
            (Some(global), Some(found)) => Some(StackPointer { global, found }),
            (None, None) => None,
            _ => return Err(Damaged),
        };
        let (base, size, align) = (optional(input)?, optional(input)?, optional(input)?);
        let tls = base.map(|base| Tls { base, size, align });
        let malloc = found(input)?;
        let named = match input.unsigned()? {
            number @ (0 | 1) => number == 1,
            _ => return Err(Damaged),
        };
        Ok(Side { kind, functions, rests, offsets, entries, start, spawn_sites, stack, tls, malloc, named })
    }
}

/// One more than the number, or 0.
fn put_optional(out: &mut Vec<u8>, value: Option<u32>) {
    put_unsigned(out, value.map_or(0, |value| u64::from(value) + 1));
}

fn optional(input: &mut Input<'_>) -> Result<Option<u32>, Damaged> {
    let number = input.unsigned()?;
    number.checked_sub(1).map(|value| u32::try_from(value).map_err(|_| Damaged)).transpose()
}

fn put_found(out: &mut Vec<u8>, found: Option<Found>) {
    put_optional(out, found.map(|found| found as u32));
}

fn found(input: &mut Input<'_>) -> Result<Option<Found>, Damaged> {
    Ok(match optional(input)? {
        None => None,
        Some(0) => Some(Found::Exported),
        Some(1) => Some(Found::Named),
        Some(2) => Some(Found::Pattern),
        Some(_) => return Err(Damaged),
    })
}
