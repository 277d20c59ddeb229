//! WebAssembly proposals: their names, which are on by default, and which of them a module needs.

use crate::abi::Str;
use wasmparser::WasmFeatures;

/// A proposal that can be turned on and off. The index in `PROPOSALS` is its bit in the ABI.
pub struct Proposal {
    pub name: &'static str,
    pub flag: WasmFeatures,
    pub default: bool,
}

const fn on(name: &'static str, flag: WasmFeatures) -> Proposal {
    Proposal { name, flag, default: true }
}

const fn off(name: &'static str, flag: WasmFeatures) -> Proposal {
    Proposal { name, flag, default: false }
}

/// What the engine can do. Off by default: what Wasmtime does not call stable. New ones go to the end, as the order is part of the ABI.
pub const PROPOSALS: &[Proposal] = &[
    on("bulk-memory", WasmFeatures::BULK_MEMORY),
    on("multi-value", WasmFeatures::MULTI_VALUE),
    on("reference-types", WasmFeatures::REFERENCE_TYPES),
    on("simd", WasmFeatures::SIMD),
    on("relaxed-simd", WasmFeatures::RELAXED_SIMD),
    on("tail-call", WasmFeatures::TAIL_CALL),
    on("multi-memory", WasmFeatures::MULTI_MEMORY),
    on("memory64", WasmFeatures::MEMORY64),
    on("extended-const", WasmFeatures::EXTENDED_CONST),
    on("function-references", WasmFeatures::FUNCTION_REFERENCES),
    on("gc", WasmFeatures::GC),
    on("exceptions", WasmFeatures::EXCEPTIONS),
    on("threads", WasmFeatures::THREADS),
    off("custom-page-sizes", WasmFeatures::CUSTOM_PAGE_SIZES),
    off("wide-arithmetic", WasmFeatures::WIDE_ARITHMETIC),
    off("stack-switching", WasmFeatures::STACK_SWITCHING),
];

/// The bit of threads, which more than the compiler has to do with.
pub const THREADS: u64 = 1 << 12;
const _: () = assert!(matches!(PROPOSALS[12].name.as_bytes(), b"threads"));

/// Older than the list above; every engine has them.
pub const ALWAYS: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG);

/// What components may use besides.
pub const COMPONENTS: WasmFeatures = WasmFeatures::COMPONENT_MODEL.union(WasmFeatures::CM_ASYNC);

pub fn default_bits() -> u64 {
    bits(|proposal| proposal.default)
}

pub fn all_bits() -> u64 {
    bits(|_| true)
}

fn bits(wanted: impl Fn(&Proposal) -> bool) -> u64 {
    PROPOSALS.iter().enumerate().filter(|(_, proposal)| wanted(proposal)).fold(0, |bits, (index, _)| bits | 1 << index)
}

/// The proposals that `bits` stands for.
pub fn chosen(bits: u64) -> impl Iterator<Item = (&'static Proposal, bool)> {
    PROPOSALS.iter().enumerate().map(move |(index, proposal)| (proposal, bits >> index & 1 == 1))
}

/// What a validator has to accept for these proposals.
pub fn flags(bits: u64) -> WasmFeatures {
    chosen(bits).filter(|(_, on)| *on).fold(ALWAYS | COMPONENTS, |flags, (proposal, _)| flags | proposal.flag)
}

/// Whether `wasm` is valid with the proposals of `bits`; what is wrong if not.
pub fn validate(wasm: &[u8], bits: u64) -> Result<(), wasmparser::BinaryReaderError> {
    wasmparser::Validator::new_with_features(flags(bits)).validate_all(wasm).map(|_| ())
}

/// The proposals without which `wasm` is not valid; the error if it is not valid even with all of them. Validates a handful of times:
/// halves of the set are taken away until single culprits are left.
pub fn needed(wasm: &[u8]) -> Result<u64, wasmparser::BinaryReaderError> {
    validate(wasm, all_bits())?;
    let mut needed = 0;
    search(wasm, 0, PROPOSALS.len(), &mut needed);
    Ok(needed)
}

fn search(wasm: &[u8], from: usize, to: usize, needed: &mut u64) {
    let part = (1u64 << to) - (1u64 << from);
    if validate(wasm, all_bits() & !part).is_ok() {
        return;
    }
    if to - from == 1 {
        *needed |= part;
        return;
    }
    let middle = from + (to - from) / 2;
    let before = *needed;
    search(wasm, from, middle, needed);
    search(wasm, middle, to, needed);
    if *needed == before {
        // Only both halves together are needed: either would do. Name the first.
        *needed |= 1 << from;
    }
}

/// Names of the proposals of `bits`, in the order of the list.
pub fn names(bits: u64) -> Vec<&'static str> {
    chosen(bits).filter(|(_, on)| *on).map(|(proposal, _)| proposal.name).collect()
}

/// The WebAssembly proposals that are on by default, as bits. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn weft_features_default() -> u64 {
    default_bits()
}

/// The proposals that can be turned on at all. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn weft_features_known() -> u64 {
    all_bits()
}

/// The bit of the proposal called `name` ("simd", "threads", "memory64", ...), or 0 if there is none. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_feature_find(name: Str) -> u64 {
    let name = unsafe { name.bytes() };
    bits(|proposal| proposal.name.as_bytes() == name)
}

/// The name of the proposal with this bit, or an empty string. Static. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn weft_feature_name(bit: u64) -> Str {
    match PROPOSALS.get(bit.trailing_zeros() as usize) {
        Some(proposal) if bit.is_power_of_two() => Str::borrow(proposal.name),
        _ => Str::EMPTY,
    }
}
