//! Turns scripts of WebAssembly's test language (`.wast`) into modules and what is to be expected of them.
//!
//!     weft-wast DIRECTORY SCRIPT…
//!
//! A process of Weft does one call, while the assertions of a script are calls of one instance, one after the other. So each assertion becomes a function of its own, `weft run N`, which
//! makes all calls that come before it in the script (but for those that trap, which change nothing here) and then its own. DIRECTORY/expected.txt gets one line an assertion, in the
//! format of the differential fuzzer:
//!
//!     MODULE <tab> FUNCTION <tab> returned <tab> i32:7 i64:…       payloads in hexadecimal
//!     MODULE <tab> FUNCTION <tab> trapped <tab> unaligned atomic
//!     MODULE <tab> - <tab> invalid                                 the module must be refused
//!
//! What a script has that is not known here is an error: nothing is left out silently. Calls of other modules, threads and floats are not known.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, FunctionSection, TypeSection, ValType,
};
use wast::core::{WastArgCore, WastRetCore};
use wast::{Wast, WastArg, WastDirective, WastExecute, WastInvoke, WastRet};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, scripts @ ..] = arguments.as_slice() else {
        eprintln!("usage: weft-wast DIRECTORY SCRIPT…");
        return ExitCode::FAILURE;
    };
    match run(Path::new(directory), scripts) {
        Ok((modules, assertions)) => {
            println!("weft-wast: {assertions} assertions about {modules} modules");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("weft-wast: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path, scripts: &[String]) -> Result<(usize, usize), String> {
    std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    let mut out = Output {
        directory,
        expected: String::new(),
        modules: 0,
        assertions: 0,
    };
    for script in scripts {
        let text = std::fs::read_to_string(script).map_err(|error| format!("{script}: {error}"))?;
        let name = Path::new(script)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        translate(&name, &text, &mut out).map_err(|error| format!("{script}: {error}"))?;
    }
    std::fs::write(directory.join("expected.txt"), &out.expected)
        .map_err(|error| error.to_string())?;
    Ok((out.modules, out.assertions))
}

struct Output<'d> {
    directory: &'d Path,
    expected: String,
    modules: usize,
    assertions: usize,
}

impl Output<'_> {
    fn module(&mut self, script: &str, wasm: &[u8]) -> Result<String, String> {
        let name = format!("{script}-{}.wasm", self.modules);
        self.modules += 1;
        std::fs::write(self.directory.join(&name), wasm).map_err(|error| error.to_string())?;
        Ok(name)
    }

    fn line(&mut self, module: &str, function: &str, outcome: &str) {
        self.assertions += 1;
        let _ = writeln!(self.expected, "{module}\t{function}\t{outcome}");
    }

    /// A module with the assertions about it.
    fn flush(&mut self, script: &str, subject: Option<Subject>) -> Result<(), String> {
        let Some(subject) = subject.filter(|subject| !subject.functions.is_empty()) else {
            return Ok(());
        };
        let outcomes: Vec<String> = subject
            .functions
            .iter()
            .map(|function| function.outcome.clone())
            .collect();
        let wasm = subject.with_functions()?;
        let module = self.module(script, &wasm)?;
        for (number, outcome) in outcomes.iter().enumerate() {
            self.line(&module, &format!("weft run {number}"), outcome);
        }
        Ok(())
    }
}

fn translate(script: &str, text: &str, out: &mut Output<'_>) -> Result<(), String> {
    let buffer = wast::parser::ParseBuffer::new(text).map_err(|error| error.to_string())?;
    let wast: Wast<'_> = wast::parser::parse(&buffer).map_err(|error| error.to_string())?;
    let mut subject: Option<Subject> = None;
    for directive in wast.directives {
        match directive {
            WastDirective::Module(mut module) => {
                let wasm = module.encode().map_err(|error| error.to_string())?;
                out.flush(script, subject.replace(Subject::new(wasm)?))?;
            }
            WastDirective::AssertInvalid { mut module, .. } => {
                let wasm = module.encode().map_err(|error| error.to_string())?;
                let module = out.module(script, &wasm)?;
                out.line(&module, "-", "invalid");
            }
            WastDirective::Invoke(invoke) => {
                let subject = subject.as_mut().ok_or("a call without a module")?;
                let call = subject.call(&invoke)?;
                subject.before.push(call);
            }
            WastDirective::AssertReturn {
                exec: WastExecute::Invoke(invoke),
                results,
                ..
            } => {
                let results: Vec<String> = results.iter().map(show).collect::<Result<_, _>>()?;
                let subject = subject.as_mut().ok_or("a call without a module")?;
                let call = subject.call(&invoke)?;
                subject.assert(call.clone(), format!("returned\t{}", results.join(" ")));
                subject.before.push(call);
            }
            WastDirective::AssertTrap {
                exec: WastExecute::Invoke(invoke),
                message,
                ..
            } => {
                // The script's words for it are not Wasmtime's.
                let message = match message {
                    "expected shared memory" => "atomic wait on non-shared memory",
                    message => message,
                };
                let subject = subject.as_mut().ok_or("a call without a module")?;
                let call = subject.call(&invoke)?;
                subject.assert(call, format!("trapped\t{message}"));
            }
            other => {
                let (line, _) = other.span().linecol_in(text);
                return Err(format!(
                    "line {}: a directive that is not known here",
                    line + 1
                ));
            }
        }
    }
    out.flush(script, subject)
}

