#!/usr/bin/env python3
"""One figure about threads, from one system: a program of guests/threads run by Weft, by Wasmtime 46, or compiled for this machine.

usage: threads.py SYSTEM PROGRAM CASE [WORDS]     SYSTEM: weft, wasmtime46 or native; PROGRAM: its command, or the directory of native programs;
                                                  words that begin with -- are flags of weft run

Prints a line of JSON, as the other peers do. The programs time themselves; the memory of waiting threads is read from /proc.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GUESTS = ROOT / "build" / "guests" / "threads"
WASMTIME_FLAGS = ["-W", "threads=y,shared-memory=y", "-S", "threads=y"]
SECONDS_MAX = 600


def command(system, program, guest, words):
    if system == "native":
        return [str(Path(program) / guest)] + words
    module = str(GUESTS / f"{guest}.wasm")
    if system == "weft":
        flags = [word for word in words if word.startswith("--")]
        return [program, "run"] + flags + [module] + [word for word in words if word not in flags]
    return [program, "run"] + WASMTIME_FLAGS + [module] + words


def emit(case, value, unit, **extra):
    print(json.dumps({"bench": "threads", "case": case, "value": value, "unit": unit, "extra": extra}))


def timed(system, program, case, guest, words, pattern, unit):
    done = subprocess.run(command(system, program, guest, words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=SECONDS_MAX)
    found = re.search(pattern, done.stdout + done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(f"{guest} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-200:]}")
    emit(case, float(found.group(1)), unit)


def resident(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


def parked_bytes(system, program, count, stack):
    process = subprocess.Popen(command(system, program, "parked", [str(count), str(stack)]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        line = process.stdout.readline()
        if line.strip() != f"parked {count}":
            sys.exit(f"parked said {line.strip()!r}")
        return resident(process.pid)
    finally:
        process.stdin.close()
        if process.wait(SECONDS_MAX) != 0:
            sys.exit(f"parked ended with {process.returncode}")


def main():
    system, program, case, *words = sys.argv[1:]
    if case == "create_join":
        timed(system, program, case, "createjoin", words, r"(\d+) ns to create and join", "ns")
    elif case == "round_trip":
        timed(system, program, case, "pingpong", words, r"(\d+) ns per round trip", "ns")
    elif case == "contended":
        timed(system, program, case, "contend", words, r"([\d.]+) ns per lock", "ns")
    elif case == "cpu":
        timed(system, program, case, "cpu", words, r"threads?: ([\d.]+) ms", "ms")
    elif case == "parked":
        count, stack = int(words[0]), int(words[1])
        # Each thread has used all of its stack, so that what remains is not the guest's.
        few = parked_bytes(system, program, 1, stack)
        value = (parked_bytes(system, program, count, stack) - few) / (count - 1) - stack
        emit(case, value / 1024, "KiB", resident_kib=value / 1024 + stack / 1024)
    else:
        sys.exit(f"unknown case {case}")


if __name__ == "__main__":
    main()
