"""Guests with threads as users of the program meet them: modules that are not what they should be, threads that trap, deadlock or never stop being started, and
what compiling, caching and inspecting make of such modules."""
import json
import pathlib
import re
import unittest

from support import ROOT, WeftTest

MEMORY = '(import "env" "memory" (memory 1 4 shared))'
SPAWN = '(import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))'
START = '(func (export "_start"))'
ENTRY = '(func (export "wasi_thread_start") (param i32 i32))'

# Each thread waits for what the other would have to do.
CROSSWISE = f"""(module {MEMORY} {SPAWN}
  (func $waits_here (param i32) (drop (memory.atomic.wait32 (local.get 0) (i32.const 0) (i64.const -1))))
  (func $begin (export "_start") (drop (call $spawn (i32.const 0))) (call $waits_here (i32.const 128)))
  (func $thread (export "wasi_thread_start") (param i32 i32) (call $waits_here (i32.const 192))))"""

TRAPS = f"""(module {MEMORY} {SPAWN}
  (func $crash_here (unreachable))
  (func $on_the_way (param i32) (drop (memory.atomic.notify (i32.const 64) (i32.const 1))) (call $crash_here))
  (func (export "_start") (drop (call $spawn (i32.const 0)))
    (loop $again (drop (memory.atomic.wait32 (i32.const 128) (i32.const 0) (i64.const -1))) (br $again)))
  (func $thread (export "wasi_thread_start") (param i32 i32) (call $on_the_way (local.get 0))))"""