fn show(result: &WastRet<'_>) -> Result<String, String> {
    match result {
        WastRet::Core(WastRetCore::I32(value)) => Ok(format!("i32:{value:08x}")),
        WastRet::Core(WastRetCore::I64(value)) => Ok(format!("i64:{value:016x}")),
        other => Err(format!("a result that is not known here: {other:?}")),
    }
}

/// A call of a function with constants.
#[derive(Clone)]
struct Call {
    function: u32,
    arguments: Vec<Constant>,
}

#[derive(Clone, Copy)]
enum Constant {
    I32(i32),
    I64(i64),
}

/// A function to be added: calls, of which the last one's results are its own.
struct Asserted {
    calls: Vec<Call>,
    outcome: String,
}

/// A module, and the assertions about it.
struct Subject {
    wasm: Vec<u8>,
    types: Vec<wasmparser::FuncType>,
    /// The types of its functions.
    signatures: Vec<u32>,
    exports: Vec<(String, u32)>,
    before: Vec<Call>,
    functions: Vec<Asserted>,
}

impl Subject {
    fn new(wasm: Vec<u8>) -> Result<Subject, String> {
        let mut subject = Subject {
            wasm: Vec::new(),
            types: Vec::new(),
            signatures: Vec::new(),
            exports: Vec::new(),
            before: Vec::new(),
            functions: Vec::new(),
        };
        subject.read(&wasm).map_err(|error| error.to_string())?;
        subject.wasm = wasm;
        Ok(subject)
    }

    fn read(&mut self, wasm: &[u8]) -> wasmparser::Result<()> {
        for payload in wasmparser::Parser::new(0).parse_all(wasm) {
            match payload? {
                wasmparser::Payload::TypeSection(section) => {
                    for ty in section.into_iter_err_on_gc_types() {
                        self.types.push(ty?);
                    }
                }
                wasmparser::Payload::FunctionSection(section) => {
                    for ty in section {
                        self.signatures.push(ty?);
                    }
                }
                wasmparser::Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.kind == wasmparser::ExternalKind::Func {
                            self.exports.push((export.name.to_string(), export.index));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn call(&self, invoke: &WastInvoke<'_>) -> Result<Call, String> {
        if invoke.module.is_some() {
            return Err("a call of another module".to_string());
        }
        let found = self.exports.iter().find(|(name, _)| name == invoke.name);
        let (_, function) = found.ok_or_else(|| format!("there is no function {}", invoke.name))?;
        let constant = |argument: &WastArg<'_>| match argument {
            WastArg::Core(WastArgCore::I32(value)) => Ok(Constant::I32(*value)),
            WastArg::Core(WastArgCore::I64(value)) => Ok(Constant::I64(*value)),
            other => Err(format!("an argument that is not known here: {other:?}")),
        };
        Ok(Call {
            function: *function,
            arguments: invoke.args.iter().map(constant).collect::<Result<_, _>>()?,
        })
    }

    fn assert(&mut self, call: Call, outcome: String) {
        let mut calls = self.before.clone();
        calls.push(call);
        self.functions.push(Asserted { calls, outcome });
    }

    fn signature(&self, call: &Call) -> &wasmparser::FuncType {
        &self.types[self.signatures[call.function as usize] as usize]
    }

    /// The module with a function for each assertion, behind its own, so that no index changes.
    fn with_functions(mut self) -> Result<Vec<u8>, String> {
        let wasm = std::mem::take(&mut self.wasm);
        let mut module = wasm_encoder::Module::new();
        self.parse_core_module(&mut module, wasmparser::Parser::new(0), &wasm)
            .map_err(|error| error.to_string())?;
        Ok(module.finish())
    }

    fn results(&self, call: &Call) -> Vec<ValType> {
        let encode = |ty: &wasmparser::ValType| match ty {
            wasmparser::ValType::I32 => ValType::I32,
            wasmparser::ValType::I64 => ValType::I64,
            other => unreachable!("no results of type {other} are asserted"),
        };
        self.signature(call).results().iter().map(encode).collect()
    }
}

impl Reencode for Subject {
    type Error = std::convert::Infallible;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        utils::parse_type_section(self, types, section)?;
        for function in &self.functions {
            types.ty().function(
                [],
                function
                    .calls
                    .last()
                    .map(|call| self.results(call))
                    .unwrap_or_default(),
            );
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        utils::parse_function_section(self, functions, section)?;
        for number in 0..self.functions.len() {
            functions.function((self.types.len() + number) as u32);
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        utils::parse_export_section(self, exports, section)?;
        for number in 0..self.functions.len() {
            let index = (self.signatures.len() + number) as u32;
            exports.export(&format!("weft run {number}"), ExportKind::Func, index);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        utils::parse_code_section(self, code, section)?;
        for asserted in &self.functions {
            let mut function = Function::new([]);
            let mut body = function.instructions();
            for (number, call) in asserted.calls.iter().enumerate() {
                for argument in &call.arguments {
                    match argument {
                        Constant::I32(value) => body.i32_const(*value),
                        Constant::I64(value) => body.i64_const(*value),
                    };
                }
                body.call(call.function);
                if number + 1 < asserted.calls.len() {
                    for _ in self.signature(call).results() {
                        body.drop();
                    }
                }
            }
            body.end();
            code.function(&function);
        }
        Ok(())
    }
}
