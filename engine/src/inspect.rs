//! What a module is made of, without compiling it.

use crate::abi::{Bytes, give_bytes, slice};
use crate::engine::{CONTINUATIONS_KNOWN, CONTINUATIONS_UNKNOWN, Engine};
use crate::error::{Error, ErrorKind, guard};
use crate::features;
use crate::fibers::rewrite::{self as fibers, Kind, STRAND_MODULE};
use crate::fibers::scheduler::STRAND;
use crate::module::{ModuleKind, RUN_INTERFACE, binary};
use crate::provide;
use crate::rewrite;
use crate::threads;
use serde_json::{Value, json};
use wasmparser::types::{EntityType, Types};
use wasmparser::{Encoding, Parser, Payload, Validator};

/// Everything counted and listed on the way through a binary.
#[derive(Default)]
struct Found {
    name: Option<String>,
    imports: Vec<Value>,
    exports: Vec<Value>,
    memories: Vec<Value>,
    tables: Vec<Value>,
    functions: u64,
    code_bytes: u64,
    data_bytes: u64,
    start_function: bool,
    producers: Vec<Value>,
    entry: Option<String>,
    /// Exported functions, from which one could be called by name.
    callable: bool,
    /// It has a shared memory, for threads to work on.
    threads: bool,
    /// It starts threads, and exports what they begin with.
    spawns: bool,
    thread_entry: bool,
    /// It imports functions for strands.
    strands: bool,
    obstacles: Vec<String>,
}

fn invalid(error: wasmparser::BinaryReaderError) -> Error {
    let text = error.message();
    let first = text.lines().next().unwrap_or_default();
    Error::new(ErrorKind::InvalidModule, format!("it is invalid at offset {:#x}: {first}", error.offset()))
}

/// What limits of an engine matter here.
struct Abilities {
    features: u64,
    memory_bytes_max: u64,
}

fn describe(bytes: &[u8], abilities: &Abilities) -> Result<Value, Error> {
    let (wasm, kind) = binary(bytes)?;
    let needed = features::needed(&wasm).map_err(invalid)?;
    let types =
        Validator::new_with_features(features::flags(features::all_bits())).validate_all(&wasm).map_err(invalid)?;
    let component = kind == ModuleKind::Component;
    let threads = !component && rewrite::has_shared_memory(&wasm).unwrap_or(false);
    let mut found = Found { threads, ..Found::default() };
    read(&wasm, component, &types, abilities, &mut found).map_err(invalid)?;
    let strands = (!component).then(|| strands(&wasm, &mut found));
    let off = features::names(needed & !abilities.features);
    for name in &off {
        found.obstacles.push(format!("it needs the WebAssembly proposal {name}, which is switched off"));
    }
    if found.spawns && !found.thread_entry {
        found.obstacles.push(
            "it starts threads, but exports no function wasi_thread_start(i32, i32) for them to begin with".to_string(),
        );
    }
    if found.entry.is_none() && !found.callable {
        found.obstacles.push("it has no entry point, and no function that could be called by name".to_string());
    } else if found.entry.is_none() {
        let default = if component { "wasi:cli/run" } else { "_start" };
        found
            .obstacles
            .push(format!("it has no entry point ({default}); its functions can be called by name (--invoke)"));
    }
    Ok(json!({
        "kind": if component { "component" } else { "module" },
        "name": found.name,
        "imports": found.imports,
        "exports": found.exports,
        "memories": found.memories,
        "tables": found.tables,
        "threads": found.threads,
        "strands": strands,
        "features": features::names(needed),
        "functions": found.functions,
        "code_bytes": found.code_bytes,
        "data_bytes": found.data_bytes,
        "start_function": found.start_function,
        "entry_point": found.entry,
        "producers": found.producers,
        "runnable": found.obstacles.is_empty(),
        "obstacles": found.obstacles,
    }))
}

