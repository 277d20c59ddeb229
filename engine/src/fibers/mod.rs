//! Programs on continuations: fibers inside of a guest's own store, switched without leaving the sandbox. docs/design/strands.md says why they are made like this.
//!
//! | file | what it does |
//! |---|---|
//! | `rewrite` | adds to a guest's module what suspends and resumes it |
//! | `calls` | host functions as polls |
//! | `values` | what the added code asks besides: arguments, whether to go on |
//! | `driver` | steps a call |
//! | `strands.wat`, `scheduler` | the scheduler of strands |
//! | `requests` | strands that the host asks for |
//! | `strands` | a guest with strands, and its scheduler beside it |

pub(crate) mod calls;
pub(crate) mod driver;
pub(crate) mod requests;
pub(crate) mod rewrite;
pub mod scheduler;
pub(crate) mod strands;
#[cfg(test)]
mod tests;
pub(crate) mod values;

/// Whether a core module makes strands: it imports functions for that.
pub(crate) fn has_strands(wasm: &[u8]) -> Result<bool, wasmparser::BinaryReaderError> {
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload? {
            wasmparser::Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if import?.module == rewrite::STRAND_MODULE {
                        return Ok(true);
                    }
                }
            }
            // Imports come before it.
            wasmparser::Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    Ok(false)
}
