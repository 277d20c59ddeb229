"""What tests of weft up have in common."""
import json
import shutil
import signal
import socket
import subprocess

from support import HANGS_S, WAT, WeftTest


class UpTest(WeftTest):
    def setUp(self):
        super().setUp()
        for path in WAT.glob("*.wat"):
            shutil.copy(path, self.dir)

    def manifest(self, text, name="weft.toml"):
        (self.dir / name).write_text(text)
        return name

    def up(self, *args, **more):
        """A weft up that runs on, with a standard input that stays open; its events are JSON unless said otherwise."""
        return self.start("up", *args, stdin=subprocess.PIPE, **more)

    def ps(self, *args):
        answer = self.weft("ps", "--json", *args)
        return json.loads(answer.out) if answer.status == 0 else None

    def ps_until(self, process, true_of):
        """The children by id, asked for until this is true of them."""
        while True:
            found = self.ps()
            children = {child["id"]: child for child in found["children"]} if found else {}
            if children and true_of(children):
                return children
            self.assertIsNone(process.poll(), "weft up ended")

    def all_run(self, process):
        return self.ps_until(process, lambda all: all_in_state(all, "running"))

    def stop(self, process):
        """Asks it to end; all that it has said since."""
        self.signal(process, signal.SIGTERM)
        return self.finish(process)

    def metrics(self):
        port = int(self.ps()["metrics"].rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=HANGS_S) as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()

    def events(self, text):
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def all_in_state(children, state):
    return all(child["state"] == state for child in children.values())


def child(id, module, *more, table="child"):
    return f'[[{table}]]\nid = "{id}"\nmodule = "{module}.wat"\n' + "".join(line + "\n" for line in more)


TOP = 'name = "shop"\nbackoff = { first = "10ms" }\n'