/// Whether a core module can run on continuations; whether it has strands, or could have, and whether they could be preempted. Where not, why not.
fn strands(wasm: &[u8], found: &mut Found) -> Value {
    let obstacle_of = |wasm: &[u8], kind| match fibers::rewrite(wasm, kind) {
        _ if !CONTINUATIONS_KNOWN => Some(CONTINUATIONS_UNKNOWN.to_string()),
        Ok(rewritten) => rewritten.side.obstacle().map(str::to_string),
        Err(failure) => Some(failure.to_string()),
    };
    let (continuations, strands, preemption);
    if found.threads {
        // As they are compiled: without waits, which continuations cannot do.
        continuations = match rewrite::rewrite(wasm) {
            Ok(rewritten) => obstacle_of(rewritten.as_ref().map_or(wasm, |rewritten| &rewritten.wasm), Kind::Alone),
            Err(failure) => Some(failure.to_string()),
        };
        let threads = Some("it has a shared memory, for threads, which do not go together with strands".to_string());
        (strands, preemption) = (threads.clone(), threads);
    } else {
        continuations = obstacle_of(wasm, Kind::Alone);
        strands = obstacle_of(wasm, Kind::Strands { preemptive: false });
        preemption = obstacle_of(wasm, Kind::Strands { preemptive: true });
    }
    if found.strands {
        found.obstacles.extend(strands.clone());
    }
    json!({
        "used": found.strands,
        "possible": strands.is_none(),
        "obstacle": strands,
        "preemptible": preemption.is_none(),
        "preemption_obstacle": preemption,
        "continuations": continuations.is_none(),
        "continuations_obstacle": continuations,
    })
}

/// Reads one binary and, of a component, all modules and components in it. Imports, exports and the like are those of the outermost.
fn read(
    wasm: &[u8],
    component: bool,
    types: &Types,
    abilities: &Abilities,
    found: &mut Found,
) -> Result<(), wasmparser::BinaryReaderError> {
    // Whether each binary that we are inside of is a core module; the outermost first.
    let mut inside: Vec<bool> = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        let outermost = inside.len() <= 1;
        match payload {
            Payload::Version { encoding, .. } => inside.push(encoding == Encoding::Module),
            Payload::End(_) => {
                inside.pop();
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if let wasmparser::TypeRef::Memory(memory) = import.ty {
                        add_memory(found, &memory, true, abilities);
                    }
                    if outermost {
                        add_core_import(found, types, &import);
                    }
                }
            }
            Payload::ComponentImportSection(section) if outermost => {
                for import in section {
                    let import = import?;
                    let name = import.name.name;
                    let provider = provide::component(name);
                    // Types alone need nobody who provides them.
                    let is_type = matches!(import.ty, wasmparser::ComponentTypeRef::Type(_));
                    if provider.is_none() && !is_type {
                        found.obstacles.push(format!("nobody provides its import {name}: {}", provide::hint(name, "")));
                    }
                    let kind = format!("{:?}", import.ty.kind()).to_lowercase();
                    found.imports.push(json!({"module": "", "name": name, "type": kind, "provided_by": provider}));
                }
            }
            Payload::ExportSection(section) if outermost => {
                for export in section {
                    let export = export?;
                    let ty = types.as_ref().entity_type_from_export(&export);
                    if matches!(ty, Some(EntityType::Func(_))) {
                        found.callable = true;
                        found.thread_entry |= export.name == threads::ENTRY && show(types, ty) == "(i32, i32) -> ()";
                        if matches!(export.name, "_start") {
                            found.entry = Some(export.name.to_string());
                        }
                    }
                    found.exports.push(json!({"name": export.name, "type": show(types, ty)}));
                }
            }
            Payload::ComponentExportSection(section) if outermost => {
                for export in section {
                    let export = export?;
                    let name = export.name.name;
                    if name.starts_with(RUN_INTERFACE) {
                        found.entry = Some(name.to_string());
                    }
                    let kind = format!("{:?}", export.kind).to_lowercase();
                    found.callable |= matches!(kind.as_str(), "func" | "instance");
                    found.exports.push(json!({"name": name, "type": kind}));
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    add_memory(found, &memory?, false, abilities);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let table = table?.ty;
                    let ty = table.element_type.to_string();
                    found.tables.push(json!({"type": ty, "minimum": table.initial, "maximum": table.maximum}));
                }
            }
            Payload::StartSection { .. } => found.start_function = true,
            Payload::DataSection(section) => {
                for data in section {
                    found.data_bytes += data?.data.len() as u64;
                }
            }
            Payload::CodeSectionStart { count, size, .. } => {
                found.functions += u64::from(count);
                found.code_bytes += u64::from(size);
            }
            Payload::CustomSection(section) => add_custom(found, &section, outermost, component),
            _ => {}
        }
    }
    Ok(())
}

