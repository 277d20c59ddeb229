"""What weft does for those who use it: arguments and files, copies, signals, dumps, traces, statistics, configuration."""
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import unittest

from support import HANGS_S, WEFT, WeftTest


class Guest(WeftTest):
    """What a guest gets."""

    def test_arguments_and_own_name(self):
        answer = self.weft(self.suite("environment"), "-x", "two words", "--help")
        self.assertEqual(answer.out.splitlines()[1:], ["arg 1=-x", "arg 2=two words", "arg 3=--help"], answer)
        answer = self.weft("--argv0", "other", self.suite("environment"))
        self.assertEqual(answer.out, "arg 0=other\n")

    def test_environment(self):
        outer = {"OUTER": "outer", "SECOND": "second"}
        # Nothing is handed on that was not asked for.
        self.assertNotIn("env ", self.weft(self.suite("environment"), env=outer).out)
        answer = self.weft("--env", "A=1=2", "--env", "OUTER", "--env", "NOT_THERE", "--env", "E=", self.suite("environment"), env=outer)
        self.assertEqual(answer.out.splitlines()[1:], ["env A=1=2", "env E=", "env OUTER=outer"], answer)
        answer = self.weft("--inherit-env", "--env", "OUTER=mine", self.suite("environment"), env=outer)
        self.assertIn("env OUTER=mine\n", answer.out)
        self.assertIn("env SECOND=second\n", answer.out)
        self.assertEqual(answer.out.count("env OUTER="), 1)

    def test_directories(self):
        data = self.dir / "data"
        data.mkdir()
        (data / "in.txt").write_text("from the host\n")
        self.assertEqual(self.weft("--dir", f"{data}::/d", self.suite("files"), "read", "/d/in.txt").out, "from the host\n")
        self.assertEqual(self.weft("--dir", f"{data}::/d", self.suite("files"), "write", "/d/out.txt", "written").status, 0)
        self.assertEqual((data / "out.txt").read_text(), "written")
        # Read only, and outside of what was given.
        self.assertEqual(self.weft("--dir-ro", f"{data}::/d", self.suite("files"), "read", "/d/in.txt").status, 0)
        self.assertEqual(self.weft("--dir-ro", f"{data}::/d", self.suite("files"), "write", "/d/no.txt", "x").status, 1)
        self.assertEqual(self.weft("--dir", f"{data}::/d", self.suite("files"), "read", "/d/../weft.toml").status, 1)
        self.assertEqual(self.weft(self.suite("files"), "read", str(data / "in.txt")).status, 1)
        self.assertFalse((data / "no.txt").exists())

    def test_exit_status_is_the_guests(self):
        for code in (0, 1, 3, 65, 124, 255):
            answer = self.weft(self.suite("exit_code"), str(code), "out", "err")
            self.assertEqual((answer.status, answer.out, answer.err), (code, "out", "err"))

    def test_standard_input(self):
        answer = self.weft(self.suite("echo"), stdin=b"line\n" * 100_000)
        self.assertEqual((answer.out, answer.err), ("line\n" * 100_000, "echo: 500000 bytes\n"))
        self.assertEqual(self.weft("--stdin", "empty", self.suite("echo"), stdin=b"not read").err, "echo: 0 bytes\n")

    def test_every_copy_can_have_the_whole_input(self):
        answer = self.weft("-q", "--copies", "5", "--stdin", "copy", self.suite("echo"), stdin=b"the input\n")
        self.assertEqual((answer.status, answer.out), (0, "the input\n" * 5))
        # Without that, copies have none.
        self.assertEqual(self.weft("-q", "--copies", "5", self.suite("echo"), stdin=b"the input\n").out, "")

    def test_invoke(self):
        answer = self.weft("--invoke", "add", self.wat("no_entry"), "2", "-3")
        self.assertEqual((answer.status, answer.out, answer.err), (0, "-1\n", ""), answer)

    def test_components_run_as_well(self):
        component = pathlib.Path(self.suite("hello")).parent.parent / "suite-p2" / "hello.wasm"
        if not component.exists():
            self.skipTest("the components were not built on this machine")
        answer = self.weft(component, "there")
        self.assertEqual((answer.status, answer.out, answer.err), (0, "hello, there\n", ""), answer)

    def test_a_compiled_program_needs_no_compiler(self):
        answer = self.weft("compile", "-o", "p.cwasm", self.suite("primes"))
        self.assertEqual(answer.status, 0, answer)
        self.assertIn("p.cwasm: ", answer.err)
        answer = self.weft("--allow-precompiled", "p.cwasm", "1000")
        self.assertEqual((answer.status, answer.out, answer.err), (0, "168\n", ""), answer)


