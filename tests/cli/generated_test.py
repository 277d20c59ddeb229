"""What weft generates about itself: help, manual page, completions. And that they agree with what it takes."""
import re
import shutil
import subprocess
import unittest

from support import HANGS_S, ROOT, WeftTest


def flags_in(text):
    return set(re.findall(r"--[a-z][a-z0-9-]*", text))


class Generated(WeftTest):
    def test_version(self):
        self.assertRegex(self.weft("--version").out, r"^weft \d+\.\d+\.\d+ \(wasmtime \d+\.\d+\.\d+\)\n$")

    def test_help_of_every_command(self):
        for command in ("run", "compile", "inspect", "dump", "completions", "help"):
            one, other = self.weft("help", command), self.weft(command, "--help")
            self.assertEqual((one.status, one.out), (0, other.out))
            self.assertTrue(one.out.startswith(f"Usage: weft {command}"))

    def test_every_flag_in_the_help_is_taken(self):
        # Each flag of run alone: its complaint may be about its value or the missing program, never that it is unknown.
        flags = flags_in(self.weft("run", "--help").out)
        self.assertGreater(len(flags), 30)
        for flag in flags - {"--help"}:
            self.assertNotIn("unknown", self.weft("run", flag).err, flag)

    def test_manual_page(self):
        page = self.weft("man").out
        missing = flags_in(self.weft("run", "--help").out) - flags_in(page.replace("\\-", "-"))
        self.assertEqual(missing, {"--help"} & missing)
        if shutil.which("man"):
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-"], input=page.encode(), capture_output=True,
                                  timeout=HANGS_S, env={**self.env, "MANWIDTH": "100", "MANPAGER": "cat"})
            self.assertEqual((done.returncode, done.stderr.decode()), (0, ""))
            text = re.sub(".\b", "", done.stdout.decode())
        elif shutil.which("mandoc"):
            done = subprocess.run(["mandoc", "-T", "utf8", "-W", "error"], input=page.encode(), capture_output=True, timeout=HANGS_S)
            self.assertEqual(done.returncode, 0, done.stderr)
            text = re.sub(".\b", "", done.stdout.decode())
        else:
            self.skipTest("neither man nor mandoc is on this machine")
        for part in ("SYNOPSIS", "--max-memory", "EXIT STATUS", "SIGQUIT"):
            self.assertIn(part, text.replace("\u2010", "-").replace("\u2212", "-"))

    def test_the_guide_lists_the_same_exit_statuses(self):
        page = self.weft("man").out.replace("\\-", "-")
        section = page[page.index(".SH EXIT STATUS") : page.index(".SH SIGNALS")]
        in_manual = re.findall(r"\.TP\n\.B (\S+)\n(.*)\n", section)
        guide = (ROOT / "docs/guide/exit-status.md").read_text()
        in_guide = [row for row in re.findall(r"^\| (\S+) \| (.*) \|$", guide, re.M) if row[0] != "status"]
        self.assertEqual(in_manual, in_guide)
        self.assertGreater(len(in_manual), 10)

    def complete_in_bash(self, *words):
        """What bash offers after these words; the last one is the one that is being typed."""
        quoted = " ".join(f"'{w}'" for w in words)
        script = self.weft("completions", "bash").out + f"""
COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}
_weft
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
        done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, timeout=HANGS_S, cwd=self.dir)
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode().split()

    def test_bash_completion(self):
        (self.dir / "app.wasm").touch()
        (self.dir / "folder").mkdir()
        self.assertEqual(self.complete_in_bash("weft", "insp"), ["inspect"])
        self.assertIn("--max-memory", self.complete_in_bash("weft", "--max-"))
        self.assertIn("--max-memory", self.complete_in_bash("weft", "run", "--max-"))
        self.assertEqual(self.complete_in_bash("weft", "dump", "--js"), ["--json"])
        self.assertEqual(self.complete_in_bash("weft", "run", "--priority", "low"), ["low", "lowest"])
        self.assertEqual(self.complete_in_bash("weft", "run", "--dir", "f"), ["folder"])
        self.assertEqual(self.complete_in_bash("weft", "run", "app"), ["app.wasm"])
        self.assertEqual(self.complete_in_bash("weft", "completions", "f"), ["fish"])

    def test_completions_are_valid_scripts(self):
        checked = 0
        for shell in ("bash", "zsh", "fish"):
            if shutil.which(shell) is None:
                continue
            path = self.dir / f"completion.{shell}"
            path.write_text(self.weft("completions", shell).out)
            done = subprocess.run([shell, "-n", path], capture_output=True, timeout=HANGS_S)
            self.assertEqual((done.returncode, done.stderr), (0, b""), shell)
            checked += 1
        self.assertGreater(checked, 0)


if __name__ == "__main__":
    unittest.main()
