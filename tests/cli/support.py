"""What the tests of the weft program share: a directory of its own for each test, short ways to run weft, and checks of its
answers. Nothing here sleeps to wait for something: tests read what guests say, or ask weft itself."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WEFT = os.environ.get("WEFT") or str(ROOT / "build/dev/bin/weft")
SUITE = pathlib.Path(os.environ.get("WEFT_GUESTS") or ROOT / "build/guests") / "suite"
# What guests run on, where it is not the default: each test is there for both kinds.
FIBERS = os.environ.get("WEFT_TEST_FIBERS")
WAT = pathlib.Path(__file__).resolve().parent / "guests"
# Only for what would otherwise hang for ever; ctest has its own bound around it.
HANGS_S = 240


OTHER_COMMANDS = ("bench", "completions", "dump", "events", "help", "inspect", "kill", "logs", "ps", "restart", "top", "up", "version", "--help", "-h", "--version", "-V")


def command(args):
    """Of weft, with what the guests are to run on."""
    args = [str(arg) for arg in args]
    if FIBERS and args and args[0] not in OTHER_COMMANDS:
        args.insert(1 if args[0] in ("run", "compile") else 0, f"--fibers={FIBERS}")
    return [WEFT, *args]


class Answer:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f"status {self.status}\n--- stdout\n{self.out[:2000]}\n--- stderr\n{self.err[:4000]}"

    @property
    def summary(self):
        """The JSON that --json and --stats=json leave on the last line of standard error."""
        return json.loads(self.err.strip().splitlines()[-1])


class WeftTest(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        self._directory = tempfile.TemporaryDirectory(prefix="weft-test-")
        self.addCleanup(self._directory.cleanup)
        self.dir = pathlib.Path(self._directory.name)
        self.cache = self.dir / "cache"
        (self.dir / "runtime").mkdir(mode=0o700)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("WEFT", "XDG_"))}
        self.env.update(XDG_CACHE_HOME=str(self.cache), XDG_RUNTIME_DIR=str(self.dir / "runtime"), LC_ALL="C.UTF-8")

    def wat(self, name):
        return str(WAT / f"{name}.wat")

    def suite(self, name):
        path = SUITE / f"{name}.wasm"
        if not path.exists():
            self.skipTest(f"{path} was not built (no Rust target for guests on this machine)")
        return str(path)

    def weft(self, *args, stdin=b"", env=None, cwd=None, preexec=None):
        done = subprocess.run(command(args), input=stdin, capture_output=True, timeout=HANGS_S,
                              env={**self.env, **(env or {})}, cwd=cwd or self.dir, preexec_fn=preexec)
        return Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def start(self, *args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more):
        """A weft that runs on; killed at the end of the test if it still does."""
        process = subprocess.Popen(command(args), stdin=stdin, stdout=stdout, stderr=stderr,
                                   env=self.env, cwd=self.dir, **more)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

        self.addCleanup(end)
        return process

    def start_ready(self, *args, **more):
        """The same, with a guest that has said "ready"."""
        process = self.start(*args, **more)
        self.assertEqual(process.stdout.readline(), b"ready\n", "the guest did not start")
        return process

    def tasks_until(self, process, true_of):
        """The tasks of a running weft, asked for until this is true of them."""
        while True:
            done = subprocess.run([WEFT, "dump", "--json", str(process.pid)], env=self.env, capture_output=True, timeout=HANGS_S)
            if done.returncode == 0 and true_of(tasks := json.loads(done.stdout)):
                return tasks
            self.assertIsNone(process.poll(), "weft ended")

    def start_parked(self, *args, **more):
        """As start_ready, with a guest that has gone to wait for something."""
        process = self.start_ready(*args, **more)
        self.tasks_until(process, lambda tasks: all(t["state"] == "parked" for t in tasks))
        return process

    def finish(self, process):
        """What a started weft says until its end."""
        out, err = process.communicate(timeout=HANGS_S)
        return Answer(process.returncode, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))

    def read_until(self, stream, text):
        """Lines of `stream` up to and with the first that holds `text`."""
        lines = []
        for line in stream:
            lines.append(line.decode(errors="replace"))
            if text in lines[-1]:
                return "".join(lines)
        self.fail(f"{text!r} never came; this did:\n" + "".join(lines))

    def signal(self, process, number=signal.SIGINT):
        process.send_signal(number)

    def assert_says(self, answer, status, *parts):
        """Exactly one line on standard error, from weft, with all of these parts; and the status."""
        lines = answer.err.splitlines()
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(len(lines), 1, answer)
        self.assert_first_line(answer, *parts)

    def assert_first_line(self, answer, *parts):
        first = (answer.err.splitlines() or [""])[0]
        self.assertTrue(first.startswith("weft: "), answer)
        for part in parts:
            self.assertIn(part, first, answer)

    def assert_begins(self, answer, status, *parts):
        """As assert_says, but details may follow the line."""
        self.assertEqual(answer.status, status, answer)
        self.assert_first_line(answer, *parts)

    def assert_works(self, *flags):
        """Weft as such still does its work here: nothing else was harmed."""
        answer = self.weft(*flags, self.wat("hello"))
        self.assertEqual((answer.status, answer.out, answer.err), (0, "hello\n", ""), answer)
