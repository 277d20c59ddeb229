"""Builds what Weft is compared with. A peer that cannot be had is a line that says why, never an error."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
CARGO_TARGET = ROOT / "build" / "cargo"
WASMTIME_VERSION = "46.0.3"  # the last one that runs wasi-threads
LUNATIC_VERSION = "0.13.2"
# It is an old program with many dependencies: on two cores its build takes a quarter of an hour.
LUNATIC_BUILD_SECONDS_MAX = 45 * 60


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(command, **options):
    """The command's outcome: None when all is well, else the line of its output that says most."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    except FileNotFoundError:
        return f"{command[0]} is not installed"
    except subprocess.TimeoutExpired:
        return f"still building after {options['timeout']} s"
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [f"{command[0]} ended with {done.returncode}"])[0]


def tool(name, *elsewhere):
    found = shutil.which(name)
    if found:
        return found
    for directory in elsewhere:
        candidate = Path(directory).expanduser() / name
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    return None


def find_go():
    # The toolchain that scripts/bootstrap may have fetched lies under build/go.
    fetched = sorted((ROOT / "build" / "go" / "golang.org").glob("toolchain@*/bin"))
    return tool("go", "/usr/local/go/bin", *map(str, reversed(fetched)))


def newer(target, *sources):
    return target.exists() and all(target.stat().st_mtime >= source.stat().st_mtime for source in sources)


class Peers:
    """`programs`: system -> path of what can be run. `missing`: system -> why it cannot."""

    def __init__(self, profile, build=True, slow=False):
        """`slow`: also those whose build takes many minutes."""
        self.profile = profile
        self.programs = {}
        self.missing = {}
        BUILD.mkdir(parents=True, exist_ok=True)
        for name, make in (("go", self.go), ("boost", self.boost), ("tokio", self.tokio)):
            self.add(name, *make(build))
        self.add("native", *self.native())
        self.add("kernels", *self.kernels(build))
        if slow:
            self.add("wasmtime46", *self.wasmtime(build))
            self.add("lunatic", *self.lunatic(build))

    def add(self, name, program, problem):
        if problem is None and not program.exists():
            problem = "not built"
        if problem is None:
            self.programs[name] = program
        else:
            self.missing[name] = problem

    def go(self, build):
        program, source = BUILD / "go-peer", ROOT / "bench" / "peers" / "go"
        if not build or newer(program, *source.glob("*.go"), source / "go.mod"):
            return program, None
        go = find_go()
        if go is None:
            return program, "no Go toolchain"
        return program, run([go, "build", "-o", str(program), "."], cwd=source)

    def boost(self, build):
        program, source = BUILD / "boost-context-peer", ROOT / "bench" / "peers" / "boost_context" / "main.cpp"
        if not build or newer(program, source):
            return program, None
        compiler = tool("c++") or tool("g++")
        if compiler is None:
            return program, "no C++ compiler"
        problem = run([compiler, "-std=c++20", "-O3", "-DNDEBUG", str(source), "-lboost_context", "-o", str(program)])
        if problem and "boost/context" in problem:
            problem = "Boost.Context is not installed (Debian: libboost-context-dev)"
        return program, problem

    def kernels(self, build):
        """No peer, but a guest in C, which the programs above are told to run."""
        module, source = BUILD / "kernels.wasm", ROOT / "bench" / "guests" / "kernels.c"
        if not build or newer(module, source):
            return module, None
        compiler = tool("clang-19") or tool("clang")
        if compiler is None:
            return module, "no clang"
        command = [compiler, "--target=wasm32", "-O2", "-mbulk-memory", "-nostdlib", "-Wl,--no-entry", str(source), "-o", str(module)]
        return module, run(command)

    def tokio(self, build):
        directory = "release" if self.profile == "release" else "debug"
        program = CARGO_TARGET / directory / "tokio-peer"
        if not build:
            return program, None
        cargo = tool("cargo", "~/.cargo/bin")
        if cargo is None:
            return program, "no cargo"
        if self.profile == "release" and not program.exists():
            say("building the Tokio host with fat LTO, as Weft's engine is: 10 minutes and more")
        # The engine is named, too, and in full: so cargo chooses features and link-time optimisation of all dependencies for both, and
        # compiles them once. With the peer alone, every crate is compiled again.
        command = [cargo, "build", "--quiet", "--locked", "-p", "weft-engine", "-p", "weft-bench-tokio"]
        command += ["--target-dir", str(CARGO_TARGET)] + (["--release"] if self.profile == "release" else [])
        return program, run(command, cwd=ROOT)

    def native(self):
        """The programs of guests/threads compiled for this machine; scripts/build-guests makes them."""
        directory = ROOT / "build" / "guests" / "threads-native"
        return directory, None if directory.is_dir() else "not built (scripts/build-guests says why)"

    def wasmtime(self, build):
        home = BUILD / "wasmtime46"
        program = home / "bin" / "wasmtime"
        if program.exists() or not build:
            return program, None
        cargo = tool("cargo", "~/.cargo/bin")
        if cargo is None:
            return program, "no cargo"
        say(f"installing wasmtime-cli {WASMTIME_VERSION}: 10 minutes and more, once")
        command = [cargo, "install", "--quiet", "--locked", f"wasmtime-cli@{WASMTIME_VERSION}", "--root", str(home)]
        command += ["--target-dir", str(BUILD / "wasmtime46-target")]
        return program, run(command, cwd=BUILD)

    def lunatic(self, build):
        """Installed once below build/; a build that failed is not tried again until that directory is removed."""
        home = BUILD / "lunatic"
        program, verdict = home / "bin" / "lunatic", home / "why-not"
        if program.exists() or not build:
            return program, None
        if verdict.exists():
            return program, verdict.read_text().strip()
        cargo = tool("cargo", "~/.cargo/bin")
        if cargo is None:
            return program, "no cargo"
        say(f"installing lunatic {LUNATIC_VERSION}: up to {LUNATIC_BUILD_SECONDS_MAX // 60} minutes, once")
        # Not --locked: the versions that it was published with no longer compile (time 0.3.20: error E0282).
        command = [cargo, "install", "--quiet", "lunatic-runtime", "--version", LUNATIC_VERSION, "--root", str(home)]
        command += ["--target-dir", str(BUILD / "lunatic-target")]
        problem = run(command, cwd=BUILD, timeout=LUNATIC_BUILD_SECONDS_MAX)
        if problem:
            home.mkdir(parents=True, exist_ok=True)
            verdict.write_text(problem + "\n")
        return program, problem
