"""Programs with strands as users of the program meet them: the C programs of guests/strands, strands that trap, overflow their stacks, spin or are never
joined, and modules that are not what they should be."""
import json
import pathlib
import re
import time
import unittest

from support import ROOT, SUITE, WeftTest

PREEMPT = "--preempt-strands"
SOURCES = ROOT / "guests/strands"

SPAWN = '(import "weft_strand" "spawn" (func $spawn (param i32 i32 i32) (result i64)))'
JOIN = '(import "weft_strand" "join" (func $join (param i64) (result i64)))'
YIELD = '(import "weft_strand" "yield" (func $yield))'
PARK = '(import "weft_strand" "park" (func $park))'
MEMORY = '(memory (export "memory") 1)'
START = '(func (export "_start"))'
STRAND = '(table funcref (elem $strand)) (func $strand (param i32) (result i32) (i32.const 0))'
STACK = '(global $__stack_pointer (mut i32) (i32.const 65536))'
# Makes a strand, lets it run, and joins it.
RUNS_ONE = '(func (export "_start") (drop (call $join (call $spawn (i32.const 0) (i32.const 0) (i32.const 1)))))'


class StrandsTest(WeftTest):
    def guest(self, name, folder="strands"):
        path = SUITE.parent / folder / f"{name}.wasm"
        if not path.exists():
            self.skipTest(f"{path} was not built (no toolchain for guests on this machine)")
        return str(path)

    def text(self, text):
        (self.dir / "app.wat").write_text(f"(module {text})")
        return "app.wat"

    def good(self, out, *args, **more):
        answer = self.weft(*args, **more)
        self.assertEqual((answer.status, answer.out, answer.err), (0, out, ""), answer)

    def both(self):
        """Flags, without preemption and with it."""
        for flags in ([], [PREEMPT]):
            with self.subTest(flags=flags):
                yield flags

    def tearDown(self):
        self.assert_works()