class Copies(WeftTest):
    """Many processes of one program."""

    def test_all_of_them_run(self):
        answer = self.weft("--copies", "200", self.suite("primes"), "1000")
        self.assertEqual((answer.status, answer.out), (0, "168\n" * 200), answer)
        self.assertIn("weft: 200 copies of primes: all succeeded\n", answer.err)
        self.assertRegex(answer.err, r"time +\S+.* of CPU: [0-9.]+ of \d+ workers? busy")

    def test_quiet_is_quiet(self):
        answer = self.weft("--quiet", "--copies", "3", self.wat("hello"))
        self.assertEqual((answer.status, answer.out, answer.err), (0, "hello\n" * 3, ""))

    def test_output_is_whole_lines(self):
        answer = self.weft("--copies", "20", self.wat("lines"))
        self.assertEqual(answer.out, "the line\n" * 20_000)

    def test_prefix(self):
        answer = self.weft("-q", "--copies", "3", "--prefix", "always", "--name", "app", self.wat("hello"))
        self.assertEqual(sorted(answer.out.splitlines()), ["[app#1] hello", "[app#2] hello", "[app#3] hello"])
        self.assertNotIn("[", self.weft("--copies", "3", self.wat("hello")).out)

    def test_one_that_fails_is_told_from_the_others(self):
        answer = self.weft("--copies", "3", self.suite("exit_code"), "9")
        self.assertEqual(answer.status, 1)
        # The order in which copies end is not given.
        self.assertRegex(answer.err, r"^weft: 3 copies of exit_code: all failed\n  3 × exit status 9 \(#[123], #[123], #[123]\)\n")

    def test_progress_and_prefix_on_a_terminal(self):
        ours, theirs = pty.openpty()
        weft = subprocess.Popen([WEFT, "--copies", "4", "--grace", "10s", "--name", "app", self.wat("ready_then_sleep")], stdin=subprocess.DEVNULL,
                                stdout=theirs, stderr=theirs, env=self.env, cwd=self.dir)
        os.close(theirs)
        self.addCleanup(os.close, ours)
        said = b""

        def until(pattern):
            nonlocal said
            while not re.search(pattern, said):
                said += os.read(ours, 4096)

        until(rb"weft: 0 of 4 done, 4 running")
        until(rb"\[app#4\] ready")
        weft.send_signal(signal.SIGINT)
        until(rb"weft: Ctrl-C: asked 4 guests to end")
        weft.send_signal(signal.SIGINT)
        until(rb"weft: 4 copies of app: all failed \(stopped by Ctrl-C\)")
        self.assertEqual(weft.wait(HANGS_S), 130)
        # The status line is erased before anything else is written.
        for line in said.split(b"\n"):
            for part in line.split(b"\r\x1b[K")[1:]:
                self.assertFalse(re.search(rb"done, .*(\[app#|weft: .*copies)", part), part)

    def test_progress_without_a_terminal_is_asked_for(self):
        weft = self.start_ready("--copies", "2", "--progress", self.wat("ready_then_sleep"))
        self.read_until(weft.stderr, "weft: 0 of 2 done, 2 running")


