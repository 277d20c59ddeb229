//! Adds the functions that call a module's own and report its state. They come after everything there is, so that no index of the module changes.

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, FunctionSection, TypeSection, ValType,
};
use wasmparser::{Parser, Payload};

/// What is needed of a module to observe it.
#[derive(Default)]
struct Contents {
    types: u32,
    functions: u32,
    globals: Vec<wasmparser::ValType>,
    memories: Vec<bool>,
    tables: Vec<bool>,
    observed: Vec<Observed>,
}

/// A function that can be called with constants.
struct Observed {
    index: u32,
    parameters: Vec<wasmparser::ValType>,
    results: Vec<wasmparser::ValType>,
}

/// The module with an exported function `weft run N` for each of its own that can be called with constants; how many there are.
pub fn add_observers(wasm: &[u8]) -> Result<(Vec<u8>, usize), String> {
    let contents = read(wasm).map_err(|error| error.to_string())?;
    let observed = contents.observed.len();
    let mut module = wasm_encoder::Module::new();
    Observers(contents)
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|error| error.to_string())?;
    let wasm = module.finish();
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
        .validate_all(&wasm)
        .map_err(|error| format!("not valid with its observers: {error}"))?;
    Ok((wasm, observed))
}

fn read(wasm: &[u8]) -> wasmparser::Result<Contents> {
    let mut contents = Contents::default();
    let mut types = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    types.extend(group?.into_types());
                }
                contents.types = types.len() as u32;
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    let index = contents.functions;
                    contents.functions += 1;
                    let wasmparser::CompositeInnerType::Func(signature) =
                        &types[ty? as usize].composite_type.inner
                    else {
                        continue;
                    };
                    let callable = signature
                        .params()
                        .iter()
                        .all(|ty| !matches!(ty, wasmparser::ValType::Ref(of) if !of.is_nullable()));
                    if callable {
                        let (parameters, results) =
                            (signature.params().to_vec(), signature.results().to_vec());
                        contents.observed.push(Observed {
                            index,
                            parameters,
                            results,
                        });
                    }
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    contents.globals.push(global?.ty.content_type);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    contents.memories.push(memory?.memory64);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    contents.tables.push(table?.ty.table64);
                }
            }
            _ => {}
        }
    }
    Ok(contents)
}

struct Observers(Contents);

impl Observers {
    fn encoded(
        &mut self,
        types: &[wasmparser::ValType],
    ) -> Result<Vec<ValType>, Error<std::convert::Infallible>> {
        types.iter().map(|ty| self.val_type(*ty)).collect()
    }

    /// Results as they leave an observer: references as whether they are null.
    fn reported(ty: &wasmparser::ValType) -> wasmparser::ValType {
        if ty.is_reference_type() {
            wasmparser::ValType::I32
        } else {
            *ty
        }
    }

    fn observer(
        &mut self,
        observed: &Observed,
        hash: u32,
    ) -> Result<Function, Error<std::convert::Infallible>> {
        let results = self.encoded(&observed.results)?;
        let mut function = Function::new(results.into_iter().map(|ty| (1, ty)));
        let mut code = function.instructions();
        for (position, ty) in observed.parameters.iter().enumerate() {
            let number = (observed.index as i64 + 1) * 0x9e37_79b9 + position as i64 * 0x85eb_ca6b;
            match ty {
                wasmparser::ValType::I32 => code.i32_const(number as i32),
                wasmparser::ValType::I64 => code.i64_const(number.wrapping_mul(0x1_0000_0001)),
                wasmparser::ValType::F32 => code.f32_const((number as f32 / 1024.0).into()),
                wasmparser::ValType::F64 => code.f64_const((number as f64 / 1024.0).into()),
                wasmparser::ValType::V128 => {
                    code.v128_const(i128::from(number) * 0x1_0000_0000_0000_0001)
                }
                wasmparser::ValType::Ref(of) => code.ref_null(self.heap_type(of.heap_type())?),
            };
        }
        code.call(observed.index);
        for local in (0..observed.results.len() as u32).rev() {
            code.local_set(local);
        }
        for (local, ty) in observed.results.iter().enumerate() {
            code.local_get(local as u32);
            if ty.is_reference_type() {
                code.ref_is_null();
            }
        }
        code.call(hash).end();
        Ok(function)
    }

