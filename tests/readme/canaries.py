"""Shows that tour.py finds pages that lie: each page below has one lie in it, the first has none."""
import pathlib
import subprocess
import sys
import tempfile

TOUR = pathlib.Path(__file__).resolve().parent / "tour.py"
F = "```"
PAGES = [
    (0, "true", f"{F}console\n$ echo one; echo 'took 3ms'\none\ntook 17ms\n$ printf 'a\\nb\\nc\\n'\na\n…\nc\n{F}\n"),
    (1, "a wrong line", f"{F}console\n$ echo one\ntwo\n{F}\n"),
    (1, "a line too few", f"{F}console\n$ echo one\n{F}\n"),
    (1, "a line too many", f"{F}console\n$ true\none\n{F}\n"),
    (1, "a wrong number", f"{F}console\n$ echo 4 of 5\n4 of 6\n{F}\n"),
    (1, "a command that fails", f"{F}console\n$ weft --no-such-flag\nweft 0.1.0\n{F}\n"),
    (1, "a later command", f"{F}console\n$ echo one\none\n$ echo two\nthree\n{F}\n"),
    (1, "a make target", f"{F}sh\nmake coffee\n{F}\n"),
    (1, "a shell line", f"{F}sh\nrm -rf everything\n{F}\n"),
    (1, "code", f"{F}cpp examples/hello.cpp\nint main() {{ return coffee(); }}\n{F}\n"),
    (1, "a link", f"[there](nowhere.md)\n{F}console\n$ true\n{F}\n"),
    (1, "an unknown block", f"{F}python\nprint(1)\n{F}\n"),
    (1, "nothing to check", "just words\n"),
]

failures = 0
with tempfile.TemporaryDirectory() as directory:
    for status, name, text in PAGES:
        page = pathlib.Path(directory) / "page.md"
        page.write_text(text)
        done = subprocess.run([sys.executable, TOUR, page], capture_output=True, text=True)
        if done.returncode != status:
            failures += 1
            print(f"WRONG: {name}: status {done.returncode}, wanted {status}\n{done.stdout}{done.stderr}")
print(f"{len(PAGES)} pages, {failures} judged wrongly")
sys.exit(1 if failures else 0)
