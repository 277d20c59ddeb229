"""weft up and the commands that talk to it: start and stop in order, restarts, give up, reload, health, clients, what a kill leaves behind."""
import json
import os
import pathlib
import pty
import re
import signal
import socket
import stat
import subprocess
import tomllib
import unittest

from support import HANGS_S, ROOT, WEFT
from up_support import TOP, UpTest, all_in_state, child

CONTROL = "weft/up-{}.sock"


class Life(UpTest):
    """Starts, stops, restarts, ends."""

    def test_starts_and_stops_in_order(self):
        waits = 'stdin = "inherit"'
        self.manifest(TOP + child("a", "ready_then_read", waits) + '[[group]]\nid = "g"\n' + child("b", "ready_then_read", waits, table="group.child")
                      + child("c", "ready_then_read", waits))
        up = self.up("--json")
        self.all_run(up)
        # Its standard input stays open: that all ended at the end of it would prove nothing.
        self.signal(up, signal.SIGTERM)
        out = up.stdout.read().decode()
        self.assertEqual(up.wait(HANGS_S), 0, out)
        events = [(e["event"], e["id"]) for e in self.events(out) if e["event"] in ("started", "exited") and e["id"] != "g"]
        self.assertEqual(events, [("started", "a"), ("started", "g/b"), ("started", "c"), ("exited", "c"), ("exited", "g/b"), ("exited", "a")])
        # They were asked, and ended by themselves.
        self.assertEqual({e["exit"]["kind"] for e in self.events(out) if e["event"] == "exited" and e["id"] != "g"}, {"returned"})
        self.assertEqual(os.listdir(self.dir / "runtime/weft"), [])

    def test_plain_lines_and_prefixed_output(self):
        self.manifest(TOP + child("job", "hello", 'restart = "temporary"') + child("bare", "hello", 'restart = "temporary"', 'output = "plain"')
                      + child("none", "hello", 'restart = "temporary"', 'output = "none"', 'output-file = "out.txt"'))
        answer = self.weft("up")
        self.assertEqual(answer.status, 0, answer)
        self.assertEqual(sorted(answer.out.splitlines()), ["[job] hello", "hello"])
        self.assertIn("weft: shop: job started\n", answer.err)
        self.assertIn("weft: shop: all children have ended\n", answer.err)
        self.assertEqual((self.dir / "out.txt").read_text(), "hello\n")
        self.assertEqual(self.weft("up", "--quiet").err, "")

    def test_json_lines_hold_events_and_output(self):
        self.manifest(TOP + child("job", "hello", 'restart = "temporary"'))
        answer = self.weft("up", "--json")
        self.assertEqual((answer.status, answer.err), (0, ""), answer)
        events = [json.loads(line) for line in answer.out.splitlines()]
        self.assertEqual([e["text"] for e in events if e["event"] == "output"], ["hello"])
        self.assertEqual([e["event"] for e in events if e.get("id") == "job" and e["event"] != "output"], ["started", "exited", "removed"])
        for event in events:
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_all_ended_and_one_badly(self):
        self.manifest(TOP + child("well", "hello", 'restart = "transient"') + child("badly", "trap_in_start", 'restart = "temporary"'))
        self.assertEqual(self.weft("up").status, 1)

    def test_a_crashing_child_is_restarted_with_growing_pauses_until_it_is_given_up(self):
        self.manifest('name = "s"\nmax-restarts = 4\nbackoff = { first = "4ms", jitter = 0 }\n' + child("c", "trap_in_start"))
        answer = self.weft("up", "--json")
        self.assertEqual(answer.status, 75, answer)
        events = self.events(answer.out)
        self.assertEqual([e["delay_ns"] for e in events if e["event"] == "restarting"], [4_000_000, 8_000_000, 16_000_000, 32_000_000])
        self.assertEqual([e["restarts"] for e in events if e["event"] == "started"], [0, 1, 2, 3, 4])
        self.assertEqual([e["id"] for e in events if e["event"] == "gave up"], ["c"])
        self.assertIn("more than 4 restarts", events[-1]["message"])

    def test_a_group_that_gives_up_is_its_supervisors_matter(self):
        self.manifest('name = "s"\nmax-restarts = 1\nbackoff = { first = "1ms" }\n' + child("other", "ready_then_sleep", 'grace = "0s"')
                      + '[[group]]\nid = "g"\nmax-restarts = 1\nbackoff = { first = "1ms" }\n' + child("c", "trap_in_start", table="group.child"))
        answer = self.weft("up", "--json")
        self.assertEqual(answer.status, 75, answer)
        gave_up = [e["id"] for e in self.events(answer.out) if e["event"] == "gave up"]
        self.assertEqual(gave_up, ["g/c", "g/c", "g"])

    def test_a_child_that_never_stops_is_killed_after_its_grace(self):
        self.manifest(TOP + child("stubborn", "ready_then_loop", 'grace = "50ms"'))
        up = self.up("--json")
        self.all_run(up)
        answer = self.stop(up)
        self.assertEqual(answer.status, 0, answer)
        events = [e["event"] for e in self.events(answer.out) if e.get("id") == "stubborn"]
        self.assertEqual([e for e in events if e != "output"], ["started", "stopping", "killing", "exited"])

    def test_a_second_signal_kills(self):
        self.manifest(TOP + child("stubborn", "ready_then_loop", 'grace = "forever"'))
        up = self.up("--json")
        self.all_run(up)
        self.signal(up, signal.SIGTERM)
        self.ps_until(up, lambda all: all["stubborn"]["state"] == "stopping")
        self.signal(up, signal.SIGTERM)
        answer = self.finish(up)
        self.assertEqual(answer.status, 143, answer)

    def test_a_stuck_guest_is_restarted_by_its_health_check(self):
        self.manifest(TOP + child("stuck", "ready_then_loop", 'health = { interval = "100ms" }')
                      + child("well", "alive", 'health = { interval = "20s" }'))
        up = self.up("--json")
        children = self.ps_until(up, lambda all: all["stuck"]["restarts"] >= 2)
        self.assertGreaterEqual(children["stuck"]["unhealthy"], 2)
        self.assertEqual((children["well"]["restarts"], children["well"]["unhealthy"]), (0, 0))
        self.assertIn("health check: did not call weft.alive within 100ms", children["stuck"]["last_end"])
        self.assertEqual(self.stop(up).status, 0)

    def test_a_guest_that_reports_stays(self):
        # Many intervals, each much longer than its pauses; the run is over when it has used up so much time on workers.
        self.manifest(TOP + child("well", "alive", 'health = { interval = "2s", start = "60s" }'))
        up = self.up("--json")
        first = self.all_run(up)["well"]["process"]
        children = self.ps_until(up, lambda all: all["well"]["uptime_ns"] > 3_000_000_000)
        self.assertEqual((children["well"]["process"], children["well"]["unhealthy"]), (first, 0))
        self.assertEqual(self.weft("-q", "--timeout", "100ms", self.wat("alive")).status, 124)

    def test_a_thousand_children(self):
        self.manifest(TOP + child("c", "ready_then_sleep", "copies = 1000", 'grace = "0s"', 'output = "none"') + 'stdin = "empty"\n')
        up = self.up("--json")
        children = self.all_run(up)
        self.assertEqual(len(children), 1000)
        answer = self.stop(up)
        self.assertEqual(answer.status, 0)
        ready = [e for e in self.events(answer.out) if e["event"] == "ready"]
        self.assertRegex(ready[0]["message"], r"^all 1,000 children run after ")  # nobody has read this pipe until now
        print(ready[0]["message"])