    /// A hash of globals, memories and tables: the FNV-1a step on words of 64 bits, with a shift that carries high bits down.
    fn hash(&self) -> Function {
        const HASH: u32 = 0;
        const ADDRESS: u32 = 1;
        const ADDRESS_64: u32 = 2;
        let mut function = Function::new([(1, ValType::I64), (1, ValType::I32), (1, ValType::I64)]);
        let mut code = function.instructions();
        code.i64_const(0xcbf2_9ce4_8422_2325_u64 as i64)
            .local_set(HASH);
        // Leaves with the word on the stack, goes on with nothing.
        fn mix<'c, 'f>(
            code: &'c mut wasm_encoder::InstructionSink<'f>,
        ) -> &'c mut wasm_encoder::InstructionSink<'f> {
            code.local_get(HASH)
                .i64_xor()
                .i64_const(0x100_0000_01b3)
                .i64_mul()
                .local_tee(HASH);
            code.i64_const(29)
                .i64_shr_u()
                .local_get(HASH)
                .i64_xor()
                .local_set(HASH)
        }
        for (index, ty) in self.0.globals.iter().enumerate() {
            let index = index as u32;
            match ty {
                wasmparser::ValType::I32 => mix(code.global_get(index).i64_extend_i32_u()),
                wasmparser::ValType::I64 => mix(code.global_get(index)),
                wasmparser::ValType::F32 => mix(code
                    .global_get(index)
                    .i32_reinterpret_f32()
                    .i64_extend_i32_u()),
                wasmparser::ValType::F64 => mix(code.global_get(index).i64_reinterpret_f64()),
                wasmparser::ValType::V128 => {
                    mix(code.global_get(index).i64x2_extract_lane(0));
                    mix(code.global_get(index).i64x2_extract_lane(1))
                }
                wasmparser::ValType::Ref(_) => {
                    mix(code.global_get(index).ref_is_null().i64_extend_i32_u())
                }
            };
        }
        for (index, wide) in self.0.memories.iter().enumerate() {
            let index = index as u32;
            let access = wasm_encoder::MemArg {
                offset: 0,
                align: 3,
                memory_index: index,
            };
            // for (address = size in bytes; address != 0;) { address -= 8; mix(load(address)); }
            let (address, block) = (
                if *wide { ADDRESS_64 } else { ADDRESS },
                wasm_encoder::BlockType::Empty,
            );
            code.memory_size(index);
            if *wide {
                code.i64_const(16).i64_shl().local_tee(address);
            } else {
                code.i32_const(16)
                    .i32_shl()
                    .local_tee(address)
                    .i64_extend_i32_u();
            }
            mix(&mut code);
            code.block(block).loop_(block).local_get(address);
            if *wide {
                code.i64_eqz()
                    .br_if(1)
                    .local_get(address)
                    .i64_const(8)
                    .i64_sub()
                    .local_tee(address);
            } else {
                code.i32_eqz()
                    .br_if(1)
                    .local_get(address)
                    .i32_const(8)
                    .i32_sub()
                    .local_tee(address);
            }
            mix(code.i64_load(access));
            code.br(0).end().end();
        }
        for (index, wide) in self.0.tables.iter().enumerate() {
            code.table_size(index as u32);
            if !wide {
                code.i64_extend_i32_u();
            }
            mix(&mut code);
        }
        code.local_get(HASH).end();
        function
    }
}

impl Reencode for Observers {
    type Error = std::convert::Infallible;

    /// A wait gets a time-out of zero in place of its own: there is only one thread, which nobody would wake.
    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: wasmparser::FunctionBody<'_>,
    ) -> Result<(), Error<Self::Error>> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let operator = reader.read()?;
            if let wasmparser::Operator::MemoryAtomicWait32 { .. }
            | wasmparser::Operator::MemoryAtomicWait64 { .. } = operator
            {
                function.instructions().drop().i64_const(0);
            }
            function.instruction(&self.instruction(operator)?);
        }
        code.function(&function);
        Ok(())
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([], [ValType::I64]);
        for observed in std::mem::take(&mut self.0.observed) {
            let reported: Vec<_> = observed.results.iter().map(Self::reported).collect();
            let mut results = self.encoded(&reported)?;
            results.push(ValType::I64);
            types.ty().function([], results);
            self.0.observed.push(observed);
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        utils::parse_function_section(self, functions, section)?;
        for number in 0..=self.0.observed.len() as u32 {
            functions.function(self.0.types + number);
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        utils::parse_export_section(self, exports, section)?;
        for number in 0..self.0.observed.len() as u32 {
            exports.export(
                &format!("weft run {number}"),
                ExportKind::Func,
                self.0.functions + 1 + number,
            );
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        utils::parse_code_section(self, code, section)?;
        let hash = self.0.functions;
        code.function(&self.hash());
        for observed in std::mem::take(&mut self.0.observed) {
            code.function(&self.observer(&observed, hash)?);
        }
        Ok(())
    }
}