class Loading(WeftTest):
    """While the program is read and compiled. A named pipe as the program makes that last as long as the test wants."""

    def start_on_a_pipe(self):
        pipe = self.dir / "app.wasm"
        os.mkfifo(pipe)
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        weft = subprocess.Popen([WEFT, pipe], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, env=self.env, cwd=self.dir)
        os.close(theirs)
        self.addCleanup(weft.stdout.close)
        writer = open(pipe, "wb")
        said = b""
        while "compiling" not in said.decode(errors="replace"):
            said += os.read(ours, 4096)
        return weft, writer, ours

    def rest_of(self, terminal):
        said = b""
        while True:
            try:
                said += os.read(terminal, 4096)
            except OSError:
                return said.decode(errors="replace")

    def test_says_so_when_it_takes_long(self):
        weft, writer, terminal = self.start_on_a_pipe()
        with writer:
            writer.write(pathlib.Path(self.wat("hello")).read_bytes())
        self.assertEqual(weft.stdout.read(), b"hello\n")
        self.assertEqual(weft.wait(HANGS_S), 0)
        self.assertTrue(self.rest_of(terminal).endswith("\r\x1b[K"), "the status line is still there")

    def test_ctrl_c_ends_it_at_once(self):
        weft, writer, terminal = self.start_on_a_pipe()
        self.signal(weft)
        self.assertEqual(weft.wait(HANGS_S), 130)
        self.assertIn("weft: Ctrl-C before", self.rest_of(terminal))
        writer.close()


