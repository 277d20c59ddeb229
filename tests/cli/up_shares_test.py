"""What children of weft up share by the manifest: channels and regions."""
import json
import re
import signal
import unittest

from support import ROOT
from up_support import TOP, UpTest, child


def channel(name, sends, receives, *more):
    return f'[[channel]]\nname = "{name}"\nfrom = {json.dumps(sends)}\nto = {json.dumps(receives)}\n' + "".join(line + "\n" for line in more)


def region(name, size, children, *more):
    return f'[[region]]\nname = "{name}"\nsize = {json.dumps(size)}\nchildren = {json.dumps(children)}\n' + "".join(line + "\n" for line in more)


class Channels(UpTest):
    def test_the_example_ends_with_its_sum(self):
        answer = self.weft("up", str(ROOT / "examples/up/pipeline.toml"), "--quiet")
        self.assertEqual((answer.status, answer.out, answer.err), (0, "[collector] 333833500\n", ""))

    def test_messages_survive_the_restart_of_a_child(self):
        self.manifest(TOP + child("one", "channel_receive_one", 'restart = "transient"', 'output = "plain"') + child("sends", "channel_send", 'restart = "temporary"')
                      + channel("c", ["sends"], ["one"]))
        answer = self.weft("up", "--quiet")
        self.assertEqual((answer.status, answer.out), (0, "a\nb\nend\n"), answer)

    def test_an_end_for_each_copy_and_for_members_of_groups(self):
        self.manifest(TOP + '[[group]]\nid = "g"\n' + child("some", "channel_receive_one", 'restart = "temporary"', 'output = "plain"', "copies = 3", table="group.child")
                      + child("sends", "channel_send", 'restart = "temporary"') + channel("c", "sends", "g/some"))
        answer = self.weft("up", "--quiet")
        self.assertEqual(sorted(answer.out.split()), ["a", "b", "end"], answer)
        # Of a broadcast each of them gets the first one: they are receivers before the sender starts.
        text = (self.dir / "weft.toml").read_text()
        self.manifest(text + 'kind = "broadcast"\n')
        answer = self.weft("up", "--quiet")
        self.assertEqual(answer.out, "a\na\na\n", answer)

    def test_a_broadcast_is_subscribed_anew_at_each_start(self):
        self.manifest(TOP + child("one", "channel_receive_one", 'restart = "transient"', 'output = "plain"') + child("sends", "channel_send", 'restart = "temporary"')
                      + channel("c", "sends", "one", 'kind = "broadcast"', "capacity = 1"))
        # No message ends it well.
        (self.dir / "channel_send.wat").write_text((self.dir / "channel_send.wat").read_text().replace("nend", "nand"))
        up = self.up("--json")
        # It is the only receiver, and gone while it waits to be restarted: what comes meanwhile is for nobody, and holds nobody back.
        self.ps_until(up, lambda all: all["one"]["restarts"] >= 1 and all["one"]["state"] == "running" and all["sends"]["state"] == "stopped")
        self.signal(up, signal.SIGTERM)
        self.signal(up, signal.SIGTERM)
        self.finish(up)

    def test_a_oneshot_is_closed_after_its_message(self):
        self.manifest(TOP + child("one", "channel_receive_one", 'restart = "transient"', 'output = "plain"') + child("sends", "channel_send", 'restart = "temporary"')
                      + channel("c", "sends", "one", 'kind = "oneshot"'))
        answer = self.weft("up", "--quiet")
        self.assertEqual((answer.status, answer.out), (1, "a\n"), answer)

    def test_children_that_wait_are_stopped(self):
        waits = 'grace = "100ms"'
        self.manifest(TOP + child("receives", "channel_receive_one", waits) + child("full", "channel_send", waits) + child("idle", "ready_then_sleep", waits)
                      + channel("c", "idle", "receives") + channel("d", "full", "idle")
                      + "# the guests ask for c\n")
        (self.dir / "channel_send.wat").write_text((self.dir / "channel_send.wat").read_text().replace('"ca\\nb', '"da\\nb'))
        self.manifest((self.dir / "weft.toml").read_text().replace('name = "d"', 'name = "d"\ncapacity = 1'))
        up = self.up("--json")
        self.all_run(up)
        self.assertEqual(self.stop(up).status, 0)

    def test_a_reload_makes_replaces_and_takes_away(self):
        sleep = ("ready_then_sleep", 'grace = "0s"')
        children = TOP + "".join(child(id, *sleep) for id in "abcd")
        self.manifest(children + channel("kept", "a", "d") + channel("x", "b", "c"))
        up = self.up("--json", "--metrics", "127.0.0.1:0")
        before = self.all_run(up)

        def reload(more, summary, changed):
            nonlocal before
            self.manifest(children + channel("kept", "a", "d") + more)
            self.signal(up, signal.SIGHUP)
            self.assertIn(summary, self.read_until(up.stdout, '"event":"reloaded"'))
            after = self.all_run(up)
            self.assertEqual("".join(id for id in "abcd" if after[id]["process"] != before[id]["process"]), changed)
            before = after
        reload(channel("x", "b", "c", "capacity = 3"), "2 changed", "bc")
        reload(channel("x", "b", "c", "capacity = 3") + channel("y", "d", "b"), "2 changed", "bd")
        reload(channel("y", "d", "b"), "2 changed", "bc")
        reload(channel("y", "d", "b") + "# nothing\n", "nothing has changed", "")
        body = self.metrics()
        self.assertEqual(set(re.findall(r'weft_channel_messages\{system="shop",channel="([a-z]+)"\} 0\n', body)), {"kept", "y"})
        for name in ("bytes", "sent_total", "received_total", "lost_total", "senders_waiting", "receivers_waiting", "closed"):
            self.assertIn(f'weft_channel_{name}{{system="shop",channel="kept"}} 0\n', body)
        self.assertEqual(self.stop(up).status, 0)

    def test_mistakes(self):
        self.manifest(TOP + child("a", "hello") + channel("c", "a", "b") + channel("d", "a", "a"))
        answer = self.weft("up", "--check")
        self.assertEqual(answer.status, 2)
        self.assertIn("weft.toml:6:1: channel 'c': there is no child 'b'", answer.err)
        self.assertIn("weft.toml:10:1: channel 'd': 'a' is there twice", answer.err)