class StrandPrograms(StrandsTest):
    """The C programs. Most of them check themselves."""

    def test_spawn_and_join(self):
        for flags in self.both():
            self.good("joined\n", *flags, self.guest("spawn_join"))

    def test_shared_regions(self):
        for flags in self.both():
            self.good("shared\n", *flags, self.guest("region"))

    def test_park_and_unpark(self):
        for flags in self.both():
            self.good("unparked\n", *flags, self.guest("park"), *["preempted" for _ in flags])

    def test_one_that_waits_for_a_channel_or_an_event_lets_others_run(self):
        for flags in self.both():
            self.good("ok\n", *flags, self.guest("strands_wait", "together"))

    def test_sleepers_wake_in_order(self):
        for flags in self.both():
            self.good("in order\n", *flags, self.guest("sleep_order"))

    def test_priorities(self):
        # Preempted strands run in another order.
        self.good((SOURCES / "priorities.expected").read_text(), self.guest("priorities"))

    def test_many_sleep_as_long_as_the_longest(self):
        for flags in self.both():
            self.good("slept\n", *flags, self.guest("naps"))

    def lines_of_all(self, answer):
        self.assertEqual((answer.status, answer.err), (0, ""), answer)
        rest = "a line that is long enough to be cut in two somewhere if two wrote at once"
        wanted = {f"strand {strand}, round {number}, {rest}" for strand in range(200) for number in range(60)}
        lines = answer.out.splitlines()
        self.assertEqual(len(lines), len(wanted))
        self.assertEqual(set(lines), wanted)

    def test_the_library_is_not_preempted(self):
        """200 strands in malloc, free and printf, interrupted wherever it is allowed: the heap stays whole, and so does each line."""
        for flags in self.both():
            self.lines_of_all(self.weft("--max-output", "64MiB", *flags, self.guest("heap_and_output")))

    def test_lines_are_whole_when_output_is_held_back(self):
        """printf waits for the reader, in one strand after the other."""
        self.lines_of_all(self.weft("--max-output", "4KiB", PREEMPT, self.guest("heap_and_output")))

    def test_lines_are_whole_when_output_is_held_back_without_preemption(self):
        """The library's functions are kept to one strand then, too: another one would write into the buffer that the one that waits is about to empty."""
        self.lines_of_all(self.weft("--max-output", "4KiB", self.guest("heap_and_output")))

    def test_files(self):
        for flags in self.both():
            data = self.dir / f"data{len(flags)}"
            data.mkdir()
            self.good("written and read\n", *flags, "--dir", f"{data}::/data", self.guest("files"), "/data")
            lines = (data / "common").read_text().splitlines()
            self.assertEqual(sorted(lines), sorted(f"line {i} of strand {n}" for n in range(50) for i in range(40)))

    def test_a_strand_waits_for_input_while_another_works(self):
        for flags in self.both():
            process = self.start(*flags, self.guest("stdin_and_work"), stdin=-1)
            # All of this comes while nobody has typed anything.
            out = self.read_until(process.stdout, b"the work is done".decode())
            self.assertEqual(out, "".join(f"step {i}\n" for i in range(1, 6)) + "the work is done\n")
            process.stdin.write(b"12345")
            process.stdin.close()
            self.assertEqual(process.stdout.read(), b"read 5 bytes\n")
            self.assertEqual(process.wait(), 0)

    def test_input_comes_while_others_keep_running(self):
        """Those that run never wait, and nothing else wants the worker."""
        reads = (SPAWN + JOIN + YIELD + '(import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))' + MEMORY + """
          (table funcref (elem $reads $yields))
          (global $done (mut i32) (i32.const 0))
          (func $reads (param i32) (result i32)
            (i32.store (i32.const 0) (i32.const 64))
            (i32.store (i32.const 4) (i32.const 1))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (global.set $done (i32.const 1))
            (i32.load8_u (i32.const 64)))
          (func $yields (param i32) (result i32) (loop $again (call $yield) (br_if $again (i32.eqz (global.get $done)))) (i32.const 0))
          (func (export "_start") (local $i i32) (local $reader i64)
            (local.set $reader (call $spawn (i32.const 0) (i32.const 0) (i32.const 1)))
            (loop $again
              (drop (call $spawn (i32.const 1) (i32.const 0) (i32.const 1)))
              (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const NUMBER))))
            (if (i64.ne (call $join (local.get $reader)) (i64.const 120)) (then (unreachable))))""")
        for number in ("1", "5"):
            for flags in self.both():
                process = self.start(*flags, self.text(reads.replace("NUMBER", number)), stdin=-1)
                self.tasks_until(process, lambda tasks: any(task["state"] == "running" for task in tasks))
                process.stdin.write(b"x")
                process.stdin.close()
                self.assertEqual(self.finish_without_input(process), 0)

    def finish_without_input(self, process):
        process.stdin = None
        return self.finish(process).status

    def test_exit_in_a_strand(self):
        for flags in self.both():
            answer = self.weft(*flags, self.guest("exit_in_strand"))
            self.assertEqual((answer.status, answer.out, answer.err), (42, (SOURCES / "exit_in_strand.expected").read_text(), ""), answer)

    def test_a_trap_in_a_strand(self):
        for flags in self.both():
            answer = self.weft(*flags, self.guest("trap_in_strand"))
            # In the third that there is, after the main one.
            self.assert_first_line(answer, "trap_in_strand.wasm: trapped: unreachable, in strand 3 (made in main at ", "trap_in_strand.c:")
            self.assertEqual(answer.status, 134, answer)
            self.assertEqual(answer.out, "about to trap\n")
            self.assertRegex(answer.err, r"(?s)0: crash_here at \S+trap_in_strand\.c.*1: on_the_way at.*2: crashes at")
            # What is added to the program is nobody's business.
            self.assertNotRegex(answer.err, r"weft_|enter|serve")

    def test_a_strand_overflows_its_stack(self):
        """Its neighbours look at their own stacks all the time, and would end the program with another message."""
        for flags in self.both():
            answer = self.weft(*flags, self.guest("overflow"))
            self.assert_begins(answer, 134, "overflow.wasm: ", "the stack of a strand overflowed", "65536 bytes")
            self.assertEqual(answer.out, "about to overflow\n")
            self.assertRegex(answer.err, r"0: too_deep at \S+overflow\.c")

    def test_the_main_strand_overflows_its_stack(self):
        """That is the program's own, which lies below everything else."""
        for flags in self.both():
            self.assert_begins(self.weft(*flags, self.guest("overflow"), "main"), 134, "overflow.wasm: trapped", "out of bounds memory access")

    def test_a_strand_that_spins(self):
        self.good("ready\nthe others finished\n", PREEMPT, self.guest("spins"))
        # Otherwise it starves the others of its program, but no limit of it.
        for flags in (["--timeout", "300ms"], ["--cpu-time", "300ms"]):
            answer = self.weft(*flags, self.guest("spins"))
            self.assert_begins(answer, 124, "spins.wasm: ", "time limit 300ms")
            # On a machine with much else to do the time may be over before it has begun.
            self.assertIn(answer.out, ("ready\n", "") if "--timeout" in flags else ("ready\n",))

    def test_other_programs_run_beside_one_that_spins(self):
        began = time.monotonic()
        answer = self.weft("-q", "--workers", "1", "--copies", "3", "--timeout", "1s", self.guest("spins"))
        # Each copy was run, and all of them at once.
        self.assertEqual((answer.status, answer.out), (1, "ready\n" * 3), answer)
        self.assertLess(time.monotonic() - began, 60)

    def test_stripped_programs(self):
        """Without its names, what may not be preempted is not known."""
        stripped = self.dir / "stripped.wasm"
        stripped.write_bytes(without_names(pathlib.Path(self.guest("park")).read_bytes()))
        self.good("unparked\n", "stripped.wasm")
        self.assert_says(self.weft(PREEMPT, "stripped.wasm"), 65, "stripped.wasm: ", "cannot be preempted", "names")
        # Nor malloc, if that is not exported either.
        stripped.write_bytes(stripped.read_bytes().replace(b"\x06malloc\x00", b"\x06melloc\x00"))
        self.assert_says(self.weft("stripped.wasm"), 65, "stripped.wasm: ", "malloc", "export it")

    def test_compiled_and_cached(self):
        for flags in self.both():
            answer = self.weft("compile", "-q", *flags, "-o", "app.cwasm", self.guest("park"))
            self.assertEqual(answer.status, 0, answer)
            self.good("unparked\n", *flags, "--allow-precompiled", "app.cwasm", *["preempted" for _ in flags])
            for _ in range(2):
                self.good("unparked\n", *flags, self.guest("park"), *["preempted" for _ in flags])


