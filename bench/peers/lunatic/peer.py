"""Lunatic's side of the benchmarks: runs spawn.wat under it and prints one JSON object, as the other peers do.

    peer.py LUNATIC spawn --workers 1 --count 6400
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BATCH = 64


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lunatic")
    parser.add_argument("bench", choices=["spawn"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--count", type=int, default=6400)
    options = parser.parse_args()
    # One lunatic process starts them all, whatever the number of workers: spawning from several is not faster (lunatic#78).
    batches = max(1, options.count // BATCH)
    text = Path(__file__).with_name("spawn.wat").read_text().replace("BATCHES", str(batches))
    with tempfile.TemporaryDirectory() as directory:
        guest = Path(directory) / "spawn.wasm"
        guest.write_text(text)
        # It is a Tokio program that takes its number of workers from this variable.
        environment = dict(os.environ, TOKIO_WORKER_THREADS=str(options.workers))
        done = subprocess.run([options.lunatic, "run", str(guest)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    if done.returncode != 0 or len(done.stdout) != 8:
        sys.exit("lunatic: " + (done.stderr.decode(errors="replace").strip() or f"ended with {done.returncode} and no figure"))
    elapsed_us = int.from_bytes(done.stdout, "little") / 1000
    line = {"system": "lunatic", "bench": "spawn", "case": "empty", "n": options.workers}
    line.update(value=elapsed_us * options.workers / (batches * BATCH), unit="us")
    print(json.dumps(line))


if __name__ == "__main__":
    main()
