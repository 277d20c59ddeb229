#!/usr/bin/env python3
"""A soak of weft up in real time: about 60 children that tick, crash, eat memory, spin, send, lock or never stop, while they are killed and restarted, the manifest changes
under them (SIGHUP) and clients come, listen and go. Afterwards: SIGTERM ends it in order and in time, every start has its exit, followers have missed nothing, and memory
and descriptors have not grown.

  tests/stress/soak_up/soak_up.py [--seconds 600] [--seed N] [--weft build/dev/bin/weft] [--keep]

Decisions come from the seed; what happens when does not. It ends only what it has started itself. Exit status: 0 fine, 1 something is wrong, 2 it could not be run."""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
GUESTS = HERE / "guests"
NAME = "soak"
GRACE_S = 0.3
HANGS_S = 120
# What may be more in the last third than in the first: allocators round, and the first third may have had fewer clients at once.
RSS_GROWTH = 1.15
RSS_SLACK_KIB = 12 * 1024
FDS_SLACK = 12


class Manifest:
    """Groups of children; some keys and children change from reload to reload."""

    STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")

    def __init__(self, rng):
        self.rng = rng
        self.extra = 0
        self.groups = [self.group(index) for index in range(8)]

    def child(self, id, module, **keys):
        return {"id": id, "module": f"{module}.wat", "grace": f"{int(GRACE_S * 1000)}ms", "output": "none", **keys}

    def group(self, index):
        health = {"interval": "5s", "start": "30s"}
        children = [self.child("ticks", "ticks", health=health, output="prefix" if index == 0 else "none"),
                    self.child("mail", "mail", copies=2),
                    self.child("locks", "locks", copies=2)]
        children.append((self.child("crashes", "crashes"),
                         self.child("eats", "eats", **{"max-memory": "2MiB"}),
                         self.child("spins", "spins", health={"interval": "2s", "start": "10s"}, **{"priority": 7}),
                         self.child("stubborn", "never_stops"))[index % 4])
        children.append(self.child("ready", "ticks", restart=self.rng.choice(("transient", "permanent"))))
        return {"id": f"g{index}", "strategy": self.STRATEGIES[index % 3], "children": children}

    def change(self):
        group = self.rng.choice(self.groups)
        what = self.rng.randrange(3)
        added = [child for child in group["children"] if child["id"].startswith("extra")]
        if what == 0 or not added and what == 1:
            self.extra += 1
            group["children"].append(self.child(f"extra{self.extra}", self.rng.choice(("ticks", "mail", "locks", "never_stops"))))
        elif what == 1:
            group["children"].remove(self.rng.choice(added))
        else:
            child = self.rng.choice(group["children"])
            child["env"] = [f"CHANGED={self.rng.randrange(1000)}"]
        # Not without end.
        for each in self.groups:
            while len(each["children"]) > 8:
                each["children"].pop()

    def text(self):
        lines = [f'name = "{NAME}"', "max-restarts = -1", 'backoff = { first = "10ms", max = "300ms" }', ""]
        for group in self.groups:
            lines += ["[[group]]", f'id = "{group["id"]}"', f'strategy = "{group["strategy"]}"', "max-restarts = 30", 'period = "10s"',
                      'backoff = { first = "10ms", max = "300ms" }']
            for child in group["children"]:
                lines += ["[[group.child]]"] + [f"{key} = {toml(value)}" for key, value in child.items()]
            lines.append("")
        return "\n".join(lines) + "\n"


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