class ThreadsCli(WeftTest):
    def wat_of(self, text, name="app.wat"):
        path = self.dir / name
        path.write_text(text)
        return name

    def tearDown(self):
        self.assert_works()

    def refused(self, text, *parts):
        self.assert_begins(self.weft(self.wat_of(f"(module {text})")), 65, "app.wat: ", *parts)
        answer = self.weft("inspect", "--json", "app.wat")
        self.assertEqual(answer.status, 0, answer)
        self.assertFalse(json.loads(answer.out)["runnable"], "inspect says that it can run")

    def good(self, *args):
        answer = self.weft(*args)
        self.assertEqual((answer.status, answer.out, answer.err), (0, "", ""), answer)

    # --- What a module needs for threads

    def test_no_beginning_for_threads(self):
        self.refused(MEMORY + SPAWN + START, "does not export wasi_thread_start")

    def test_a_beginning_of_another_type(self):
        for entry in ('(func (export "wasi_thread_start") (param i32))', '(func (export "wasi_thread_start") (param i32 i64))',
                      '(func (export "wasi_thread_start") (param i32 i32) (result i32) (i32.const 0))',
                      '(global (export "wasi_thread_start") i32 (i32.const 0))'):
            with self.subTest(entry=entry):
                self.refused(MEMORY + SPAWN + START + entry, "wasi_thread_start", "two 32-bit integers")

    def test_a_beginning_that_nobody_needs(self):
        self.good(self.wat_of(f'(module {MEMORY} {START} (func (export "wasi_thread_start") (param i64)))'))

    def test_spawn_without_shared_memory(self):
        self.refused(SPAWN + '(memory (export "memory") 1)' + START + ENTRY, "wasi.thread-spawn", "--shared-memory")

    def test_spawn_of_another_type(self):
        self.assert_begins(self.weft(self.wat_of(
            f'(module {MEMORY} (import "wasi" "thread-spawn" (func (param i64) (result i32))) {START} {ENTRY})')), 65, "thread-spawn")

    def test_spawn_by_another_name(self):
        self.refused('(import "wasi" "thread_spawn" (func (param i32) (result i32)))' + MEMORY + START + ENTRY, "it is called thread-spawn")

    def test_memory_that_is_not_shared(self):
        # As the module says two things: imports come first.
        self.refused('(import "env" "memory" (memory 1 4))' + SPAWN + START + ENTRY, "env.memory", "shared")
        self.refused('(import "env" "memory" (memory 1))' + START, "env.memory", "shared")

    def test_memory_by_another_name(self):
        self.refused('(import "env" "mem" (memory 1 4 shared))' + START, "env.mem")

    def test_shared_memory_without_maximum(self):
        self.assert_begins(self.weft(self.wat_of(f'(module (import "env" "memory" (memory 1 shared)) {START})')), 65, "maximum")

    def test_memory_that_is_too_large(self):
        large = self.wat_of(f'(module (import "env" "memory" (memory 1000 2000 shared)) {START})')
        self.assert_begins(self.weft("--max-memory", "1MiB", large), 125, "memory limit 1 MiB reached (asked for 62.5 MiB)", "--max-memory")
        self.good("--max-memory", "63MiB", large)
        wide = self.wat_of(f'(module (import "env" "memory" (memory i64 100000 1000000 shared)) {START})')
        self.assert_begins(self.weft(wide), 125, "memory limit", "6.1 GiB")

    def test_memory_that_could_be_larger_than_any(self):
        # A maximum is only a permission.
        self.good(self.wat_of(f'(module (import "env" "memory" (memory i64 1 0x1000000000000 shared)) {START})'))
        self.good(self.wat_of(f'(module (import "env" "memory" (memory 65536 65536 shared)) {START})'))

    def test_memory_imported_twice(self):
        again = '(import "env" "memory" (memory $again 1 4 shared))'
        self.good(self.wat_of(f"""(module {MEMORY} {again} (func (export "_start")
          (i32.store (i32.const 8) (i32.const 5))
          (drop (memory.grow $again (i32.const 1)))
          (if (i32.ne (i32.load $again (i32.const 8)) (i32.const 5)) (then (unreachable)))
          (if (i32.ne (memory.size) (i32.const 2)) (then (unreachable)))))"""))
        self.assert_begins(self.weft(self.wat_of(f"(module {MEMORY} {again.replace('4', '5')} {START})")), 65, "env::memory")

    def test_reserved_imports(self):
        wait = '(import "weft_threads" "wait32" (func (param i32 i32 i64 i64 i32) (result i32)))'
        for text in (wait + MEMORY + START, wait + "(memory 1)" + START, '(import "weft_threads" "memory0" (memory 1 1 shared))' + START):
            with self.subTest(text=text):
                self.assert_begins(self.weft(self.wat_of(f"(module {text})")), 65, "app.wat: ", "weft_threads")

    # --- What threads do

    def test_a_wait_outside_of_memory(self):
        answer = self.weft(self.wat_of("""(module (memory 1 1 shared)
          (func $wild (drop (memory.atomic.wait32 (i32.const 0x7ffffff0) (i32.const 0) (i64.const -1)))) (func (export "_start") (call $wild)))"""))
        self.assert_begins(answer, 134, "app.wat: trapped: out of bounds memory access")
        self.assertIn("wild", answer.err)

    def test_a_trap_in_a_thread(self):
        answer = self.weft(self.wat_of(TRAPS))
        self.assert_begins(answer, 134, "app.wat: trapped in thread 1: unreachable")
        self.assertRegex(answer.err, r"(?s)0: crash_here.*1: on_the_way.*2: ")

    def test_a_deadlock(self):
        path = self.wat_of(CROSSWISE)
        answer = self.weft(path)
        self.assert_begins(answer, 126, "app.wat: deadlock: all its 2 threads wait")
        self.assertRegex(answer.err, r"(?s)the first thread waits for \S+ on address 0x80, where there is 0x0\n +0: waits_here.*"
                                     r"thread 1 waits for \S+ on address 0xc0, where there is 0x0\n +0: waits_here")
        self.assertEqual(self.weft("--on-deadlock=report", path).status, 126)
        self.assert_says(self.weft("--on-deadlock=kill", path), 126, "app.wat: deadlock: all its 2 threads wait")
        self.assert_begins(self.weft("--on-deadlock=ignore", "--timeout=200ms", path), 124, "app.wat: ", "wall time limit 200ms")
        self.assert_says(self.weft("--on-deadlock=perhaps", path), 2, "--on-deadlock perhaps")

    def test_a_deadlock_in_json(self):
        answer = self.weft("--json", self.wat_of(CROSSWISE))
        self.assertEqual(answer.status, 126, answer)
        self.assertEqual(answer.summary["failures"][0]["kind"], "deadlocked", answer)

    def test_copies_that_deadlock(self):
        answer = self.weft("--copies", "20", self.wat_of(CROSSWISE))
        self.assertEqual(answer.status, 1, answer)
        self.assertIn("deadlock", answer.err)

    def test_a_storm_of_threads(self):
        # Each thread starts others, for ever.
        storm = self.wat_of(f"""(module {MEMORY} {SPAWN}
          (func $more (loop $again (drop (call $spawn (i32.const 0))) (br $again)))
          (func (export "_start") (call $more)) (func (export "wasi_thread_start") (param i32 i32) (call $more)))""")
        for flags in (["--max-threads=200", "--timeout=300ms"], ["--cpu-time=300ms"], ["--max-threads=1", "--timeout=100ms"]):
            with self.subTest(flags=flags):
                self.assert_begins(self.weft(*flags, storm), 124, "app.wat: ")

    def test_limits_of_threads(self):
        two = self.wat_of(f"""(module {MEMORY} {SPAWN}
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (func (export "_start")
            (if (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0)) (then (call $exit (i32.const 10))))
            (if (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0)) (then (call $exit (i32.const 11)))))
          (func (export "wasi_thread_start") (param i32 i32) (loop $again (br $again))))""")
        self.assertEqual([self.weft("--max-threads", count, two).status for count in (1, 2, 3)], [10, 11, 0])
        self.assert_says(self.weft("--max-threads", "0", two), 2, "--max-threads 0: must be at least 1")
        self.assertEqual(self.weft("--max-threads", "2", "--copies", "5", two).status, 1)
        self.assertEqual(self.weft("--max-threads", "3", "--copies", "5", two).status, 0)

    def test_exit_in_a_thread(self):
        text = f"""(module {MEMORY} {SPAWN} (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (func (export "_start") (drop (call $spawn (i32.const 0))) (loop $again (br $again)))
          (func (export "wasi_thread_start") (param i32 i32) (call $exit (i32.const 42))))"""
        answer = self.weft(self.wat_of(text))
        self.assertEqual((answer.status, answer.out, answer.err), (42, "", ""), answer)

    # --- Compiled, cached, inspected

    def test_inspect(self):
        answer = self.weft("inspect", "--json", self.wat_of(CROSSWISE))
        self.assertEqual(answer.status, 0, answer)
        info = json.loads(answer.out)
        self.assertTrue(info["runnable"], answer)
        self.assertIn("threads", info["features"])
        self.assertNotIn("weft_threads", answer.out, "what is added is nobody's business")
        text = self.weft("inspect", "app.wat").out
        for part in ("shared, imported", "provided by wasi threads", "shared memory", "Weft can run it: yes"):
            self.assertIn(part, text)

    def backtrace_of(self, answer, name):
        """The frames without the file's name, which tells them apart."""
        self.assertEqual(answer.status, 134, answer)
        return re.findall(r"^ +\d+: .*$", answer.err.replace(name, "FILE"), re.MULTILINE)

    def test_precompiled(self):
        self.assertEqual(self.weft("compile", "-q", "-o", "app.cwasm", self.wat_of(TRAPS)).status, 0)
        fresh = self.backtrace_of(self.weft("--no-cache", "app.wat"), "app.wat")
        self.assertEqual(len(fresh), 3)
        self.assertIn("crash_here (FILE+0x", fresh[0])
        self.assertEqual(self.backtrace_of(self.weft("--allow-precompiled", "app.cwasm"), "app.cwasm"), fresh)
        self.assertEqual(self.weft("compile", "-q", "-o", "dead.cwasm", self.wat_of(CROSSWISE, "dead.wat")).status, 0)
        self.assert_begins(self.weft("--allow-precompiled", "dead.cwasm"), 126, "all its 2 threads wait")

    def test_precompiled_and_damaged(self):
        self.assertEqual(self.weft("compile", "-q", "-o", "app.cwasm", self.wat_of(TRAPS)).status, 0)
        whole = (self.dir / "app.cwasm").read_bytes()
        for length in (10, 100, len(whole) // 2, len(whole) - 1):
            with self.subTest(length=length):
                (self.dir / "cut.cwasm").write_bytes(whole[:length])
                self.assert_begins(self.weft("--allow-precompiled", "cut.cwasm"), 65, "cut.cwasm: ")

    def test_cached(self):
        path = self.wat_of(TRAPS)
        first = self.backtrace_of(self.weft(path), path)
        self.assertTrue([p for p in self.cache.rglob("*") if p.is_file()], "nothing was kept")
        self.assertEqual(self.backtrace_of(self.weft(path), path), first)
        self.assertEqual(self.backtrace_of(self.weft("--no-cache", path), path), first)

    def test_cached_entries_that_are_damaged(self):
        path = self.wat_of(TRAPS)
        first = self.backtrace_of(self.weft(path), path)
        for entry in [p for p in self.cache.rglob("*") if p.is_file()]:
            whole = entry.read_bytes()
            for damaged in (b"", whole[: len(whole) // 2], bytes(len(whole)), whole[:-1] + bytes([whole[-1] ^ 1])):
                entry.write_bytes(damaged)
                self.assertEqual(self.backtrace_of(self.weft(path), path), first)

    def test_the_place_of_a_trap_is_that_of_the_file(self):
        # By hand, so that offsets are known: a wait before the trap grows when it is rewritten.
        wasm = bytes.fromhex("0061736d01000000" "010401600000" "02100103656e76066d656d6f727902030104"
                             "03020100" "070a01065f737461727400" "00" "0a10010e00" "41004101427f" "fe010200" "1a" "00" "0b")
        (self.dir / "app.wasm").write_bytes(wasm)
        answer = self.weft("app.wasm")
        self.assertEqual(answer.status, 134, answer)
        self.assertIn(f"app.wasm+0x{len(wasm) - 2:x}", answer.err)

    def test_programs_of_a_compiler(self):
        """That tests/guests/threads.py runs them says that they work; this, that they end as they should."""
        guests = ROOT / "build/guests/threads"
        for name, status, words in (("deadlock_mutex", 126, "a mutex"), ("deadlock_errorcheck", 126, "a mutex that"),
                                    ("trap_in_thread", 134, "trapped in thread"), ("exit_in_thread", 7, "")):
            path = guests / f"{name}.wasm"
            if not path.exists():
                self.skipTest(f"{path} was not built")
            with self.subTest(name=name):
                answer = self.weft(path)
                self.assertEqual(answer.status, status, answer)
                self.assertIn(words, answer.err)


if __name__ == "__main__":
    unittest.main()
