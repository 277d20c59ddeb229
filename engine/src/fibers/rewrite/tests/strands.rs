//! Shows what is added for strands: values that each has its own of, the end of its stack, where it is made, and when it may not be preempted.

use super::*;
use wasmtime::{Caller, Config, Engine, Instance, Linker, Store};

const COOPERATIVE: Kind = Kind::Strands { preemptive: false };
const PREEMPTIVE: Kind = Kind::Strands { preemptive: true };

const GUEST: &str = r#"(module
    (type $entry (func (param i32) (result i32)))
    (type $spawn (func (param i32 i32 i32) (result i64)))
    (import "weft_strand" "spawn" (func $spawn (type $spawn)))
    (import "weft_strand" "yield" (func $yield))
    (import "env" "wait" (func $wait (param i32) (result i32)))
    (memory 1)
    (table 3 funcref)
    (elem (i32.const 0) func $spawn $strand)
    (global $__stack_pointer (export "stack") (mut i32) (i32.const 5000))
    (global $__tls_base (export "tls") (mut i32) (i32.const 100))
    (global $allocated (mut i32) (i32.const 7000))
    (func $__wasm_init_tls (param i32) (global.set $__tls_base (local.get 0)))
    (func $malloc (export "malloc") (param i32) (result i32)
        (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (global.get $allocated))
    (func $strand (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "wait") (drop (call $wait (i32.const 1))))
    (func (export "yield") (call $yield))
    (func (export "spin") (param i32)
        (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
    (func (export "spawn")
        (drop (call $spawn (i32.const 1) (i32.const 2) (i32.const 3)))
        (drop (call $spawn (i32.const 4) (i32.const 5) (i32.const 6)))
        (drop (call_indirect (type $spawn) (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 0))))
    (func (export "push") (param i32)
        (global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (local.get 0))))
)"#;

#[derive(Default)]
struct Host {
    argument: i32,
    /// How often `again` answers 1.
    again: u32,
    waits: u32,
    spawned: Vec<[i32; 4]>,
    masks: Vec<i32>,
    overflows: u32,
}

struct Strand {
    store: Store<Host>,
    instance: Instance,
    side: Side,
}

/// As if another strand had run meanwhile.
fn clobber(caller: &mut Caller<'_, Host>) {
    let set_stack = caller.get_export("weft:set_stack").unwrap().into_func().unwrap();
    set_stack.typed::<(i32, i32, i32), ()>(&caller).unwrap().call(caller, (1, 2, 3)).unwrap();
}

impl Strand {
    fn new(text: &str, kind: Kind) -> Strand {
        let rewritten = rewrite_text(text, kind);
        let engine = Engine::new(&Config::new()).unwrap();
        let module = wasmtime::Module::new(&engine, &rewritten.wasm).unwrap();
        let mut linker = Linker::new(&engine);
        let again = |mut caller: Caller<'_, Host>, mask: i32| {
            caller.data_mut().masks.push(mask);
            clobber(&mut caller);
            let left = caller.data().again;
            caller.data_mut().again = left.saturating_sub(1);
            i32::from(left > 0)
        };
        linker.func_wrap(IMPORT_MODULE, "again", again).unwrap();
        let preempt = |mut caller: Caller<'_, Host>, mask: i32| {
            caller.data_mut().masks.push(mask);
            clobber(&mut caller);
        };
        linker.func_wrap(IMPORT_MODULE, "preempt", preempt).unwrap();
        let spawn = |mut caller: Caller<'_, Host>, a: i32, b: i32, c: i32, site: i32| {
            caller.data_mut().spawned.push([a, b, c, site]);
            clobber(&mut caller);
            0i64
        };
        linker.func_wrap(IMPORT_MODULE, "spawn_at", spawn).unwrap();
        linker
            .func_wrap(IMPORT_MODULE, "overflow", |mut caller: Caller<'_, Host>| caller.data_mut().overflows += 1)
            .unwrap();
        linker
            .func_wrap(IMPORT_MODULE, "argument_i32", |caller: Caller<'_, Host>, _: i32| caller.data().argument)
            .unwrap();
        linker.func_wrap(IMPORT_MODULE, "ended", || {}).unwrap();
        linker.func_wrap(IMPORT_MODULE, "result_i32", |_: i32, _: i32| {}).unwrap();
        linker
            .func_wrap(STRAND_MODULE, "spawn", |_: i32, _: i32, _: i32| -> i64 { panic!("not by the guest") })
            .unwrap();
        linker.func_wrap(STRAND_MODULE, "yield", |mut caller: Caller<'_, Host>| clobber(&mut caller)).unwrap();
        let wait = |mut caller: Caller<'_, Host>, value: i32| {
            caller.data_mut().waits += 1;
            value
        };
        linker.func_wrap("env", "wait", wait).unwrap();
        let mut store = Store::new(&engine, Host::default());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        Strand { store, instance, side: rewritten.side }
    }

    fn begin(&mut self, name: &str, argument: i32) -> wasmtime::Result<()> {
        self.store.data_mut().argument = argument;
        let begin = self.instance.get_typed_func::<i32, ()>(&mut self.store, "weft:begin")?;
        begin.call(&mut self.store, self.side.entry(name).unwrap() as i32)
    }

    fn set_stack(&mut self, top: i32, limit: i32, tls: i32) {
        let set_stack = self.instance.get_typed_func::<(i32, i32, i32), ()>(&mut self.store, "weft:set_stack").unwrap();
        set_stack.call(&mut self.store, (top, limit, tls)).unwrap();
    }

    fn global(&mut self, name: &str) -> i32 {
        self.instance.get_global(&mut self.store, name).unwrap().get(&mut self.store).unwrap_i32()
    }
}

