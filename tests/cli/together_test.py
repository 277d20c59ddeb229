"""C programs of guests/together, which talk to each other by the headers of sdk/include/weft: as children of weft up, and some with threads alone."""
import json
import shutil
import unittest

from support import FIBERS, SUITE, WeftTest


class Together(WeftTest):
    def program(self, name):
        path = SUITE.parent / "together" / f"{name}.wasm"
        if not path.exists():
            self.skipTest("no compiler for C programs of guests here (scripts/guest-toolchain)")
        return path

    def system(self, children, more=""):
        """A manifest's text: each child is (id, program, role, copies)."""
        text = 'name = "together"\nworkers = 2\n' + (f'fibers = "{FIBERS}"\n' if FIBERS else "")
        for id, program, role, copies in children:
            text += f'[[child]]\nid = "{id}"\nmodule = "{self.program(program)}"\nargs = ["{role}"]\ncopies = {copies}\nrestart = "temporary"\noutput = "plain"\n'
        (self.dir / "weft.toml").write_text(text + more)

    def assert_ends(self, out, status=0):
        answer = self.weft("up", "--quiet")
        self.assertEqual((answer.status, sorted(answer.out.splitlines())), (status, out), answer)

    def test_ping_pong(self):
        self.system([("server", "ping_pong", "serve", 1), ("returner", "ping_pong", "return", 1)],
                    '[[channel]]\nname = "there"\nkind = "rendezvous"\nfrom = "server"\nto = "returner"\n'
                    '[[channel]]\nname = "back"\ncapacity = 1\nfrom = "returner"\nto = "server"\n')
        self.assert_ends(["returner: ok", "server: ok"])

    def test_pipeline(self):
        self.system([("collect", "pipeline", "collect", 1), ("work", "pipeline", "work", 4), ("produce", "pipeline", "produce", 1)],
                    '[[channel]]\nname = "jobs"\ncapacity = 64\nfrom = "produce"\nto = "work"\n'
                    '[[channel]]\nname = "results"\ncapacity = 100\nfrom = "work"\nto = "collect"\n'
                    '[[channel]]\nname = "factor"\nkind = "broadcast"\nfrom = "produce"\nto = "work"\n')
        self.assert_ends(["collector: ok"])

    def test_waits(self):
        self.system([("waits", "waits", "wait", 1), ("feeds", "waits", "feed", 1)], '[[channel]]\nname = "orders"\nfrom = "feeds"\nto = "waits"\n')
        self.assert_ends(["waits: ok"])

    def test_robust_lock(self):
        self.system([("heir", "robust_lock", "inherit", 1), ("dies", "robust_lock", "die", 1)])
        self.assert_ends(["heir: ok"], status=1)

    def test_messages(self):
        self.system([("server", "messages", "serve", 1), ("client", "messages", "ask", 1)])
        self.assert_ends(["client: ok"], status=1)

    def test_limits_on_what_a_guest_makes(self):
        def status(*flags):
            return self.weft("run", "--quiet", *flags, self.wat("make_channel_and_region")).status
        self.assertEqual(status(), 0)
        self.assertEqual(status("--max-channel-bytes", "1MiB"), 51)  # it counts for 4 KiB more
        self.assertEqual(status("--max-channel-bytes", "0"), 51)
        self.assertEqual(status("--max-region-bytes", "1MiB"), 151)
        self.assertEqual(status("--max-region-bytes", "0"), 151)
        self.assertEqual(status("--max-channel-bytes", "1028KiB", "--max-region-bytes", "1028KiB"), 0)
        self.assert_says(self.weft("run", "--max-channel-bytes", "lots", self.wat("hello")), 2, "--max-channel-bytes", "'lots' is not a size")
        shutil.copy(self.wat("make_channel_and_region"), self.dir / "makes.wat")
        for limit, code in (("max-channel-bytes = 0", 51), ('max-region-bytes = "1MiB"', 151), ('max-region-bytes = "2MiB"', None)):
            (self.dir / "weft.toml").write_text(f'name = "together"\n[[child]]\nid = "makes"\nmodule = "makes.wat"\nrestart = "temporary"\n{limit}\n')
            exits = [event["exit"] for event in map(json.loads, self.weft("up", "--json").out.splitlines()) if event["event"] == "exited"]
            self.assertEqual([exit.get("code") for exit in exits], [code], limit)

    def test_threads_wait(self):
        answer = self.weft("run", "--quiet", str(self.program("threads_wait")))
        self.assertEqual((answer.status, answer.out), (0, "ok\n"), answer)

    def test_threads_end(self):
        answer = self.weft("run", "--quiet", str(self.program("threads_end")))
        self.assertEqual((answer.status, answer.out), (0, "ok\n"), answer)


if __name__ == "__main__":
    unittest.main()