def without_names(wasm):
    """A module without its custom sections."""
    def number(at):
        value = shift = 0
        while True:
            value |= (wasm[at] & 127) << shift
            shift += 7
            at += 1
            if wasm[at - 1] < 128:
                return value, at
    out, at = wasm[:8], 8
    while at < len(wasm):
        size, body = number(at + 1)
        if wasm[at] != 0:
            out += wasm[at:body + size]
        at = body + size
    return out


class StrandInput(StrandsTest):
    """Modules that are not what they should be, and what they may call at the wrong time."""

    def refused(self, text, *parts):
        answer = self.weft(self.text(text))
        self.assert_begins(answer, 65, "app.wat: ", *parts)

    def test_ids_of_nobody(self):
        """Join of oneself, of the finished, of the never-born; unpark before park; all in a guest without __stack_pointer."""
        for flags in self.both():
            self.good("", *flags, self.wat("strands_bad_ids"))

    def test_a_strand_that_never_yields(self):
        self.good("said\n", PREEMPT, self.wat("strands_spin"))
        answer = self.weft("--timeout", "300ms", self.wat("strands_spin"))
        self.assert_begins(answer, 124, "wall time limit 300ms")
        self.assertEqual(answer.out, "")

    def test_very_many_one_after_the_other(self):
        """2^22 of them. 2^31 would take some minutes more, and show nothing new: an id has the number of its record, and above that how often the
        record has been used, which is what makes an id old. Here one record is used 2^22 times. That this number begins anew after 2^31 is in the
        scheduler's own tests."""
        for flags in self.both():
            self.good("", *flags, self.wat("strands_many"))

    def test_more_than_there_may_be(self):
        # They are never joined, and each counts. How many there may be depends on the machine.
        self.good("", self.text(SPAWN + MEMORY + STRAND + """(func (export "_start") (local $i i32) (local $id i64)
          (loop $again
            (local.set $id (call $spawn (i32.const 0) (i32.const 0) (i32.const 1)))
            (if (i64.gt_s (local.get $id) (i64.const 0))
              (then (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $again))))
          (if (i64.ne (local.get $id) (i64.const -6)) (then (unreachable)))
          (if (i32.lt_u (local.get $i) (i32.const 10000)) (then (unreachable))))"""))

    def test_functions_that_are_none(self):
        for table, says in (("(table 1 funcref)", "uninitialized element"), ("(table 0 funcref)", "undefined element"),
                            ("(table funcref (elem $f)) (func $f)", "indirect call type mismatch")):
            with self.subTest(table=table):
                self.assert_begins(self.weft(self.text(SPAWN + JOIN + MEMORY + table + RUNS_ONE)), 134, "app.wat: trapped", says)
        # Without a table there is nothing to begin with: ENOSYS.
        self.good("", self.text(SPAWN + MEMORY + """(func (export "_start")
          (if (i64.ne (call $spawn (i32.const 0) (i32.const 0) (i32.const 1)) (i64.const -52)) (then (unreachable))))"""))

    def test_without_a_stack_pointer(self):
        """Or with one that is none: then strands have no stacks in the memory."""
        for pointer in ("", "(global $__stack_pointer i32 (i32.const 65536))", "(global $__stack_pointer (mut f64) (f64.const 0))"):
            for flags in self.both():
                self.good("", *flags, self.text(SPAWN + JOIN + MEMORY + STRAND + pointer + RUNS_ONE))

    def test_stacks_without_malloc(self):
        for malloc in ("", '(func (export "malloc") (param i64) (result i32) (i32.const 0))', '(func (export "malloc"))',
                       '(global (export "malloc") i32 (i32.const 5))'):
            with self.subTest(malloc=malloc):
                self.refused(SPAWN + JOIN + MEMORY + STRAND + STACK + malloc + RUNS_ONE, "stacks of their own", "malloc")

    def malloc(self, body):
        text = (SPAWN + JOIN + YIELD + PARK + MEMORY + STRAND + STACK + '(global $calls (mut i32) (i32.const 0))'
                + f'(func $malloc (export "malloc") (param i32) (result i32) {body})' + RUNS_ONE)
        return self.weft("--timeout", "2s", self.text(text))

    def test_malloc_that_has_nothing(self):
        self.assert_begins(self.malloc("(i32.const 0)"), 134, "app.wat: ", "no memory for a strand's stack")
        # At once, or when the strand first runs.
        once = "(global.set $calls (i32.add (global.get $calls) (i32.const 1))) (i32.mul (i32.const 1024) (i32.eq (global.get $calls) (i32.const 1)))"
        self.assert_begins(self.malloc(once), 134, "app.wat: ", "no memory for a strand's stack")

    def test_malloc_that_does_something_else(self):
        """Where no other strand can run."""
        for body in ("(call $park)", "(call $yield)", "(drop (call $spawn (i32.const 0) (i32.const 0) (i32.const 1)))",
                     "(drop (call $join (call $spawn (i32.const 0) (i32.const 0) (i32.const 1))))"):
            with self.subTest(body=body):
                answer = self.malloc(body + "(i32.const 0x4000)")
                self.assertEqual((answer.status, answer.err), (0, ""), answer)
        self.assert_begins(self.malloc("(unreachable)"), 134, "app.wat: trapped", "unreachable")
        self.assert_begins(self.malloc("(loop $again (br $again)) (unreachable)"), 124, "app.wat: ", "wall time limit 2s")

    def test_malloc_that_lies(self):
        """A stack outside of the memory harms nobody but its program."""
        text = (SPAWN + JOIN + MEMORY + STACK + """(table funcref (elem $strand))
          (func $leaf (param i32))
          (func $strand (param i32) (result i32) (local i32)
            (global.set $__stack_pointer (local.tee 1 (i32.sub (global.get $__stack_pointer) (i32.const 16))))
            (i32.store (local.get 1) (i32.const 1))
            (call $leaf (i32.const 0))
            (i32.const 0))
          (func (export "malloc") (param i32) (result i32) (i32.const ADDRESS))""" + RUNS_ONE)
        for address in ("-16", "0x7fff0000", "0x10000"):
            with self.subTest(address=address):
                self.assert_begins(self.weft(self.text(text.replace("ADDRESS", address))), 134, "app.wat: trapped")

    # --- Imports

    def test_imports_of_other_types(self):
        for what in ('"spawn" (func (param i32 i32) (result i64))', '"spawn" (func (param i32 i32 i32) (result i32))', '"yield" (func (param i32))',
                     '"join" (func (param i32) (result i64))', '"self" (func)', '"yield" (global i32)', '"yield" (memory 1)', '"yield" (table 1 funcref)'):
            with self.subTest(what=what):
                self.refused(f'(import "weft_strand" {what})' + START, "weft_strand", "another type")

    def test_imports_by_unknown_names(self):
        for name in ("fork", "Spawn", "run", "again", "preempt", "pending"):
            with self.subTest(name=name):
                self.refused(f'(import "weft_strand" "{name}" (func))' + MEMORY + START, f"weft_strand.{name}")
                info = self.inspected(f'(import "weft_strand" "{name}" (func))' + MEMORY + START)
                self.assertFalse(info["runnable"])

    def test_imports_that_are_not_for_guests(self):
        for module, names in (("weft_fiber", ("again", "preempt", "spawn_at", "overflow", "tick", "ended")), ("weft_host", ("tick", "now", "finished", "fail"))):
            for name in names:
                for beside in ("", SPAWN):
                    with self.subTest(module=module, name=name, beside=beside):
                        self.refused(f'(import "{module}" "{name}" (func (param i32) (result i32)))' + beside + MEMORY + START, module)

    def test_exports_that_are_not_for_guests(self):
        for name in ("weft:run", "weft:begin", "weft:enter", "weft:set_stack", "weft:allocate"):
            with self.subTest(name=name):
                self.refused(SPAWN + f'(func (export "{name}"))' + START, "such names are not for guests")

    def test_strands_and_threads(self):
        for memory in ('(import "env" "memory" (memory 1 2 shared))', '(memory (export "memory") 1 2 shared)'):
            with self.subTest(memory=memory):
                self.refused(SPAWN + memory + START, "both strands and threads")

    def test_fuel(self):
        answer = self.weft("--fuel", "1000000", self.text(SPAWN + JOIN + MEMORY + STRAND + RUNS_ONE))
        self.assertNotEqual(answer.status, 0)
        self.assert_first_line(answer, "fuel", "strands", "--cpu-time")

    def test_a_deadlock(self):
        waits = {"parks": "(call $park)", "joins": "(drop (call $join (call $spawn (i32.const 0) (i32.const 0) (i32.const 1))))"}
        for strands, (name, body) in zip(("its only strand waits", "all its 2 strands wait"), waits.items()):
            for flags in self.both():
                text = (SPAWN + JOIN + PARK + MEMORY + "(table funcref (elem $strand)) (func $strand (param i32) (result i32) (call $park) (i32.const 0))"
                        + f'(func (export "_start") {body})')
                self.assert_says(self.weft("--timeout", "20s", *flags, self.text(text)), 126, "app.wat: ", strands, "nothing is left")

    # --- Other entries

    def test_start_functions_and_reactors(self):
        self.good("5\n", "--invoke", "f", self.text(SPAWN + JOIN + YIELD + MEMORY + STRAND + """(global $ready (mut i32) (i32.const 0))
          (func $start (call $yield) (global.set $ready (i32.const 3))) (start $start)
          (func (export "_initialize") (call $yield) (global.set $ready (i32.add (global.get $ready) (i32.const 2))))
          (func (export "f") (result i32)
            (drop (call $join (call $spawn (i32.const 0) (i32.const 0) (i32.const 1))))
            (global.get $ready))"""))

    # --- inspect

    def inspected(self, text):
        answer = self.weft("inspect", "--json", self.text(text))
        self.assertEqual(answer.status, 0, answer)
        return json.loads(answer.out)

    def test_inspect(self):
        info = self.inspected(SPAWN + MEMORY + START)
        self.assertTrue(info["runnable"])
        self.assertEqual(info["imports"][0]["provided_by"], "weft strands")
        strands = info["strands"]
        self.assertEqual([strands[key] for key in ("used", "possible", "preemptible", "continuations")], [True] * 4)
        self.assertEqual([strands[f"{key}obstacle"] for key in ("", "preemption_", "continuations_")], [None] * 3)
        self.assertRegex(self.weft("inspect", "app.wat").out, r"\nstrands +used\n")

        info = self.inspected(MEMORY + START)
        self.assertEqual([info["strands"][key] for key in ("used", "possible", "continuations")], [False, True, True])
        self.assertRegex(self.weft("inspect", "app.wat").out, r"\nstrands +not used, but possible\n")

    def test_inspect_of_what_cannot_run(self):
        for text, parts in ((SPAWN + MEMORY + STACK + START, "malloc"), (SPAWN + '(memory (export "memory") 1 2 shared)' + START, "shared memory"),
                            (SPAWN + '(func (export "weft:run"))' + MEMORY + START, "not for guests")):
            with self.subTest(text=text):
                info = self.inspected(text)
                self.assertFalse(info["runnable"], info)
                self.assertFalse(info["strands"]["possible"], info)
                self.assertIn(parts, info["strands"]["obstacle"])
                self.assertIn(info["strands"]["obstacle"], info["obstacles"])
                self.assertIn("used, but not possible", self.weft("inspect", "app.wat").out)
        # What has no strands runs all the same.
        info = self.inspected('(memory (export "memory") 1 2 shared)' + START)
        self.assertTrue(info["runnable"], info)
        self.assertEqual((info["strands"]["possible"], info["strands"]["continuations"]), (False, True), info)
        self.assertIsNone(self.inspected_component()["strands"])

    def inspected_component(self):
        (self.dir / "app.wat").write_text("(component)")
        answer = self.weft("inspect", "--json", "app.wat")
        self.assertEqual(answer.status, 0, answer)
        return json.loads(answer.out)


if __name__ == "__main__":
    unittest.main()