class Regions(UpTest):
    def test_the_example_ends_with_its_sum(self):
        answer = self.weft("up", str(ROOT / "examples/up/tally.toml"), "--json")
        self.assertEqual((answer.status, answer.err), (0, ""), answer)
        events = self.events(answer.out)
        self.assertEqual([e["text"] for e in events if e["event"] == "output"], ["500500"])
        self.assertEqual(len([e for e in events if e["event"] == "exited" and e["exit"].get("code") == 1]), 10)

    def test_a_child_that_is_started_again_finds_what_was_there(self):
        self.manifest(TOP + child("one", "region_count", 'restart = "transient"', 'output = "plain"') + region("r", 4, "one"))
        answer = self.weft("up", "--quiet")
        self.assertEqual((answer.status, answer.out), (0, "0\n1\n2\n"), answer)

    def test_all_copies_and_members_of_groups_have_the_same_and_others_none(self):
        sleeps = ("region_say_then_sleep", 'grace = "0s"')
        self.manifest(TOP + child("some", *sleeps, "copies = 2") + child("other", *sleeps) + '[[group]]\nid = "g"\n'
                      + child("member", *sleeps, table="group.child") + region("r", "4KiB", ["some", "g/member"]))
        up = self.up("--json")
        said = "".join(self.read_until(up.stdout, '"event":"output"') for _ in range(4))
        texts = {e["id"]: e["text"] for e in self.events(said) if e["event"] == "output"}
        self.assertEqual(texts.pop("other"), "none")
        self.assertEqual(sorted(texts.values()), ["1 of 4", "2 of 4", "3 of 4"])
        self.assertEqual(self.stop(up).status, 0)

    def test_a_kill_and_a_restart_by_hand_leave_it_as_it_is(self):
        self.manifest(TOP + child("a", "region_say_then_sleep", 'grace = "0s"') + region("r", "1KiB", "a"))
        up = self.up("--json", "--metrics", "127.0.0.1:0")
        self.read_until(up.stdout, "1 of 1")
        self.assertEqual(self.weft("kill", "a").status, 0)
        self.read_until(up.stdout, "2 of 1")
        self.assertEqual(self.weft("restart", "a").status, 0)
        self.read_until(up.stdout, "3 of 1")
        self.assertIn('weft_region_bytes{system="shop",region="r"} 1024\n', self.metrics())
        self.assertEqual(self.stop(up).status, 0)

    def test_a_reload_changes_what_has_changed(self):
        children = TOP + "".join(child(id, "region_say_then_sleep", 'grace = "0s"') for id in "abc")
        kept = region("kept", "1KiB", "c")
        self.manifest(children + kept + region("r", "1KiB", ["a"]))
        up = self.up("--json", "--metrics", "127.0.0.1:0")
        before = self.all_run(up)

        def reload(more, summary, changed, regions, said):
            nonlocal before
            self.manifest(children + kept + more)
            self.signal(up, signal.SIGHUP)
            text = self.read_until(up.stdout, '"event":"reloaded"')
            events = self.events(text)
            self.assertIn(summary, text)
            self.assertEqual([e["message"] for e in events if e["event"] == "region"], regions)
            after = self.all_run(up)
            self.assertEqual("".join(id for id in "abc" if after[id]["process"] != before[id]["process"]), changed)
            before = after
            for id, last in zip("abc", said):
                while not self.weft("logs", id).out.endswith(last + "\n"):
                    self.assertIsNone(up.poll())
        reload(region("r", "1KiB", ["a", "b"]), "1 changed", "b", [], ["1 of 1", "2 of 1", "none"])
        reload(region("r", 2048, ["a"]), "2 changed", "ab",
               ["reload: region r has 2 KiB instead of 1 KiB: it is made anew, and what was in it is gone"], ["1 of 2", "none", "none"])
        reload(region("r", "2KiB", "a"), "nothing has changed", "", [], ["1 of 2", "none", "none"])
        reload("", "1 changed", "a", ["reload: region r is gone, and what was in it"], ["none", "none", "none"])
        reload(region("r", "1KiB", "b"), "1 changed", "b", ["reload: region r of 1 KiB is new"], ["none", "1 of 1", "none"])
        self.assertEqual(re.findall(r'weft_region_bytes\{system="shop",region="([a-z]+)"\} (\d+)\n', self.metrics()), [("kept", "1024"), ("r", "1024")])
        # What cannot be changes nothing, and says where it stands.
        self.manifest(children + kept + region("r", 0, "b"))
        self.signal(up, signal.SIGHUP)
        self.assertIn("weft.toml:21:8: size = 0: must be from 1 byte to 1 GiB; nothing was changed", self.read_until(up.stdout, '"event":"reload refused"'))
        self.assertEqual({id: one["process"] for id, one in self.all_run(up).items()}, {id: one["process"] for id, one in before.items()})
        self.assertEqual(self.stop(up).status, 0)

    def test_a_group_that_is_started_again_after_a_reload_is_what_the_manifest_says_now(self):
        def manifest(size, *ids):
            members = "".join(child(id, "region_say_then_sleep", 'grace = "0s"', table="group.group.child") for id in ids)
            self.manifest(TOP + 'max-restarts = -1\n[[group]]\nid = "g"\nmax-restarts = 0\n[[group.group]]\nid = "h"\nmax-restarts = 0\n' + members
                          + region("r", size, [f"g/h/{id}" for id in ids]))
        manifest("1KiB", "old", "x")
        up = self.up("--json")

        def two_say():
            said = "".join(self.read_until(up.stdout, '"event":"output"') for _ in range(2))
            return sorted(e["text"] for e in self.events(said) if e["event"] == "output")
        self.assertEqual(two_say(), ["1 of 1", "2 of 1"])
        manifest("2KiB", "x", "new")
        self.signal(up, signal.SIGHUP)
        self.assertEqual(two_say(), ["1 of 2", "2 of 2"])
        # It falls, and its group, and the group of that.
        self.assertEqual(self.weft("kill", "g/h/x").status, 0)
        self.assertEqual(two_say(), ["3 of 2", "4 of 2"])
        self.assertEqual(set(self.all_run(up)), {"g", "g/h", "g/h/x", "g/h/new"})
        self.assertEqual(self.stop(up).status, 0)

    def test_children_that_wait_for_a_word_are_stopped(self):
        (self.dir / "waits.wat").write_text("""(module
          (import "weft_process" "granted" (func $granted (param i32 i32) (result i32)))
          (import "weft_region" "wait32" (func $wait32 (param i32 i64 i32 i64) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "r")
          (func (export "_start")
            (drop (call $wait32 (call $granted (i32.const 0) (i32.const 1)) (i64.const 0) (i32.const 0) (i64.const -1)))))""")
        self.manifest(TOP + child("waits", "waits", 'grace = "1ms"', "copies = 20") + region("r", 8, "waits"))
        up = self.up("--json")
        self.all_run(up)
        self.assertEqual(self.stop(up).status, 0)

    def test_mistakes(self):
        self.manifest(TOP + child("a", "hello") + region("r", 0, ["a", "b"]) + region("r", "2GiB", "a") + channel("s", "a", []) + region("s", 1, "a"))
        answer = self.weft("up", "--check")
        self.assertEqual(answer.status, 2)
        self.assertEqual(answer.err.splitlines()[1:], [
            "weft.toml:8:8: size = 0: must be from 1 byte to 1 GiB",
            "weft.toml:9:18: region 'r': there is no child 'b'; did you mean a?",
            "weft.toml:10:1: the region 'r' is there twice: line 6 has it",
            "weft.toml:12:8: size = 2GiB: must be from 1 byte to 1 GiB",
            "weft.toml:21:12: region 's': 'a' has a channel 's', and asks for both by their names; call one of them something else",
        ])


if __name__ == "__main__":
    unittest.main()
