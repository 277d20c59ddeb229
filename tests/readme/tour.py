"""Runs what a page of documentation shows, and compares what comes out with what the page says.

    tour.py PAGE.md       status 0: true, 1: the page lies, 77: something it needs is not on this machine

In a page, these blocks are checked:

    ```console        Commands after "$ " (continued by "> "), and what they print, standard output and error together. All of a block
                      in one shell, all of a page in one directory, with weft on the PATH. Times, and the numbers in
                      the lines of a summary, may differ; "…" stands for anything, alone on a line for any lines.
                      After <!-- again --> the last command is repeated until its output fits: for looks at something that moves.
    ```sh             For reading; each line is a make target that exists, or git or cd.
    ```toml FILE      Written to FILE, for the commands that follow.
    ```text           For reading.
    ```cpp FILE       A part of FILE of this repository, word for word. The examples are built and run by their own tests.

A page that wants files says so: <!-- needs: build/guests/comrak.wasm --> (skipped when they could not be built).
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WEFT = pathlib.Path(os.environ.get("WEFT") or ROOT / "build/dev/bin/weft")
HANGS_S = 280
END = "--- end of output ---"

TIME = r"(?:\d+m)?\d+(?:\.\d+)?(?:ns|us|ms|s|m|h)"
SUMMARY = re.compile(r"^ +(time|memory|switches|fuel) ")


def pattern_of(line):
    """What a line of the page means, as a regular expression."""
    numbers = r"[0-9][0-9,.]*" if SUMMARY.match(line) else None
    out = ""
    for part in re.split(rf"(…|\b{TIME}\b|[0-9][0-9,.]*|\b(?:KiB|MiB|GiB|B)\b|workers?)", line):
        if part == "…":
            out += ".*"
        elif re.fullmatch(TIME, part):
            out += TIME
        elif numbers and re.fullmatch(numbers, part):
            out += numbers
        elif numbers and re.fullmatch("KiB|MiB|GiB|B", part):
            out += "(?:KiB|MiB|GiB|B)"
        elif numbers and part.startswith("worker"):
            out += "workers?"
        else:
            out += re.escape(part)
    return out


def fits(expected, said):
    pattern = ""
    for line in expected:
        pattern += r"(?:.*\n)*?" if line.strip() == "…" else pattern_of(line) + r"\n"
    return re.fullmatch(pattern, said) is not None


def commands_of(block):
    """[(command, [lines it prints])]"""
    commands = []
    for line in block:
        if line.startswith("$ "):
            commands.append([line[2:], []])
        elif line.startswith("> ") and not commands[-1][1]:
            commands[-1][0] += "\n" + line[2:]
        elif line == ">" and not commands[-1][1]:
            commands[-1][0] += "\n"
        else:
            commands[-1][1].append(line)
    return commands


class Shell:
    def __init__(self, directory, environment):
        self.process = subprocess.Popen(["bash", "--norc", "--noprofile"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, cwd=directory, env=environment, text=True)

    def run(self, command):
        self.process.stdin.write(f"{command}\nprintf '%s\\n' '{END}'\n")
        self.process.stdin.flush()
        said = ""
        for line in self.process.stdout:
            if line.rstrip("\n").endswith(END):
                return said + line.rstrip("\n").removesuffix(END)
            said += line
        return said

    def close(self):
        # What a page started in the background ends with its shell.
        self.process.stdin.write("trap '' TERM; kill -TERM $(jobs -p) 2>/dev/null; kill -KILL $(jobs -p) 2>/dev/null; wait 2>/dev/null; exit\n")
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait()


def blocks_of(text):
    """[(words after the fence, lines, the comment just before)]"""
    found, inside, words, lines, comment = [], False, [], [], ""
    for line in text.splitlines():
        if line.startswith("```"):
            if inside:
                found.append((words, lines, comment))
                comment = ""
            words, lines = line[3:].split(), []
            inside = not inside
        elif inside:
            lines.append(line)
        elif line.startswith("<!--"):
            comment = line
        elif line.strip():
            comment = ""
    return found


def check_sh(lines):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for line in lines:
        words = line.split("#")[0].split()
        if words and words[0] == "make":
            missing = [w for w in words[1:] if "=" not in w and w not in targets]
            if missing:
                yield f"no make target {missing[0]}"
        elif words and words[0] not in ("git", "cd", "sudo", "export"):
            yield f"a command that nobody checks: {line}"


def check_console(lines, again, shell):
    commands = commands_of(lines)
    for index, (command, expected) in enumerate(commands):
        said = shell.run(command)
        repeat = again and index == len(commands) - 1
        while repeat and not fits(expected, said):
            said = shell.run(command)
        if not fits(expected, said):
            yield f"$ {command}\n--- the page says\n" + "\n".join(expected) + f"\n--- it printed\n{said}"
            return


def main():
    page = pathlib.Path(sys.argv[1]).resolve()
    text = page.read_text()
    for need in re.findall(r"<!-- needs: (.*?) -->", text):
        for path in need.split():
            if not (ROOT / path).exists():
                print(f"{page.name}: skipped: {path} was not built on this machine")
                return 77
    checked, wrong = 0, []
    with tempfile.TemporaryDirectory(prefix="weft-tour-") as name:
        directory = pathlib.Path(name)
        for link in ("build", "guests", "examples"):
            (directory / link).symlink_to(ROOT / link)
        (directory / "runtime").mkdir(mode=0o700)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("WEFT", "XDG_"))}
        environment.update(PATH=f"{WEFT.parent}:{environment['PATH']}", XDG_CACHE_HOME=str(directory / "cache"), LC_ALL="C.UTF-8",
                           XDG_RUNTIME_DIR=str(directory / "runtime"))
        for words, lines, comment in blocks_of(text):
            kind = words[0] if words else ""
            if kind == "console":
                shell = Shell(directory, environment)
                wrong += check_console(lines, "again" in comment, shell)
                shell.close()
            elif kind == "sh":
                wrong += check_sh(lines)
            elif kind == "toml" and len(words) == 2:
                (directory / words[1]).write_text("\n".join(lines) + "\n")
            elif kind == "cpp" and len(words) == 2:
                if "\n".join(lines) not in (ROOT / words[1]).read_text():
                    wrong.append(f"{words[1]} does not hold this part:\n" + "\n".join(lines))
            elif kind != "text":
                wrong.append(f"a block that nobody checks: ```{' '.join(words)}")
            checked += 1
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", prose):
        if "://" not in link and not (page.parent / link).exists():
            wrong.append(f"a link to nowhere: {link}")
    for problem in wrong:
        print(f"{page.name}: {problem}\n")
    if checked == 0 and "<!-- nothing to run -->" not in text:
        print(f"{page.name}: nothing was checked")
        return 1
    print(f"{page.name}: {checked} blocks checked, {len(wrong)} wrong")
    return 1 if wrong else 0


sys.exit(main())
