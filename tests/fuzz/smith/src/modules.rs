//! Which modules are made: valid ones without imports, that end, with the proposals that Weft has on by default.

use arbitrary::{Arbitrary, Unstructured};
use wasm_smith::{Config, InstructionKind, InstructionKinds, Module};

/// Bytes that wasm-smith turns into choices. More makes larger modules.
const CHOICES: usize = 16 << 10;
/// Loops and calls that a module may do before it traps. Few, because a recursion that only ends with them must not reach the end of the stack: where that is
/// depends on the size of frames, which checks for preemption change.
const STEPS: u32 = 1000;
const PAGE_BYTES: u64 = 64 << 10;

/// The module of `seed`, if its bytes make one.
pub fn generate(seed: u64) -> Option<Vec<u8>> {
    let bytes = choices(seed);
    let mut choices = Unstructured::new(&bytes);
    let config = config(&mut choices).ok()?;
    let mut module = Module::new(config, &mut choices).ok()?;
    module.ensure_termination(STEPS).ok()?;
    let wasm = module.to_bytes();
    // A bug of the generator would look like one of the engine's.
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
        .validate_all(&wasm)
        .ok()?;
    Some(wasm)
}

/// Each seed turns on a subset of instructions and proposals: what never meets when everything is on meets then.
fn config(choices: &mut Unstructured<'_>) -> arbitrary::Result<Config> {
    let mut config = Config::arbitrary(choices)?;
    let coin = |choices: &mut Unstructured<'_>, of: u8| {
        choices.int_in_range(1..=of).map(|value| value == 1)
    };
    config.max_imports = 0;
    config.min_funcs = 4;
    config.max_funcs = config.max_funcs.clamp(4, 16);
    config.max_instructions = config.max_instructions.clamp(20, 400);
    config.max_types = config.max_types.clamp(1, 40);
    config.max_globals = config.max_globals.min(20);
    config.max_data_segments = config.max_data_segments.min(10);
    config.max_element_segments = config.max_element_segments.min(10);
    config.max_elements = config.max_elements.min(50);
    // State that outlives a call is what a lost register or a wrong address would show in.
    config.min_memories = 1;
    config.max_memories = config.max_memories.clamp(1, 3);
    config.max_memory32_bytes = 4 * PAGE_BYTES;
    config.max_memory64_bytes = u128::from(4 * PAGE_BYTES);
    config.memory_max_size_required = true;
    config.max_tables = config.max_tables.min(4);
    config.max_table_elements = config.max_table_elements.min(1000);
    config.table_max_size_required = true;
    config.export_everything = true;
    // A start function that traps is worth a test, but not in half of all modules.
    config.allow_start_export = coin(choices, 4)?;
    config.canonicalize_nans = true;
    // Shared memories and atomics. Weft rewrites modules that have them: every index and every offset moves.
    config.threads_enabled = coin(choices, 3)?;
    config.shared_everything_threads_enabled = false;
    config.custom_page_sizes_enabled = false;
    config.custom_descriptors_enabled = false;
    config.wide_arithmetic_enabled = false;
    config.allow_invalid_funcs = false;
    config.generate_custom_sections = false;
    if coin(choices, 3)? {
        mostly_control_flow(&mut config);
    }
    Ok(config)
}

/// Many blocks, loops and branches, and little that traps: what is rewritten for continuations leaves functions at loops.
fn mostly_control_flow(config: &mut Config) {
    use InstructionKind::{Control, Numeric, Parametric, Variable};
    config.allowed_instructions = InstructionKinds::new(&[Control, Numeric, Parametric, Variable]);
    config.disallow_traps = true;
    config.exceptions_enabled = false;
    config.gc_enabled = false;
    config.max_instructions = 400;
    config.max_nesting_depth = 10;
}

/// Pseudo-random bytes (SplitMix64, Steele et al. 2014): the same for a seed on every machine.
fn choices(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    (0..CHOICES / 8)
        .flat_map(|_| next().to_le_bytes())
        .collect()
}
