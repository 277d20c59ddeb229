//! What the code that is added to a fiber's module asks of the host: the values that its entry takes and answers, and whether to go on.

use super::calls::{FiberState, note_fuel, strand};
use crate::guest::{Guest, has_to_yield};
use wasmtime::{AsContextMut, Caller, Linker, Result, V128, Val, bail};

/// The module of the imports that the rewriter adds.
pub const MODULE: &str = "weft_fiber";

/// The value at `index` of what the calling strand has in the list that `of` names.
fn value<'a>(
    caller: &'a mut Caller<'_, Guest>,
    index: i32,
    of: impl FnOnce(&mut FiberState, i64) -> Option<&mut Vec<Val>>,
) -> Result<&'a mut Val> {
    let strand = strand(caller)?;
    let values = caller.data_mut().fiber.as_mut().and_then(|state| of(state, strand));
    match values.and_then(|values| values.get_mut(index as usize)) {
        Some(value) => Ok(value),
        None => bail!("the entry has no value {index}"),
    }
}

macro_rules! values {
    ($linker:ident: $($argument:literal $result:literal $ty:ty, $get:ident;)*) => {$(
        $linker.func_wrap(MODULE, $argument, |mut caller: Caller<'_, Guest>, index: i32| -> Result<$ty> {
            match value(&mut caller, index, |state, strand| state.arguments.get(strand))?.$get() {
                Some(value) => Ok(value),
                None => bail!("argument {index} of the entry is of another type"),
            }
        })?;
        $linker.func_wrap(MODULE, $result, |mut caller: Caller<'_, Guest>, index: i32, value_is: $ty| -> Result<()> {
            *value(&mut caller, index, |state, strand| state.results.get(strand))? = value_is.into();
            Ok(())
        })?;
    )*};
}

/// Adds them.
pub fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    values! { linker:
        "argument_i32" "result_i32" i32, i32;
        "argument_i64" "result_i64" i64, i64;
        "argument_f32" "result_f32" f32, f32;
        "argument_f64" "result_f64" f64, f64;
        "argument_v128" "result_v128" V128, v128;
    }
    linker.func_wrap(MODULE, "ended", |mut caller: Caller<'_, Guest>| note_fuel(&mut caller.as_context_mut()))?;
    linker.func_wrap(MODULE, "tick", |mut caller: Caller<'_, Guest>| -> Result<i32> {
        note_fuel(&mut caller.as_context_mut())?;
        has_to_yield(&mut caller.as_context_mut()).map(i32::from)
    })?;
    Ok(())
}
