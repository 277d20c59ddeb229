//! What a module is made of, without compiling it.

use crate::abi::Bytes;
use crate::engine::Engine;
use crate::error::Error;

/// Describes text, a core module or a component as JSON (UTF-8, one object; its fields are in docs/design/engine.md): imports and who provides them, exports,
/// memories, tables, needed proposals, and whether this engine can run it and if not why. `engine` may be NULL: the default settings are assumed then.
/// Errors: InvalidModule (not even parsable), BadArgument (precompiled). Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weft_inspect(engine: *const Engine, bytes: *const u8, size: usize, json: *mut *mut Bytes) -> *mut Error {
    todo!()
}