class Signals(WeftTest):
    """Ctrl-C and its relatives."""

    def test_ctrl_c_asks_and_the_guest_ends(self):
        # The guest waits for input; it is told that there is no more, and ends by itself.
        read, write = os.pipe()
        self.addCleanup(os.close, write)
        weft = self.start_ready("--grace", "1h", self.wat("ready_then_read"), stdin=read)
        os.close(read)
        self.signal(weft)
        answer = self.finish(weft)
        self.assert_says(answer, 130, "Ctrl-C", "asked the guest to end", "press Ctrl-C again to kill it")
        self.assertEqual(answer.out, "end\n")

    def test_a_second_ctrl_c_kills(self):
        for guest in ("ready_then_loop", "ready_then_sleep"):
            with self.subTest(guest=guest):
                weft = self.start_ready("--grace", "1h", self.wat(guest))
                self.signal(weft)
                first = self.read_until(weft.stderr, "asked the guest to end")
                self.assertEqual(first.count("\n"), 1)
                self.signal(weft)
                answer = self.finish(weft)
                self.assert_says(answer, 130, "killing")

    def test_the_end_of_the_grace_kills(self):
        weft = self.start_ready("--grace", "10ms", self.wat("ready_then_loop"))
        self.signal(weft)
        answer = self.finish(weft)
        self.assertEqual(answer.status, 130, answer)
        self.assertIn("weft: the guest did not end in 10ms: killed\n", answer.err)

    def test_sigterm_and_sighup_do_the_same(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            weft = self.start_ready("--grace", "0", self.wat("ready_then_loop"))
            self.signal(weft, number)
            answer = self.finish(weft)
            self.assertEqual(answer.status, 128 + number, answer)
            self.assertIn(f"weft: {number.name}: asked the guest to end", answer.err)

    def test_all_copies_are_killed(self):
        weft = self.start("--copies", "100", "--grace", "0", "--json", self.wat("ready_then_loop"))
        for _ in range(100):
            self.assertEqual(weft.stdout.readline(), b"ready\n")
        self.signal(weft)
        answer = self.finish(weft)
        self.assertEqual(answer.status, 130)
        self.assertEqual(answer.summary["failed"], 100)
        self.assertEqual(answer.summary["stopped_by"], "Ctrl-C")
        self.assertEqual([g["kind"] for g in answer.summary["failures"]], ["killed"])

    def test_an_ignored_signal_stays_ignored(self):
        # As under nohup: SIGHUP was ignored when weft was started.
        weft = self.start_ready("--grace", "0", self.wat("ready_then_sleep"),
                                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.signal(weft, signal.SIGHUP)
        self.signal(weft, signal.SIGQUIT)
        self.read_until(weft.stderr, "tasks of ready_then_sleep")
        self.signal(weft, signal.SIGTERM)
        answer = self.finish(weft)
        self.assertEqual(answer.status, 143, answer)
        self.assertNotIn("SIGHUP", answer.err)

    def test_sigquit_prints_what_all_tasks_do_and_goes_on(self):
        weft = self.start_parked("--grace", "0", self.wat("ready_then_sleep"))
        parked = 0
        while parked < 2:
            self.signal(weft, signal.SIGQUIT)
            self.read_until(weft.stderr, "weft: tasks of ready_then_sleep (SIGQUIT):")
            said = self.read_until(weft.stderr, "nap")
            self.assertIn("ready_then_sleep", said)
            # On a busy machine it may still be on its way there, or on its way back from the dump before, which woke it for a look at its stack.
            if "running for" not in said:
                self.assertRegex(said, r"parked in (wasi poll_oneoff|sleep|poll_oneoff)")
                parked += 1
        self.assertIsNone(weft.poll())
        self.signal(weft)
        self.assertEqual(self.finish(weft).status, 130)


class Dump(WeftTest):
    """`weft dump` looks into a weft that runs."""

    def dump(self, *words):
        return self.weft("dump", *words)

    def test_shows_reasons_times_and_stacks(self):
        weft = self.start_parked("--name", "napper", self.wat("ready_then_sleep"))
        for target in (str(weft.pid), str(self.dir / "runtime" / "weft" / f"{weft.pid}.sock")):
            answer = self.dump(target)
            self.assertEqual((answer.status, answer.err), (0, ""), answer)
            self.assertIn("napper", answer.out)
            self.assertIn("nap", answer.out)
        # There is only one, so it need not be named.
        self.assertIn("napper", self.dump().out)

    def test_json(self):
        weft = self.start_parked(self.wat("ready_then_sleep"))
        tasks = json.loads(self.dump("--json", str(weft.pid)).out)
        task = next(t for t in tasks if t["name"] == "ready_then_sleep")
        self.assertEqual(task["state"], "parked")
        self.assertGreaterEqual(task["since"], 0)
        self.assertIn("nap", [frame["function"] for frame in task["stack"]])
        tasks = json.loads(self.dump("--json", "--no-stacks", str(weft.pid)).out)
        self.assertTrue(all(t["stack"] == [] for t in tasks))

    def test_of_a_busy_guest(self):
        weft = self.start_ready(self.wat("ready_then_loop"))
        def spinning(tasks):
            return any(t["name"] == "ready_then_loop" and t["state"] == "running" and "spin" in [f["function"] for f in t["stack"]]
                       for t in tasks)

        self.tasks_until(weft, spinning)

    def test_of_many(self):
        weft = self.start("--copies", "300", self.wat("ready_then_sleep"))
        for _ in range(300):
            self.assertEqual(weft.stdout.readline(), b"ready\n")
        tasks = json.loads(self.dump("--json", str(weft.pid)).out)
        self.assertEqual(len([t for t in tasks if t["name"].startswith("ready_then_sleep#")]), 300)

    def test_nobody_there(self):
        self.assert_says(self.dump(), 69, "no weft of this user is running")
        self.assert_says(self.dump("999999999"), 69, "dump 999999999")
        self.assert_says(self.dump("0"), 2, "dump 0: not the number of a process")
        self.assert_says(self.dump("nowhere.sock"), 69, "dump nowhere.sock")

    def test_several_are_listed(self):
        wefts = [self.start_ready(self.wat("ready_then_sleep")) for _ in range(2)]
        self.assert_says(self.dump(), 2, "several wefts are running", *(str(w.pid) for w in wefts))

    def test_the_socket_goes_with_its_weft(self):
        weft = self.start_ready("--grace", "0", self.wat("ready_then_sleep"))
        sockets = self.dir / "runtime" / "weft"
        self.assertEqual([p.name for p in sockets.iterdir()], [f"{weft.pid}.sock"])
        self.assertEqual((sockets / f"{weft.pid}.sock").stat().st_mode & 0o777, 0o600)
        self.signal(weft)
        self.finish(weft)
        self.assertEqual(list(sockets.iterdir()), [])

    def test_sockets_left_behind_are_cleared(self):
        weft = self.start_ready(self.wat("ready_then_sleep"))
        weft.kill()
        weft.wait()
        sockets = self.dir / "runtime" / "weft"
        self.assertEqual(len(list(sockets.iterdir())), 1)
        self.assert_says(self.dump(), 69, "no weft of this user is running")
        self.assertEqual(list(sockets.iterdir()), [])

    def test_a_silent_client_does_not_keep_weft_from_ending(self):
        import socket
        weft = self.start_ready("--grace", "0", self.wat("ready_then_sleep"))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.dir / "runtime" / "weft" / f"{weft.pid}.sock"))
            self.signal(weft)
            self.assertEqual(self.finish(weft).status, 130)

    def test_without_a_runtime_directory(self):
        self.env["XDG_RUNTIME_DIR"] = ""
        weft = self.start_ready(self.wat("ready_then_sleep"))
        self.assertIn("ready_then_sleep", self.dump(str(weft.pid)).out)
        self.signal(weft, signal.SIGTERM)
        self.signal(weft, signal.SIGTERM)
        self.finish(weft)


