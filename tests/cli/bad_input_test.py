"""Bad input of every kind: each gets one clear line and a defined exit status, and harms nothing else."""
import os
import pathlib
import pty
import resource
import select
import shutil
import subprocess
import unittest

from support import HANGS_S, WEFT, WeftTest


class BadFile(WeftTest):
    """The program's file is not what it should be."""

    def write(self, name, content):
        path = self.dir / name
        path.write_bytes(content)
        return path

    def tearDown(self):
        self.assert_works()

    def test_not_wasm(self):
        self.assert_begins(self.weft(self.write("text.wasm", b"this is no program\n" * 10)), 65, "text.wasm: ")
        self.assert_begins(self.weft(self.write("zeros.wasm", bytes(100))), 65, "zeros.wasm: ")
        self.assert_begins(self.weft(self.write("random.wasm", bytes(range(128, 256)))), 65, "random.wasm: ")

    def test_a_file_without_end(self):
        for path in ("/dev/zero", "/dev/urandom"):
            self.assert_begins(self.weft(path), 65, f"{path}: ")

    def test_empty_file(self):
        self.assert_begins(self.weft(self.write("empty.wasm", b"")), 65, "empty.wasm: ")

    def test_truncated(self):
        whole = pathlib.Path(self.suite("hello")).read_bytes()
        for length in (4, 8, 9, 100, len(whole) // 2, len(whole) - 1):
            with self.subTest(length=length):
                answer = self.weft(self.write("cut.wasm", whole[:length]))
                # Eight bytes are a whole module, an empty one.
                self.assert_begins(answer, 65, "cut.wasm: ", "no entry point" if length == 8 else "")

    def test_feature_that_is_missing(self):
        self.assert_begins(self.weft(self.wat("stack_switching")), 65, "stack_switching.wat: ", "stack-switching")

    def test_import_that_nobody_provides(self):
        self.assert_begins(self.weft(self.wat("unknown_import")), 65, "unknown_import.wat: ", "env.magic", "host function")

    def test_missing_file(self):
        self.assert_says(self.weft("missing.wasm"), 66, "missing.wasm: ", "no such file")
        self.assert_says(self.weft("inspect", "missing.wasm"), 66, "missing.wasm: ")
        self.assert_says(self.weft("compile", "missing.wasm"), 66, "missing.wasm: ")

    def test_directory(self):
        self.assert_says(self.weft(self.dir), 66, "is a directory")
        self.assert_says(self.weft("inspect", self.dir), 66, "is a directory")
        self.assert_says(self.weft("compile", self.dir), 66, "is a directory")

    def test_no_permission(self):
        path = self.write("secret.wat", pathlib.Path(self.wat("hello")).read_bytes())
        path.chmod(0)

        def leave_root():
            # The superuser may read everything: go on as nobody.
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)

        os.chmod(self.dir, 0o755)
        try:
            answer = self.weft(path, cwd="/", preexec=leave_root)
        except PermissionError:
            self.skipTest("the user nobody may not run weft where it is built")
        self.assert_says(answer, 66, "secret.wat: ", "ermission")

    def test_no_entry_point(self):
        self.assert_begins(self.weft(self.wat("no_entry")), 65, "no_entry.wat: ", "no entry point", "--invoke")

    def test_entry_point_that_does_not_exist(self):
        self.assert_begins(self.weft("--invoke", "multiply", self.wat("no_entry"), "1", "2"), 65, "no_entry.wat: ", "multiply")

    def test_arguments_that_do_not_fit_the_entry_point(self):
        for words in (["1"], ["1", "2", "3"], ["1", "two"], ["1", "99999999999999"]):
            with self.subTest(words=words):
                answer = self.weft("--invoke", "add", self.wat("no_entry"), *words)
                self.assert_begins(answer, 2, "no_entry.wat: ")

    def test_precompiled_without_permission(self):
        self.assertEqual(self.weft("compile", "-q", "-o", "hello.cwasm", self.wat("hello")).status, 0)
        self.assert_says(self.weft("hello.cwasm"), 2, "hello.cwasm: ", "--allow-precompiled")
        self.assert_begins(self.weft("inspect", "hello.cwasm"), 65, "hello.cwasm: is precompiled")
        self.assert_begins(self.weft("compile", "hello.cwasm"), 2, "hello.cwasm: is precompiled")
        answer = self.weft("--allow-precompiled", "hello.cwasm")
        self.assertEqual((answer.status, answer.out), (0, "hello\n"), answer)

    def test_precompiled_and_damaged(self):
        self.assertEqual(self.weft("compile", "-q", "-o", "hello.cwasm", self.wat("hello")).status, 0)
        whole = (self.dir / "hello.cwasm").read_bytes()
        for name, content in (("header", b"\x7fELF" + bytes(60)), ("cut", whole[: len(whole) // 2]), ("text", b"hello")):
            with self.subTest(name=name):
                answer = self.weft("--allow-precompiled", self.write("bad.cwasm", content))
                self.assert_begins(answer, 65, "bad.cwasm: ")

    def test_precompiled_for_other_settings(self):
        self.assertEqual(self.weft("compile", "-q", "-o", "hello.cwasm", self.wat("hello")).status, 0)
        self.assert_begins(self.weft("--allow-precompiled", "--fuel", "1000", "hello.cwasm"), 65, "hello.cwasm: ")
        self.assertEqual(self.weft("compile", "-q", "--count-fuel", "-o", "f.cwasm", self.wat("hello")).status, 0)
        self.assertEqual(self.weft("--allow-precompiled", "--fuel", "100000", "f.cwasm").out, "hello\n")

    def test_directory_for_the_guest_that_does_not_exist(self):
        self.assert_begins(self.weft("--dir", "nowhere::/data", self.wat("hello")), 66, "nowhere")


class BadRequest(WeftTest):
    """What is asked for makes no sense, or is more than the machine has."""

    def test_unknown_flag(self):
        self.assert_says(self.weft("--coppies", "3", "app.wasm"), 2, "unknown flag --coppies", "--copies")

    def test_unknown_command(self):
        self.assert_says(self.weft("inspct"), 2, "inspct", "weft inspect")

    def test_limit_of_zero(self):
        for flag in ("--max-memory", "--timeout", "--cpu-time", "--max-stack", "--max-output", "--fuel", "--max-instances",
                     "--max-table-elements"):
            with self.subTest(flag=flag):
                self.assert_says(self.weft(flag, "0", self.wat("hello")), 2, f"{flag} 0: ")

    def test_limit_larger_than_the_machine(self):
        answer = self.weft("--max-memory", "1000TiB", self.wat("hello"))
        self.assert_says(answer, 0, "warning: --max-memory 1000 TiB", "more than this machine has")
        self.assertEqual(answer.out, "hello\n")
        self.assert_says(self.weft("--max-stack", "1TiB", self.wat("hello")), 2, "--max-stack 1TiB: must be between")
        self.assert_says(self.weft("--workers", "5000", self.wat("hello")), 2, "--workers 5000: must be at most 1024")
        self.assert_says(self.weft("--max-memory", "99999999TiB", self.wat("hello")), 2, "--max-memory 99999999TiB: ")

    def test_zero_copies(self):
        self.assert_says(self.weft("--copies", "0", self.wat("hello")), 2, "--copies 0: must be at least 1")

    def test_a_million_copies(self):
        with open("/proc/sys/vm/max_map_count") as setting:
            if int(setting.read()) > 3_000_000:
                self.skipTest("vm.max_map_count of this machine allows a million processes")
        answer = self.weft("--copies", "1000000", self.wat("hello"))
        self.assert_says(answer, 71, "1000000 processes", "vm.max_map_count", "--at-once")
        self.assertEqual(answer.out, "", "something was started")
        self.assert_works()

    def test_many_copies_few_at_once(self):
        answer = self.weft("--json", "--copies", "20000", "--at-once", "50", self.wat("exit_code"))
        self.assertEqual((answer.status, answer.summary["succeeded"]), (0, 20000), answer)

    def test_bad_configuration(self):
        path = self.dir / "weft.toml"
        for text, status, part in (("tiemout = '3s'\n", 2, f"{path}:1:1: unknown key 'tiemout'; did you mean timeout?"),
                                   ("copies = 0\n", 2, f"{path}:1:10: copies = 0"), ("copies = \n", 2, f"{path}:1:")):
            with self.subTest(text=text):
                path.write_text(text)
                self.assert_says(self.weft("--config", path, self.wat("hello")), status, part)
        self.assert_says(self.weft("--config", "missing.toml", self.wat("hello")), 66, "missing.toml: no such file")

    def test_output_file_that_cannot_be_written(self):
        answer = self.weft("--trace", "nowhere/trace.json", self.wat("hello"))
        self.assert_begins(answer, 73, "nowhere/trace.json")
        self.assert_says(self.weft("compile", "-o", "nowhere/out.cwasm", self.wat("hello")), 73, "nowhere/out.cwasm: cannot be written")

    def test_completions_for_an_unknown_shell(self):
        self.assert_says(self.weft("completions", "powershell"), 2, "powershell", "bash, zsh and fish")


class BadGuest(WeftTest):
    """The program misbehaves. Its neighbours, and weft, do not notice."""

    def test_allocates_without_end(self):
        answer = self.weft("--max-memory", "64MiB", self.suite("allocate"))
        self.assert_begins(answer, 125, "allocate.wasm: memory limit 64 MiB reached", "asked for", "--max-memory")
        self.assert_begins(self.weft("--max-memory", "1MiB", self.wat("grow")), 125, "grow.wat: memory limit 1 MiB reached")

    def test_starts_with_more_memory_than_it_may_have(self):
        self.assert_begins(self.weft("--max-memory", "1KiB", self.wat("hello")), 125, "memory limit 1 KiB reached", "64 KiB")

    def test_starts_with_a_larger_table_than_it_may_have(self):
        answer = self.weft("--max-table-elements", "10", self.wat("big_tables"))
        self.assert_begins(answer, 125, "table elements limit 10 reached", "1000", "--max-table-elements")

    def test_recurses_without_end(self):
        for stack in ("64KiB", "8MiB"):
            with self.subTest(stack=stack):
                answer = self.weft("--max-stack", stack, self.wat("recurse"))
                self.assert_begins(answer, 125, "recurse.wat: stack limit ", "--max-stack")
                self.assertLess(len(answer.err.splitlines()), 50, "the stack is not folded")

    def test_loops_without_end(self):
        self.assert_begins(self.weft("--timeout", "50ms", self.wat("ready_then_loop")), 124, "wall time limit 50ms", "--timeout")
        self.assert_begins(self.weft("--cpu-time", "50ms", self.wat("ready_then_loop")), 124, "cpu time limit 50ms", "--cpu-time")
        self.assert_begins(self.weft("--fuel", "100000", self.wat("ready_then_loop")), 125, "fuel limit 100000", "--fuel")

    def test_sleeps_without_end(self):
        self.assert_begins(self.weft("--timeout", "50ms", self.wat("ready_then_sleep")), 124, "wall time limit 50ms")

    def test_exits_in_its_start_function(self):
        answer = self.weft(self.wat("exit_in_start"))
        self.assertEqual((answer.status, answer.out, answer.err), (7, "", ""), answer)

    def test_traps_in_its_start_function(self):
        answer = self.weft(self.wat("trap_in_start"))
        self.assert_begins(answer, 134, "trap_in_start.wat: trapped: ", "divide by zero")
        self.assertIn("begin", answer.err)

    def test_traps_deep(self):
        answer = self.weft(self.suite("trap_deep"), "20")
        self.assert_begins(answer, 134, "trap_deep.wasm: trapped: ")
        self.assertIn("descend", answer.err)
        self.assertIn("outer_frame", answer.err)

    def test_exit_status_that_does_not_fit(self):
        answer = self.weft(self.wat("exit_huge"))
        self.assertEqual((answer.status, answer.err), (255, ""), answer)

    def test_bad_copies_beside_good_ones(self):
        # The same program, two ends: what one copy does is told apart from what the others do.
        answer = self.weft("--copies", "50", "--cpu-time", "20ms", "--json", self.wat("ready_then_loop"))
        self.assertEqual(answer.status, 1, answer)
        self.assertEqual(answer.summary["failed"], 50)
        self.assertEqual(sum(group["count"] for group in answer.summary["failures"]), 50)
        self.assertEqual({group["kind"] for group in answer.summary["failures"]}, {"limit-reached"})


class Output(WeftTest):
    """Where guests write to, and what becomes of it."""

    def test_writes_gigabytes_that_nobody_reads(self):
        weft = self.start("--max-output", "1MiB", self.wat("write_for_ever"))
        # The guest is held back: its task parks because its output is full.
        self.tasks_until(weft, lambda tasks: any(t["state"] == "parked" and "fd_write" in t["reason"] for t in tasks))
        with open(f"/proc/{weft.pid}/status") as status:
            used_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        # A sanitizer keeps what was freed, and its own books.
        self.assertLess(used_kib, (2000 if os.environ.get("WEFT_SANITIZE") else 400) * 1024)
        # It goes on as soon as somebody reads.
        self.assertEqual(len(weft.stdout.read(50_000_000)), 50_000_000)

    def test_writes_to_a_closed_pipe_and_looks(self):
        weft = self.start(self.wat("write_until_error"))
        weft.stdout.readline()
        weft.stdout.close()
        weft.stdout = None
        answer = self.finish(weft)
        self.assertEqual(answer.status, 64, answer)  # WASI's number for a broken pipe
        self.assertEqual(answer.err, "")

    def test_writes_to_a_closed_pipe_and_does_not_look(self):
        weft = self.start("--grace", "100ms", self.wat("write_for_ever"))
        weft.stdout.readline()
        weft.stdout.close()
        weft.stdout = None
        answer = self.finish(weft)
        self.assertEqual((answer.status, answer.err), (141, ""), answer)

    def test_traps_because_the_pipe_is_closed(self):
        # Rust's println! panics when nobody reads.
        weft = self.start(self.suite("sleep"), "1", "1000000", stderr=subprocess.PIPE)
        weft.stdout.readline()
        weft.stdout.close()
        weft.stdout = None
        answer = self.finish(weft)
        self.assertEqual(answer.status, 141, answer)
        self.assertNotIn("weft:", answer.err)

    def test_copies_that_write_to_a_closed_pipe(self):
        weft = self.start("--copies", "20", self.wat("write_for_ever"))
        weft.stdout.readline()
        weft.stdout.close()
        weft.stdout = None
        self.assertEqual(self.finish(weft).status, 141)

    def test_weft_itself_writes_to_a_closed_pipe(self):
        for words in (["--help"], ["completions", "bash"], ["inspect", self.wat("hello")]):
            with self.subTest(words=words):
                read, write = os.pipe()
                os.close(read)
                done = subprocess.run([WEFT, *words], stdout=write, stderr=subprocess.PIPE, env=self.env, timeout=HANGS_S)
                os.close(write)
                self.assertEqual((done.returncode, done.stderr), (141, b""))

    def test_standard_streams_that_are_closed(self):
        def close_all():
            for fd in (0, 1, 2):
                os.close(fd)

        done = subprocess.run([WEFT, self.wat("exit_code"), "a"], preexec_fn=close_all, env=self.env, timeout=HANGS_S)
        self.assertEqual(done.returncode, 1)

    def test_a_full_disk_behind_standard_output(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full on this machine")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([WEFT, self.wat("write_until_error")], stdout=full, stderr=subprocess.PIPE, env=self.env,
                                  timeout=HANGS_S)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stderr, b"")

    def test_reads_from_a_terminal(self):
        ours, theirs = pty.openpty()
        weft = subprocess.Popen([WEFT, self.suite("echo")], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.env, cwd=self.dir)
        os.close(theirs)
        self.addCleanup(os.close, ours)
        os.write(ours, b"typed by hand\n")
        self.assertEqual(weft.stdout.readline(), b"typed by hand\n")
        os.write(ours, b"\x04")  # Ctrl-D: end of input
        answer = self.finish(weft)
        self.assertEqual((answer.status, answer.out, answer.err), (0, "", "echo: 14 bytes\n"), answer)

    def test_a_single_guest_owns_its_terminal(self):
        # No progress line, no summary: what comes out of the terminal is the guest's, byte for byte.
        ours, theirs = pty.openpty()
        weft = subprocess.Popen([WEFT, self.wat("hello")], stdin=theirs, stdout=theirs, stderr=theirs, env=self.env, cwd=self.dir)
        os.close(theirs)
        self.addCleanup(os.close, ours)
        said = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # how a terminal says that all its users are gone
                break
            if not piece:
                break
            said += piece
        self.assertEqual(weft.wait(HANGS_S), 0)
        self.assertEqual(said, b"hello\r\n")


class Cache(WeftTest):
    """The cache of compiled code can fail in any way without anybody noticing but by speed."""

    def entries(self):
        return sorted(p for p in self.cache.rglob("*") if p.is_file())

    def run_hello(self, *flags, **more):
        answer = self.weft(*flags, self.wat("hello"), **more)
        self.assertEqual((answer.status, answer.out), (0, "hello\n"), answer)
        return answer

    def test_is_written_and_used(self):
        self.run_hello()
        self.assertTrue(self.entries(), "nothing was kept")

    def test_can_be_left_out(self):
        self.run_hello("--no-cache")
        self.assertEqual(self.entries(), [])

    def test_corrupted(self):
        self.run_hello()
        for path in self.entries():
            whole = path.read_bytes()
            for damage in (b"", whole[: len(whole) // 2], whole[:-1], bytes(len(whole)), whole[:40] + b"\xff" * 8 + whole[48:],
                           whole[:-40] + b"\xff" * 8 + whole[-32:], b"not what it was"):
                with self.subTest(path=path.name, size=len(damage)):
                    path.write_bytes(damage)
                    self.assertEqual(self.run_hello().err, "")

    def test_every_byte_counts(self):
        # Flipped bits anywhere, header or code: found, and compiled anew. A wrong result would show as a wrong output or a crash.
        self.run_hello()
        path = self.entries()[0]
        whole = bytearray(path.read_bytes())
        for at in range(0, len(whole), max(1, len(whole) // 20)):
            damaged = bytearray(whole)
            damaged[at] ^= 0x10
            path.write_bytes(damaged)
            self.run_hello()

    def test_of_another_version(self):
        self.run_hello()
        for path in self.entries():
            whole = path.read_bytes()
            changed = whole.replace(b"48.0.8", b"47.9.9")
            path.write_bytes(changed)
        self.run_hello()

    def test_disk_full(self):
        # A bound on the size of files stands in for the full disk: writing fails in the middle of an entry. The program has no
        # memory, because the engine keeps the first state of memories in files that live in memory only.
        path = self.dir / "large.wat"
        functions = "".join(f"(func (export \"f{i}\") (result i32) (i32.const {i}))" for i in range(2000))
        path.write_text(f'(module {functions} (func (export "_start")))')

        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

        self.assertEqual(repr(self.weft(path, preexec=small_files)), repr(self.weft("--no-cache", path)))
        self.assertFalse([p for p in self.entries() if p.stat().st_size > 10_000])
        # What is left of the attempt does no harm, and the next one succeeds.
        answer = self.weft(path)
        self.assertEqual((answer.status, answer.err), (0, ""), answer)
        self.assertTrue([p for p in self.entries() if p.stat().st_size > 10_000], "the entry is smaller than the bound")

    def test_disk_full_for_real(self):
        if os.geteuid() != 0 or shutil.which("mount") is None:
            self.skipTest("only root may mount a small file system")
        self.cache.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "weft-test", str(self.cache)], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("mounting is not allowed here: " + mounted.stderr.decode())
        try:
            self.run_hello()
            self.run_hello()
        finally:
            subprocess.run(["umount", str(self.cache)], check=True)

    def test_directory_that_cannot_be_made(self):
        (self.dir / "file").write_text("in the way")
        answer = self.run_hello("--cache-dir", self.dir / "file" / "cache")
        self.assert_says(answer, 0, "warning: ", "cache")

    def test_two_wefts_share_it(self):
        # All start with nothing, compile the same and write the same entries at once.
        wefts = [self.start(self.wat("hello")) for _ in range(8)]
        for weft in wefts:
            answer = self.finish(weft)
            self.assertEqual((answer.status, answer.out, answer.err), (0, "hello\n", ""), answer)
        self.assertEqual(self.run_hello().err, "")
        self.assertFalse([p for p in self.entries() if "tmp" in p.name or "part" in p.name], "unfinished files were left")

    def test_compile_with_a_full_disk(self):
        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

        answer = self.weft("compile", "-o", "out.cwasm", self.wat("hello"), preexec=small_files)
        self.assert_says(answer, 73, "out.cwasm: cannot be written")
        self.assertEqual(list(self.dir.glob("out.cwasm*")), [], "something was left behind")


if __name__ == "__main__":
    unittest.main()
