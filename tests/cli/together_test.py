"""C programs of guests/together, which talk to each other by the headers of sdk/include/weft: as children of weft up, and one with threads alone."""
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

    def test_threads_wait(self):
        answer = self.weft("run", "--quiet", str(self.program("threads_wait")))
        self.assertEqual((answer.status, answer.out), (0, "ok\n"), answer)


if __name__ == "__main__":
    unittest.main()