class Reload(UpTest):
    def test_only_what_changed_is_restarted(self):
        sleep = "ready_then_sleep"
        grace = 'grace = "0s"'
        self.manifest(TOP + child("same", sleep, grace) + child("other", sleep, grace) + child("gone", sleep, grace)
                      + '[[group]]\nid = "g"\n' + child("same", sleep, grace, table="group.child") + child("other", sleep, grace, table="group.child"))
        up = self.up("--json")
        before = self.all_run(up)
        self.manifest(TOP + "# nothing\n" + child("same", sleep, grace) + child("other", sleep, grace, 'max-memory = "1MiB"') + child("new", sleep, grace)
                      + '[[group]]\nid = "g"\n' + child("same", sleep, grace, table="group.child")
                      + child("other", sleep, grace, "args = ['x']", table="group.child"))
        self.signal(up, signal.SIGHUP)
        said = self.read_until(up.stdout, '"event":"reloaded"')
        self.assertIn("1 added, 1 removed, 2 changed", said)
        after = self.all_run(up)
        self.assertEqual(set(after), {"same", "other", "new", "g", "g/same", "g/other"})
        for id in ("same", "g/same"):
            self.assertEqual(after[id]["process"], before[id]["process"], id)
        for id in ("other", "g/other"):
            self.assertNotEqual(after[id]["process"], before[id]["process"], id)
        self.assertEqual(self.stop(up).status, 0)

    def test_a_module_that_is_there_is_not_compiled_again(self):
        ids = "abcd"
        manifest = lambda changed: TOP + "".join(child(id, "ready_then_sleep", 'grace = "0s"', f"args = ['{id in changed}']") for id in ids)
        self.manifest(manifest(""))
        up = self.up("--json")
        self.all_run(up)
        # Each module that was compiled has a file without a name, with what is in its memory at first.
        images = lambda: sum(os.readlink(fd).startswith("/memfd:") for fd in pathlib.Path(f"/proc/{up.pid}/fd").iterdir())
        self.assertEqual(images(), 1)
        for changed in ("a", "ab", "abc"):
            self.manifest(manifest(changed))
            self.signal(up, signal.SIGHUP)
            self.assertIn("1 changed", self.read_until(up.stdout, '"event":"reloaded"'))
            self.all_run(up)
        self.assertEqual(images(), 1)
        self.assertEqual(self.stop(up).status, 0)

    def test_asked_for_while_it_starts_it_comes_after_that(self):
        self.manifest(TOP + child("a", "ready_then_sleep", 'grace = "0s"'))
        up = self.up("--json", "--metrics", "127.0.0.1:0")
        self.read_until(up.stdout, '"event":"metrics"')  # it compiles now
        self.manifest(TOP + child("a", "ready_then_sleep", 'grace = "0s"') + child("b", "ready_then_sleep", 'grace = "0s"'))
        self.signal(up, signal.SIGHUP)
        self.read_until(up.stdout, '"event":"reloaded"')
        self.assertEqual(set(self.all_run(up)), {"a", "b"})
        self.assertEqual(self.stop(up).status, 0)

    def test_a_module_written_anew_is_a_change(self):
        self.manifest(TOP + child("a", "ready_then_sleep", 'grace = "0s"') + child("b", "ready_then_loop", 'grace = "0s"'))
        up = self.up("--json")
        before = self.all_run(up)
        text = (self.dir / "ready_then_sleep.wat").read_text()
        (self.dir / "ready_then_sleep.wat").write_text(";; another\n" + text)
        self.signal(up, signal.SIGHUP)
        self.assertIn("1 changed", self.read_until(up.stdout, '"event":"reloaded"'))
        after = self.all_run(up)
        self.assertNotEqual(after["a"]["process"], before["a"]["process"])
        self.assertEqual(after["b"]["process"], before["b"]["process"])

    def test_a_wrong_manifest_changes_nothing_and_says_why(self):
        good = TOP + child("a", "ready_then_sleep", 'grace = "0s"')
        self.manifest(good)
        up = self.up()
        before = self.all_run(up)
        for wrong, why in ((good + 'tiemout = "3s"\n', "unknown key 'tiemout'"), (good.replace("ready_then_sleep", "gone"), "is not there"),
                           ('name = "other"\n' + child("a", "hello"), "name cannot change"), (good + child("b", "unknown_import"), "b: "),
                           ("strategy = 'one_for_all'\n" + good, "start it again")):
            self.manifest(wrong)
            self.signal(up, signal.SIGHUP)
            self.assertIn(why, self.read_until(up.stderr, "nothing was changed"))
            self.assertEqual(self.all_run(up)["a"]["process"], before["a"]["process"])
        self.manifest(good)
        self.signal(up, signal.SIGHUP)
        self.read_until(up.stderr, "reloaded: nothing has changed")


