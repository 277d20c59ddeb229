"""Debug information is the guest's, and as hostile as its code: whatever it holds, a trap and a dump show the guest's stack, and harm nothing. The programs are
generated here: a unit and a function, both from the first instruction on, and in the function as many functions inlined into one another as a test asks for."""
import json
import struct
import unittest

from support import WeftTest

# Entries 1 (unit) and 2 (function) with a range of addresses, 3 (inlined function) with nothing.
RANGE = bytes([0x11, 0x01, 0x12, 0x06, 0, 0])
ABBREVIATIONS = bytes([1, 0x11, 1]) + RANGE + bytes([2, 0x2E, 1, 0x03, 0x08]) + RANGE + bytes([3, 0x1D, 1, 0, 0, 0])
FOR_ALL = struct.pack("<II", 0, 0xFFFF)


def custom(name, content):
    text = "".join(f"\\{byte:02x}" for byte in content)
    return f'(@custom "{name}" "{text}")'


def debug_information(depth):
    """Sections in the text format: `depth` inlined functions, each in the one before."""
    entries = b"\1" + FOR_ALL + b"\2named_by_debug_information\0" + FOR_ALL + b"\3" * depth + b"\0" * depth + b"\0\0"
    header = struct.pack("<IHIB", len(entries) + 7, 4, 0, 4)
    return custom(".debug_abbrev", ABBREVIATIONS) + custom(".debug_info", header + entries)


def module(depth, code, more=""):
    return f'(module {more} (func $main (export "_start") (export "run") {code}) {debug_information(depth)})'


def component(depth, code):
    """A component whose second module is that one."""
    return f"""(component
      (core module $first (func (export "other")))
      (core module $second {module(depth, code)[len("(module"):]}
      (core instance $instance (instantiate $second))
      (func (export "run") (canon lift (core func $instance "run"))))"""


# Far more than fits onto a guest's stack, or a thread's.
DEPTHS = 2_000, 500_000


class HostileDebugInformation(WeftTest):
    def write(self, text, name="hostile.wat"):
        path = self.dir / name
        path.write_text(text)
        return path

    def tearDown(self):
        self.assert_works()

    def test_trap(self):
        for depth in DEPTHS:
            for cache in "filled", "used":
                with self.subTest(depth=depth, cache=cache):
                    self.assert_begins(self.weft(self.write(module(depth, "unreachable"))), 134, "hostile.wat", "unreachable")

    def test_trap_of_a_program_with_threads(self):
        memory = '(import "env" "memory" (memory 1 2 shared))'
        for depth in DEPTHS:
            with self.subTest(depth=depth):
                answer = self.weft(self.write(module(depth, "unreachable", memory)))
                self.assert_begins(answer, 134, "hostile.wat", "unreachable")

    def test_trap_in_a_component(self):
        for depth in DEPTHS:
            for cache in "filled", "used":
                with self.subTest(depth=depth, cache=cache):
                    answer = self.weft("run", "--invoke", "run", self.write(component(depth, "unreachable")))
                    self.assert_begins(answer, 134, "hostile.wat", "unreachable")

    def test_precompiled(self):
        for depth in DEPTHS:
            with self.subTest(depth=depth):
                path = self.write(module(depth, "unreachable"))
                self.assertEqual(self.weft("compile", path, "-o", "hostile.cwasm").status, 0)
                answer = self.weft("run", "--allow-precompiled", "hostile.cwasm")
                self.assert_begins(answer, 134, "hostile.cwasm", "unreachable")

    def test_dump(self):
        for depth in DEPTHS:
            with self.subTest(depth=depth):
                text = module(depth, "(loop $again (br $again))")
                weft = self.start(self.write(text))
                tasks = self.tasks_until(weft, lambda tasks: any(task.get("stack") for task in tasks))
                self.assertIn('"main"', json.dumps(tasks))
                weft.kill()

    def test_harmless_nesting_is_understood(self):
        for text in module(20, "unreachable"), component(20, "unreachable"):
            answer = self.weft("run", "--invoke", "run", self.write(text))
            self.assert_begins(answer, 134, "hostile.wat", "unreachable")
            self.assertIn("named_by_debug_information", answer.err, answer)


if __name__ == "__main__":
    unittest.main()