fn add_core_import(found: &mut Found, types: &Types, import: &wasmparser::Import<'_>) {
    let (module, name) = (import.module, import.name);
    let ty = types.as_ref().entity_type_from_import(import);
    // By the same name something else than a function is something else.
    let provider = match ty {
        // The names that rewriting adds are not for guests.
        Some(EntityType::Func(_)) if module == threads::MODULE => None,
        Some(EntityType::Func(_)) if module == STRAND_MODULE => STRAND.contains(&name).then_some("weft strands"),
        Some(EntityType::Func(_)) if found.threads => provide::threaded(module, name),
        Some(EntityType::Func(_)) => provide::core(module, name),
        Some(EntityType::Memory(memory)) if memory.shared && (module, name) == threads::MEMORY => Some("wasi threads"),
        _ => None,
    };
    found.strands |= module == STRAND_MODULE;
    found.spawns |= (module, name) == (threads::SPAWN_MODULE, threads::SPAWN_NAME);
    if provider.is_none() {
        found.obstacles.push(format!("nobody provides its import {module}.{name}: {}", provide::hint(module, name)));
    }
    found.imports.push(json!({"module": module, "name": name, "type": show(types, ty), "provided_by": provider}));
}

fn add_memory(found: &mut Found, memory: &wasmparser::MemoryType, imported: bool, abilities: &Abilities) {
    let page_bytes = 1u64 << memory.page_size_log2.unwrap_or(16);
    let minimum_bytes = memory.initial.saturating_mul(page_bytes);
    if minimum_bytes > abilities.memory_bytes_max {
        let max = abilities.memory_bytes_max;
        found
            .obstacles
            .push(format!("its memory starts with {minimum_bytes} bytes, more than a process can have ({max})"));
    }
    found.memories.push(json!({
        "minimum_bytes": minimum_bytes,
        "maximum_bytes": memory.maximum.map(|maximum| maximum.saturating_mul(page_bytes)),
        "shared": memory.shared,
        "is_64_bit": memory.memory64,
        "imported": imported,
    }));
}

/// Names and producers. They may contain anything, and what does not parse is left out.
fn add_custom(found: &mut Found, section: &wasmparser::CustomSectionReader<'_>, outermost: bool, component: bool) {
    match section.as_known() {
        wasmparser::KnownCustom::Name(names) if outermost && !component => {
            for name in names.into_iter().flatten() {
                if let wasmparser::Name::Module { name, .. } = name {
                    found.name = Some(name.to_string());
                }
            }
        }
        wasmparser::KnownCustom::Producers(producers) => {
            for field in producers.into_iter().flatten() {
                for value in field.values.into_iter().flatten() {
                    let producer = json!({"field": field.name, "name": value.name, "version": value.version});
                    if !found.producers.contains(&producer) {
                        found.producers.push(producer);
                    }
                }
            }
        }
        _ => {}
    }
}

/// The type of an import or export, as text.
fn show(types: &Types, ty: Option<EntityType>) -> String {
    match ty {
        Some(EntityType::Func(id) | EntityType::FuncExact(id)) => match &types[id].composite_type.inner {
            wasmparser::CompositeInnerType::Func(ty) => {
                let list = |types: &[wasmparser::ValType]| {
                    types.iter().map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ")
                };
                format!("({}) -> ({})", list(ty.params()), list(ty.results()))
            }
            _ => "function".to_string(),
        },
        Some(EntityType::Table(table)) => format!("table of {}", table.element_type),
        Some(EntityType::Memory(memory)) if memory.shared => "shared memory".to_string(),
        Some(EntityType::Memory(_)) => "memory".to_string(),
        Some(EntityType::Global(global)) => {
            format!("{} global {}", if global.mutable { "mutable" } else { "constant" }, global.content_type)
        }
        Some(EntityType::Tag(_)) => "tag".to_string(),
        None => "unknown".to_string(),
    }
}

/// Describes text, a core module or a component as JSON (UTF-8, one object; its fields are in docs/design/engine.md): imports and who provides them, exports,
/// memories, tables, needed proposals, and whether this engine can run it and if not why. `engine` may be NULL: the default settings are assumed then.
/// Errors: InvalidModule (not valid with all proposals on), BadArgument (precompiled). Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_inspect(
    engine: *const Engine,
    bytes: *const u8,
    size: usize,
    json: *mut *mut Bytes,
) -> *mut Error {
    debug_assert!(!json.is_null());
    guard(|| {
        let abilities = match unsafe { engine.as_ref() } {
            Some(engine) => {
                let settings = engine.settings();
                Abilities { features: settings.features, memory_bytes_max: settings.memory_bytes_max }
            }
            None => Abilities { features: features::default_bits(), memory_bytes_max: 4 << 30 },
        };
        let description = describe(unsafe { slice(bytes, size) }, &abilities)?;
        unsafe { json.write(give_bytes(description.to_string().into_bytes())) };
        Ok(())
    })
}