class Listener(threading.Thread):
    """The lines of JSON of a process, kept without the output of guests."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.events, self.outputs, self.odd = stream, [], 0, []
        self.start()

    def run(self):
        for line in self.stream:
            try:
                event = json.loads(line)
            except ValueError:
                self.odd.append(line)
                continue
            if event.get("event") == "output":
                self.outputs += 1
            else:
                self.events.append(event)


class Soak:
    def __init__(self, options):
        self.options = options
        self.rng = random.Random(options.seed)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="weft-soak-"))
        (self.dir / "runtime").mkdir(mode=0o700)
        for guest in GUESTS.glob("*.wat"):
            shutil.copy(guest, self.dir)
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("WEFT", "XDG_"))}
        self.env.update(XDG_RUNTIME_DIR=str(self.dir / "runtime"), XDG_CACHE_HOME=str(self.dir / "cache"), LC_ALL="C.UTF-8")
        self.manifest = Manifest(self.rng)
        self.clients = []  # (process, when it is to go)
        self.samples = []  # (seconds, RSS in KiB, descriptors, threads)
        self.done = collections.Counter()
        self.wrong = []

    def check(self, holds, what):
        if not holds:
            self.wrong.append(what)
            print(f"soak: wrong: {what}", file=sys.stderr)

    def start(self, *args, **more):
        return subprocess.Popen([self.options.weft, *args], env=self.env, cwd=self.dir, stdin=subprocess.DEVNULL, **more)

    def ask(self, *args):
        """An answer in JSON; None: it was refused."""
        done = subprocess.run([self.options.weft, *args, "--json"], env=self.env, cwd=self.dir, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=HANGS_S)
        if done.returncode != 0:
            self.done[f"{args[0]} refused"] += 1
            return None
        try:
            return json.loads(done.stdout) if done.stdout.strip().startswith(b"{") else {}
        except ValueError:
            self.check(False, f"weft {args[0]} --json has answered with something else: {done.stdout[:200]!r}")
            return None

    def write_manifest(self):
        (self.dir / "weft.toml").write_text(self.manifest.text())

    def children(self):
        answer = self.ask("ps")
        return answer["children"] if answer else []

    # ---- what happens ----

    def kill_one(self):
        self.on_one("kill")

    def restart_one(self):
        self.on_one("restart")

    def on_one(self, command):
        ids = [child["id"] for child in self.children() if "/" in child["id"] and child["state"] == "running"]
        if ids:
            self.ask(command, self.rng.choice(ids))
            self.done[command] += 1

    def reload(self):
        for _ in range(self.rng.randrange(1, 4)):
            self.manifest.change()
        self.write_manifest()
        os.kill(self.up.pid, signal.SIGHUP)
        self.done["reload"] += 1

    def client_comes(self):
        args = self.rng.choice((("events", "-f"), ("events", "-f", "--json"), ("logs", "-f"), ("logs", "g0/ticks", "-f", "--json"), ("ps",)))
        # A pipe that nobody reads: a slow client.
        self.clients.append((self.start(*args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL), time.monotonic() + self.rng.random() * 3))
        self.done["client"] += 1

    def clients_go(self, all_of_them=False):
        for client, until in list(self.clients):
            if all_of_them or time.monotonic() >= until:
                client.stdout.close()
                client.send_signal(self.rng.choice((signal.SIGKILL, signal.SIGTERM)))
                client.wait(HANGS_S)
                self.clients.remove((client, until))

    def sample(self, began):
        try:
            status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{self.up.pid}/status").read_text().splitlines())
            descriptors = len(os.listdir(f"/proc/{self.up.pid}/fd"))
        except OSError:
            return
        self.samples.append((time.monotonic() - began, int(status["VmRSS"].split()[0]), descriptors, int(status["Threads"])))

    # ---- the run ----

    def run(self):
        self.write_manifest()
        with open(self.dir / "stderr.txt", "wb") as stderr:
            self.up = self.start("up", "--json", stdout=subprocess.PIPE, stderr=stderr)
        self.said = Listener(self.up.stdout)
        while not any(event["event"] == "started" for event in self.said.events):
            if self.up.poll() is not None:
                print((self.dir / "stderr.txt").read_text(), file=sys.stderr)
                return 2
            time.sleep(0.05)
        follower = self.start("events", "-f", "--json", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.heard = Listener(follower.stdout)
        began = time.monotonic()
        deeds = (self.kill_one, self.kill_one, self.kill_one, self.restart_one, self.client_comes, self.client_comes)
        next_reload, next_sample = began + 3, began
        while (now := time.monotonic()) < began + self.options.seconds and self.up.poll() is None:
            if now >= next_sample:
                self.sample(began)
                next_sample = now + 0.5
            if now >= next_reload:
                self.reload()
                next_reload = now + 1 + 4 * self.rng.random()
            if len(self.clients) < 10 or self.rng.random() < 0.5:
                self.rng.choice(deeds)()
            self.clients_go()
            time.sleep(0.02 + 0.15 * self.rng.random())
        self.check(self.up.poll() is None, f"weft up ended by itself, with status {self.up.poll()}")
        self.clients_go(all_of_them=True)
        if self.up.poll() is None:
            self.end()
        follower.wait(HANGS_S)
        self.heard.join(HANGS_S)
        self.look()
        return 1 if self.wrong else 0

    def end(self):
        groups = [child["id"] for child in self.children() if "/" not in child["id"]]
        stubborn = sum(child.get("copies", 1) for group in self.manifest.groups for child in group["children"])
        before = len(self.said.events)
        asked = time.monotonic()
        self.up.send_signal(signal.SIGTERM)
        try:
            # One after the other, each at most its grace; and some time for a busy machine.
            status = self.up.wait(GRACE_S * stubborn + 30)
        except subprocess.TimeoutExpired:
            self.check(False, f"SIGTERM did not end it within {GRACE_S * stubborn + 30:.0f} s")
            self.up.kill()
            status = self.up.wait(HANGS_S)
        self.end_s = time.monotonic() - asked
        self.said.join(HANGS_S)
        self.check(status == 0, f"SIGTERM: exit status {status}")
        ended = [event["id"] for event in self.said.events[before:] if event["event"] == "exited" and event["id"] in groups]
        wanted = [id for id in reversed(groups) if id in ended]
        self.check(ended == wanted, f"the groups ended in the order {ended}, started were {groups}")

    def look(self):
        self.check(not self.said.odd, f"lines of weft up that are no JSON: {self.said.odd[:3]}")
        runs, starts = collections.Counter(), collections.Counter()
        for event in self.said.events:
            if event["event"] == "started":
                starts[event["id"]] += 1
                runs[event["id"]] += 1
                self.check(runs[event["id"]] == 1, f"{event['id']} was started while it ran")
            elif event["event"] == "exited":
                runs[event["id"]] -= 1
                self.check(runs[event["id"]] == 0, f"{event['id']} exited without a start")
        left = [id for id, count in runs.items() if count != 0]
        self.check(not left, f"starts without an exit: {left}")
        self.starts = sum(starts.values())
        # A follower hears the same, from where it came in.
        said = [(event["time"], event["event"], event.get("id")) for event in self.said.events]
        heard = [(event["time"], event["event"], event.get("id")) for event in self.heard.events]
        if heard and heard[0] in said:
            first = said.index(heard[0])
            same = said[first:first + len(heard)] == heard
            self.check(same, "a follower (weft events -f) has missed something")
            self.check(len(said) == first + len(heard), f"a follower missed the last {len(said) - first - len(heard)} events")
        else:
            self.check(False, f"a follower heard nothing that weft up said ({len(heard)} events)")
        third = len(self.samples) // 3
        if third < 10:
            print("soak: too short to say anything of memory")
            return
        # Not the very first: everything starts then.
        first, last = self.samples[third // 4:third], self.samples[-third:]

        def middle(samples, which):
            return sorted(sample[which] for sample in samples)[len(samples) // 2]

        self.flat = [(middle(first, which), middle(last, which)) for which in (1, 2, 3)]
        (rss, rss_later), (fds, fds_later), (threads, threads_later) = self.flat
        self.check(rss_later <= rss * RSS_GROWTH + RSS_SLACK_KIB, f"memory grew from {rss} KiB to {rss_later} KiB")
        self.check(fds_later <= fds + FDS_SLACK, f"descriptors grew from {fds} to {fds_later}")
        self.check(threads_later <= threads + FDS_SLACK, f"threads grew from {threads} to {threads_later}")

    def summary(self):
        print(f"soak: {self.options.seconds} s, seed {self.options.seed}: {self.starts} starts, each with its exit; {len(self.said.events)} events, "
              f"{self.said.outputs} lines of output")
        print("soak: done: " + ", ".join(f"{what} {count}" for what, count in sorted(self.done.items())))
        if hasattr(self, "flat"):
            for what, (before, after) in zip(("memory, KiB", "descriptors", "threads"), self.flat):
                print(f"soak: {what}: {before} in the first third, {after} in the last")
        if hasattr(self, "end_s"):
            print(f"soak: SIGTERM to the end: {self.end_s:.1f} s")
        print("soak: fine" if not self.wrong else f"soak: {len(self.wrong)} things are wrong, see {self.dir}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("SOAK_SECONDS", "600")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(1 << 30))))
    parser.add_argument("--weft", default=os.environ.get("WEFT") or str(ROOT / "build/dev/bin/weft"))
    parser.add_argument("--keep", action="store_true", help="keep the directory of the run")
    options = parser.parse_args()
    options.weft = str(pathlib.Path(options.weft).resolve())
    soak = Soak(options)
    print(f"soak: {options.seconds:.0f} s, seed {options.seed}, in {soak.dir}", flush=True)
    status = 2
    try:
        status = soak.run()
        if status != 2:
            soak.summary()
    finally:
        for process in [soak.up] + [client for client, _ in soak.clients] if hasattr(soak, "up") else []:
            if process.poll() is None:
                process.kill()
                process.wait()
        if status == 0 and not options.keep:
            shutil.rmtree(soak.dir)
    return status


if __name__ == "__main__":
    sys.exit(main())