class Records(WeftTest):
    """Statistics and traces."""

    def test_stats_as_text(self):
        answer = self.weft("--stats", self.suite("primes"), "100000")
        self.assertEqual((answer.status, answer.out), (0, "9592\n"))
        for word in ("time", "memory", "switches", "workers"):
            self.assertIn(word, answer.err)

    def test_stats_as_json(self):
        answer = self.weft("--stats=json", "--workers", "2", self.suite("primes"), "1000000")
        self.assertEqual(answer.status, 0)
        self.assertEqual(len(answer.err.splitlines()), 1)
        stats = answer.summary
        self.assertEqual((stats["copies"], stats["succeeded"], stats["failed"], stats["workers"]), (1, 1, 0, 2))
        self.assertIn(stats["process"]["kind"], ("returned", "exited"))
        self.assertGreater(stats["cpu_ns"], 0)
        self.assertGreaterEqual(stats["wall_ns"] * 2, stats["cpu_ns"])
        self.assertGreaterEqual(stats["memory_bytes_max"], 1_000_000)
        self.assertGreater(stats["host_calls"], 0)

    def test_json_tells_everything_about_a_failure(self):
        answer = self.weft("--json", "--max-memory", "2MiB", self.suite("allocate"))
        self.assertEqual(answer.status, 125)
        self.assertEqual(len(answer.err.splitlines()), 1, answer)
        process = answer.summary["process"]
        self.assertEqual((process["kind"], process["limit"]["kind"], process["limit"]["value"]), ("limit-reached", "memory", 2 << 20))
        self.assertGreater(process["limit"]["asked"], 2 << 20)
        self.assertEqual(answer.summary["exit_status"], 125)

    def test_fuel_is_counted_the_same_every_time(self):
        used = {self.weft("--json", "--fuel", "100000000", self.suite("primes"), "1000").summary["fuel"] for _ in range(3)}
        self.assertEqual(len(used), 1)
        self.assertGreater(used.pop(), 1000)

    def test_trace_is_consistent(self):
        path = self.dir / "trace.json"
        answer = self.weft("--json", "--workers", "3", "--copies", "40", "--trace", path, self.suite("yields"), "50")
        self.assertEqual(answer.status, 0, answer)
        trace = json.loads(path.read_text())
        self.assertEqual(trace["otherData"]["dropped"], "0")
        events = trace["traceEvents"]
        names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
        workers = {tid for tid, name in names.items() if name.startswith("worker")}
        self.assertEqual(len(workers), 3)
        runs = [e for e in events if e["ph"] == "X"]
        self.assertEqual({e["tid"] for e in runs} - workers, set(), "something ran outside the workers")

        def in_order(key):
            lanes = {}
            for e in runs:
                lanes.setdefault(key(e), []).append((e["ts"], e["ts"] + e["dur"]))
            for lane in lanes.values():
                lane.sort()
                for (_, end), (begin, _) in zip(lane, lane[1:]):
                    self.assertLessEqual(end, begin + 0.0015, "two runs at once")

        in_order(lambda e: e["tid"])           # a worker runs one task at a time
        in_order(lambda e: e["args"]["task"])  # a task runs on one worker at a time
        guests = {e["args"]["task"] for e in runs if e["name"].startswith("yields#")}
        self.assertEqual(len(guests), 40)
        ended = [e["args"]["task"] for e in runs if e["args"]["end"] == "exit"]
        self.assertEqual(len(ended), len(set(ended)), "a task ended twice")
        self.assertTrue(guests <= set(ended), "a guest never ended")
        for task in guests:
            own = sorted((e for e in runs if e["args"]["task"] == task), key=lambda e: e["ts"])
            self.assertEqual([e["args"]["end"] for e in own].index("exit"), len(own) - 1)
            self.assertGreaterEqual(len([e for e in own if e["args"]["end"] == "yield"]), 50)
        spawned = {e["args"]["task"] for e in events if e["name"] == "spawn"}
        self.assertTrue(guests <= spawned, "a guest ran that was never spawned")