class Clients(UpTest):
    def start_two(self, *args):
        self.manifest(TOP + child("a", "ready_then_sleep", 'grace = "0s"') + '[[group]]\nid = "g"\n'
                      + child("b", "ready_then_sleep", 'grace = "0s"', "copies = 2", table="group.child"))
        up = self.up("--json", *args)
        return up, self.all_run(up)

    def test_ps_kill_restart_logs_events(self):
        up, before = self.start_two()
        table = self.weft("ps").out
        self.assertRegex(table, r"shop \(running\), process \d+, since .*: 3 of 3 run\n")
        self.assertRegex(table, r"\n  b#2 +running +\d+ +0 ")
        answer = self.weft("kill", "--json", "a")
        self.assertEqual((answer.status, json.loads(answer.out)["ok"]), (0, True), answer)
        after = self.ps_until(up, lambda all: all["a"]["restarts"] == 1 and all["a"]["state"] == "running")
        self.assertNotEqual(after["a"]["process"], before["a"]["process"])
        self.assertIn("weft kill", after["a"]["last_end"])
        self.assertEqual(self.weft("restart", "g/b#1").out, "g/b#1: restarted\n")
        now = self.all_run(up)
        self.assertNotEqual(now["g/b#1"]["process"], before["g/b#1"]["process"])
        self.assertEqual(now["g/b#2"]["process"], before["g/b#2"]["process"])
        self.assertEqual(now["g/b#1"]["restarts"], 0)
        while self.weft("logs", "a").out != "ready\nready\n":
            self.assertIsNone(up.poll())
        logs = [json.loads(line) for line in self.weft("logs", "--json", "g").out.splitlines()]
        self.assertEqual({line["id"] for line in logs}, {"g/b#1", "g/b#2"})
        self.assertEqual(self.weft("logs", "-n", "1", "a").out, "ready\n")
        events = [json.loads(line) for line in self.weft("events", "--json").out.splitlines()]
        self.assertEqual([e["event"] for e in events if e.get("id") == "a"], ["started", "exited", "restarting", "started"])
        self.assertIn("shop: a started", self.weft("events").out)
        self.assertEqual(self.weft("events", "-n", "1").out.count("\n"), 1)

    def test_of_a_group_and_of_all_copies(self):
        up, before = self.start_two()
        self.assertEqual(self.weft("restart", "g/b").status, 0)
        after = self.all_run(up)
        for id in ("g/b#1", "g/b#2"):
            self.assertNotEqual(after[id]["process"], before[id]["process"])
        self.assertEqual(self.weft("kill", "g").status, 0)
        again = self.ps_until(up, lambda all: all_in_state(all, "running") and all["g/b#1"]["process"] > after["g/b#2"]["process"])
        self.assertEqual(again["a"]["process"], before["a"]["process"])

    def test_following_logs_and_events(self):
        up, _ = self.start_two()
        logs = self.start("logs", "-f", "-n", "0", "a")
        events = self.start("events", "-f", "--json", "-n", "1")
        self.assertIn(b'"event"', events.stdout.readline())  # the last event so far: it follows from here on
        self.assertEqual(self.weft("kill", "a").status, 0)
        self.read_until(events.stdout, '"event":"exited"')
        # `logs` may have begun after that kill; so again, until a line comes.
        os.set_blocking(logs.stdout.fileno(), False)
        while logs.stdout.read() is None:
            self.weft("kill", "a")
        self.stop(up)
        # Also of the end.
        self.assertIn(b'"event":"exit"', events.stdout.read())
        self.assertEqual(events.wait(HANGS_S), 0)
        self.assertEqual(logs.wait(HANGS_S), 0)

    def test_top(self):
        self.start_two()
        lines = [json.loads(line) for line in self.weft("top", "--json", "--every", "100ms", "-n", "2").out.splitlines()]
        self.assertEqual(len(lines), 2)
        self.assertTrue(all("cpu_percent" in c for c in lines[1]["children"] if c["kind"] == "child"))
        for order in ("cpu", "memory", "restarts", "tree"):
            self.assertIn("CPU %", self.weft("top", "--sort", order).out)

    def test_mistakes(self):
        self.start_two()
        self.assert_says(self.weft("kill", "nobody"), 66, "nobody: no such child")
        self.assert_says(self.weft("restart", "g/nobody"), 66, "g/nobody: no such child")
        self.assert_says(self.weft("logs", "nobody"), 66, "nobody: no such child")
        self.assert_says(self.weft("kill", "a b"), 2, "'a b' is no id")
        self.assert_says(self.weft("ps", "--system", "shpo"), 69, "no system named shpo", "did you mean shop?")
        self.assertEqual(self.weft("ps", "-s", "shop").status, 0)
        self.assertEqual(self.weft("ps", "-s", "./weft.toml").status, 0)

    def test_nothing_runs(self):
        for args in (["ps"], ["top"], ["kill", "a"], ["restart", "a"], ["logs"], ["events"]):
            self.assert_says(self.weft(*args), 69, "no system of this user is running; weft up weft.toml starts one")

    def test_several_run(self):
        self.manifest(TOP + child("a", "ready_then_sleep"))
        self.manifest('name = "two"\n' + child("a", "ready_then_sleep"), "two.toml")
        one, two = self.up("--json"), self.up("--json", "two.toml")
        for up in (one, two):
            self.read_until(up.stdout, '"event":"ready"')
        self.assertEqual(self.ps()["system"], "shop")  # that of ./weft.toml
        os.remove(self.dir / "weft.toml")
        self.assert_says(self.weft("ps"), 2, "say which with --system: shop, two")
        self.assertEqual(self.ps("-s", "two.toml")["system"], "two")

    def test_the_socket_is_this_users_alone_and_bears_anything(self):
        up, _ = self.start_two()
        path = self.dir / "runtime" / CONTROL.format("shop")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        for sent in (b"", b"ps", b"frobnicate\n", b"\0\xff" * 5000, b"kill " + b"a" * 100_000 + b"\n", b"logs 1 end a b c\n"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                try:
                    client.sendall(sent)
                except OSError:
                    pass  # it has hung up already
        self.assertIsNotNone(self.ps())
        self.assertIsNone(up.poll())

    def test_metrics(self):
        up = self.start_two("--metrics", "127.0.0.1:0")[0]
        port = int(self.ps()["metrics"].rsplit(":", 1)[1])

        def get(request):
            with socket.create_connection(("127.0.0.1", port), timeout=HANGS_S) as client:
                client.sendall(request)
                return b"".join(iter(lambda: client.recv(65536), b"")).decode()

        text = get(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        head, body = text.split("\r\n\r\n")
        self.assertIn("text/plain; version=0.0.4", head)
        self.assertIn('weft_children{system="shop",state="running"} 3\n', body)
        self.assertIn('weft_child_up{system="shop",child="g/b#2"} 1\n', body)
        for name in set(re.findall(r"^([a-z_]+)\{", body, re.M)):
            self.assertRegex(body, rf"(?m)^# HELP {name} .+\n# TYPE {name} (gauge|counter)$")
        self.assertTrue(get(b"GET /x HTTP/1.0\r\n\r\n").startswith("HTTP/1.0 404 "))
        self.assertEqual(get(b"garbage\r\n\r\n"), "")
        with self.subTest("the port is taken"):
            self.manifest('name = "two"\n' + child("a", "ready_then_sleep"), "two.toml")
            self.assert_says(self.weft("up", "two.toml", "--metrics", f"127.0.0.1:{port}"), 66, "cannot listen there")
        for wrong in ("0.0.0.0:9464", "192.168.1.1:80", "[::]:1", "9464", "127.0.0.1", "example.com:80"):
            self.assert_says(self.weft("up", "two.toml", "--metrics", wrong), 2, "loopback")
        self.assertEqual(self.stop(up).status, 0)


class BadInput(UpTest):
    def test_every_mistake_is_said_and_nothing_starts(self):
        self.manifest('nam = "x"\n' + child("a b", "hello") + child("c", "gone") + 'max-memory = "lots"\n')
        answer = self.weft("up")
        self.assertEqual(answer.status, 2, answer)
        self.assertEqual(answer.err.splitlines(), [
            "weft: weft.toml: 5 mistakes",
            "weft.toml:1:1: unknown key 'nam'; did you mean name?",
            "weft.toml:1:1: the system has no name; say name = \"…\"",
            "weft.toml:3:6: id = a b: must be letters, digits, '-', '_' and '.', at most 64, beginning with a letter or digit",
            "weft.toml:7:10: module: gone.wat is not there",
            "weft.toml:8:14: max-memory = lots: 'lots' is not a size: write a number and a suffix, such as 512K, 64MiB or 2GB",
        ])
        self.assertEqual(answer.out, "")

    def test_no_manifest(self):
        self.assert_says(self.weft("up"), 66, "weft.toml: no such file")
        self.assert_says(self.weft("up", "."), 66, "is a directory")

    def test_modules_that_cannot_run_are_all_said_with_their_place(self):
        (self.dir / "broken.wat").write_text("(module")
        self.manifest(TOP + child("a", "hello") + child("b", "broken") + child("c", "unknown_import"))
        answer = self.weft("up")
        self.assertEqual((answer.status, answer.out), (65, ""), answer)
        self.assertIn("weft: weft.toml: 2 mistakes\nweft.toml:8:10: b: ", answer.err)
        self.assertIn("weft.toml:11:10: c: ", answer.err)
        self.assertEqual(os.listdir(self.dir / "runtime/weft"), [])

    def test_check_starts_nothing(self):
        self.manifest(TOP + child("a", "hello", "copies = 3"))
        answer = self.weft("up", "--check")
        self.assertEqual((answer.status, answer.out, answer.err), (0, "weft.toml: fine: shop, 3 children\n", ""))

    def test_a_name_is_taken_once(self):
        self.manifest(TOP + child("a", "ready_then_sleep", 'grace = "0s"'))
        up = self.up("--json")
        before = self.all_run(up)
        self.assert_says(self.weft("up"), 69, "a system named shop runs already", f"process {up.pid}")
        self.assertEqual(self.all_run(up)["a"]["process"], before["a"]["process"])
        self.assertEqual(self.stop(up).status, 0)

    def test_after_a_sigkill_the_next_start_says_so(self):
        self.manifest(TOP + child("a", "ready_then_sleep", 'grace = "0s"'))
        up = self.up("--json")
        self.all_run(up)
        up.kill()
        up.wait(HANGS_S)
        self.assert_says(self.weft("ps"), 69, "no system named shop", f"process {up.pid}", "did not end in order")
        again = self.up()
        said = self.read_until(again.stderr, "a started")
        self.assertIn(f"process {up.pid}", said)
        self.assertIn("did not end in order", said)
        self.assertEqual(self.stop(again).status, 0)
        # After an orderly end there is nothing to tell.
        third = self.up()
        self.assertNotIn("in order", self.read_until(third.stderr, "a started"))

    def test_a_record_that_is_damaged_does_not_matter(self):
        (self.dir / "runtime/weft").mkdir(mode=0o700)
        (self.dir / "runtime/weft/up-shop.state").write_bytes(b"\xff{")
        self.manifest(TOP + child("job", "hello", 'restart = "temporary"'))
        self.assertEqual(self.weft("up").status, 0)

    def test_a_directory_that_others_may_write_to_is_refused(self):
        (self.dir / "runtime/weft").mkdir()
        (self.dir / "runtime/weft").chmod(0o777)
        self.manifest(TOP + child("a", "hello"))
        self.assert_says(self.weft("up"), 66, "must be a directory of this user that others cannot write to")


class Terminal(UpTest):
    def test_the_table_is_drawn_and_taken_away(self):
        self.manifest(TOP + child("cart", "ready_then_sleep", 'grace = "0s"') + child("mailer", "ready_then_sleep", 'grace = "0s"'))
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        up = subprocess.Popen([WEFT, "up"], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=self.env, cwd=self.dir)
        os.close(theirs)
        said = b""

        def until(pattern):
            nonlocal said
            while not re.search(pattern, said):
                said += os.read(ours, 4096)

        until(rb"ID +STATE +PROCESS +RESTARTS +UPTIME +CPU % +MEMORY +LAST END\r\ncart +running +\d+ .*\r\nmailer +running")
        until(rb"\[mailer\] ready")
        self.assertEqual(self.weft("kill", "cart").status, 0)
        until(rb"cart +running +\d+ +1 ")
        up.send_signal(signal.SIGINT)
        try:
            while True:
                said += os.read(ours, 4096)
        except OSError:
            pass  # the end of the terminal
        self.assertEqual(up.wait(HANGS_S), 0)
        # What stays on the screen: no table.
        self.assertNotIn("RESTARTS", screen(said.decode(errors="replace"))[-1])
        self.assertFalse(any("RESTARTS" in line for line in screen(said.decode(errors="replace"))), screen(said.decode(errors="replace")))

    def test_plain_on_a_terminal(self):
        self.manifest(TOP + child("job", "hello", 'restart = "temporary"'))
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        up = subprocess.Popen([WEFT, "up", "--plain"], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=self.env, cwd=self.dir)
        os.close(theirs)
        said = b""
        try:
            while True:
                said += os.read(ours, 4096)
        except OSError:
            pass
        self.assertEqual(up.wait(HANGS_S), 0)
        self.assertIn(b"shop: job started", said)
        self.assertNotIn(b"\x1b", said)


def screen(text):
    """The lines that a terminal shows in the end: knows what the table uses, carriage return, up, erase."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\d*[A-Za-z]|[^\x1b]", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif part.startswith("\x1b"):
            count = int(part[2:-1] or 0)
            if part[-1] == "A":
                row = max(0, row - max(count, 1))
            elif part[-1] == "K":
                lines[row] = lines[row][:column]
            elif part[-1] == "J":
                lines[row] = lines[row][:column]
                del lines[row + 1 :]
        else:
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + 1 :]
            column += 1
    return lines


class Schema(UpTest):
    """As much of JSON Schema as ours uses."""

    def complaints(self, value, schema, root, at="$"):
        if "$ref" in schema:
            target = root
            for name in schema["$ref"].split("/")[1:]:
                target = target[name]
            return self.complaints(value, target, root, at)
        if "anyOf" in schema:
            return [] if any(not self.complaints(value, each, root, at) for each in schema["anyOf"]) else [f"{at}: fits none"]
        types = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
        wanted = schema.get("type")
        if wanted:
            names = wanted if isinstance(wanted, list) else [wanted]
            fits = any(isinstance(value, types[n]) and (n == "boolean" or not isinstance(value, bool)) for n in names)
            if not fits:
                return [f"{at}: is no {wanted}"]
        found = []
        if "enum" in schema and value not in schema["enum"] or "const" in schema and value != schema["const"]:
            found.append(f"{at}: is not one of those")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            found.append(f"{at}: does not fit {schema['pattern']}")
        if not schema.get("minimum", value) <= value if isinstance(value, int) and "minimum" in schema else False:
            found.append(f"{at}: too small")
        if isinstance(value, dict):
            found += [f"{at}: no {name}" for name in schema.get("required", []) if name not in value]
            for name, item in value.items():
                inner = schema.get("properties", {}).get(name, schema.get("additionalProperties", True))
                if inner is False:
                    found.append(f"{at}: unknown {name}")
                elif isinstance(inner, dict):
                    found += self.complaints(item, inner, root, f"{at}.{name}")
        if isinstance(value, list) and "items" in schema:
            for index, item in enumerate(value):
                found += self.complaints(item, schema["items"], root, f"{at}[{index}]")
        return found

    def test_our_manifests_conform_and_wrong_ones_do_not(self):
        schema = json.loads(self.weft("up", "--schema").out)
        paths = [ROOT / "src/cli/manifest_fuzz_corpus/whole.toml", *sorted((ROOT / "examples/up").glob("*.toml"))]
        self.assertGreater(len(paths), 1)
        for path in paths:
            self.assertEqual(self.complaints(tomllib.loads(path.read_text()), schema, schema), [], path)
        good = tomllib.loads(TOP + child("a", "hello"))
        self.assertEqual(self.complaints(good, schema, schema), [])
        for change in ({"name": "a b"}, {"nam": "x"}, {"child": {}}, {"child": [{"id": "x"}]}, {"strategy": "none"}, {"log-lines": "7"},
                       {"period": "5 weeks"}, {"backoff": {"fist": 1}}, {"no-cache": 1}):
            self.assertNotEqual(self.complaints({**good, **change}, schema, schema), [], change)


if __name__ == "__main__":
    unittest.main()