#[test]
fn keeps_its_stack_and_variables_over_everything_that_others_run_in() {
    for kind in [COOPERATIVE, PREEMPTIVE] {
        for (name, argument) in [("wait", 0), ("yield", 0), ("spawn", 0), ("spin", 100_000)] {
            let mut strand = Strand::new(GUEST, kind);
            strand.store.data_mut().again = 2;
            strand.set_stack(3000, 2000, 50);
            strand.begin(name, argument).unwrap();
            assert_eq!((strand.global("stack"), strand.global("tls")), (3000, 50), "{name}");
            if name == "wait" {
                assert_eq!(strand.store.data().waits, 3);
            }
            // The limit too: it would be 2 otherwise.
            assert!(strand.begin("push", 1001).is_err());
        }
    }
}

#[test]
fn stops_at_the_end_of_its_stack() {
    let mut strand = Strand::new(GUEST, COOPERATIVE);
    strand.set_stack(3000, 2000, 0);
    assert_eq!(strand.global("tls"), 100);
    strand.begin("push", 1000).unwrap();
    assert_eq!((strand.global("stack"), strand.store.data().overflows), (2000, 0));
    assert!(strand.begin("push", 1).is_err());
    assert_eq!(strand.store.data().overflows, 1);
}

#[test]
fn tells_where_a_strand_is_made() {
    let mut strand = Strand::new(GUEST, PREEMPTIVE);
    strand.begin("spawn", 0).unwrap();
    assert_eq!(strand.store.data().spawned, [[1, 2, 3, 0], [4, 5, 6, 1], [7, 8, 9, -1]]);
    let wasm = wat::parse_str(GUEST).unwrap();
    let body = bodies(&wasm).swap_remove(6);
    let calls = body.iter().filter(|(_, operator)| matches!(operator, Operator::Call { .. }));
    let calls: Vec<u32> = calls.map(|(at, _)| *at as u32).collect();
    assert_eq!(calls.len(), 2);
    assert_eq!(strand.side.spawn_sites, calls);
}

#[test]
fn is_masked_in_functions_that_must_not_be_preempted() {
    let mut strand = Strand::new(GUEST, PREEMPTIVE);
    strand.begin("malloc", 100_000).unwrap();
    let masks = std::mem::take(&mut strand.store.data_mut().masks);
    assert!(!masks.is_empty() && masks.iter().all(|mask| *mask == 1));
    strand.begin("spin", 100_000).unwrap();
    let masks = std::mem::take(&mut strand.store.data_mut().masks);
    assert!(!masks.is_empty() && masks.iter().all(|mask| *mask == 0));

    // One that waits in there must not lose its turn either, where no strand is preempted.
    let mut strand = Strand::new(GUEST, COOPERATIVE);
    strand.begin("malloc", 100_000).unwrap();
    assert!(strand.store.data().masks.iter().all(|mask| *mask == 1));
}

#[test]
fn the_scheduler_can_enter_and_allocate() {
    let mut strand = Strand::new(GUEST, PREEMPTIVE);
    let enter = strand.instance.get_typed_func::<(i32, i32), i32>(&mut strand.store, "weft:enter").unwrap();
    assert_eq!(enter.call(&mut strand.store, (1, 41)).unwrap(), 42);
    assert!(enter.call(&mut strand.store, (2, 41)).is_err());
    let allocate = strand.instance.get_typed_func::<i32, i32>(&mut strand.store, "weft:allocate").unwrap();
    assert_eq!(allocate.call(&mut strand.store, 9).unwrap(), 7000);

    let rewritten = rewrite_text("(module)", PREEMPTIVE);
    let engine = Engine::new(&Config::new()).unwrap();
    let module = wasmtime::Module::new(&engine, &rewritten.wasm).unwrap();
    let exports: Vec<_> = module.exports().map(|export| export.name().to_string()).collect();
    assert_eq!(exports, ["weft:begin", "weft:set_stack"]);
}