class Configuration(WeftTest):
    """The file, the flags, and who wins."""

    def config(self, text):
        path = self.dir / "weft.toml"
        path.write_text(text)
        return path

    def test_the_file_is_enough(self):
        path = self.config(f"program = '{self.suite('environment')}'\narguments = ['x']\nquiet = true\ncopies = 2\n[env]\nA = 'file'\n")
        answer = self.weft("--config", path)
        self.assertEqual((answer.status, answer.out.count("arg 1=x"), answer.out.count("env A=file")), (0, 2, 2), answer)

    def test_the_command_line_wins(self):
        path = self.config("copies = 5\nquiet = true\ntimeout = '1ms'\nenv = ['A=file', 'B=file']\n")
        answer = self.weft("--copies", "1", "--env", "A=line", "--timeout", "1h", "--config", path, self.suite("environment"))
        self.assertEqual(answer.out.splitlines()[1:], ["env A=line", "env B=file"], answer)

    def test_wasmtimes_spelling(self):
        self.assert_begins(self.weft("-W", "timeout=20ms", self.wat("ready_then_loop")), 124, "wall time limit 20ms")
        self.assert_begins(self.weft("-Wfuel=1000", self.wat("ready_then_loop")), 125, "fuel limit 1000")
        self.assertIn("env OUTER=x", self.weft("-S", "inherit-env", self.suite("environment"), env={"OUTER": "x"}).out)
        self.assertIn("max-memory-size", self.weft("-W", "help").out)
        self.assertIn("inherit-network", self.weft("-S", "help").out)


class Inspect(WeftTest):
    """`weft inspect` says what a program needs."""

    def test_text(self):
        answer = self.weft("inspect", self.suite("hello"))
        self.assertEqual((answer.status, answer.err), (0, ""))
        for part in ("kind         module", "entry point  _start", "provided by wasi preview 1", "fd_write", "Weft can run it: yes"):
            self.assertIn(part, answer.out)

    def test_says_why_not(self):
        answer = self.weft("inspect", self.wat("unknown_import"))
        self.assertEqual(answer.status, 0)
        self.assertIn("nobody provides this", answer.out)
        self.assertIn("Weft can run it: no\n", answer.out)
        self.assertIn("Weft can run it: no\n", self.weft("inspect", self.wat("no_entry")).out)

    def test_json(self):
        info = json.loads(self.weft("inspect", "--json", self.wat("hello")).out)
        self.assertTrue(info["runnable"])
        self.assertEqual(info["kind"], "module")
        self.assertEqual([i["name"] for i in info["imports"]], ["fd_write"])
        info = json.loads(self.weft("inspect", "--json", self.wat("unknown_import")).out)
        self.assertFalse(info["runnable"])

    def test_components(self):
        component = pathlib.Path(self.suite("hello")).parent.parent / "suite-p2" / "hello.wasm"
        if not component.exists():
            self.skipTest("the components were not built on this machine")
        answer = self.weft("inspect", component)
        self.assertIn("kind         component", answer.out)
        self.assertIn("Weft can run it: yes", answer.out)


if __name__ == "__main__":
    unittest.main()
