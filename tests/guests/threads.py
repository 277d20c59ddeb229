"""Shows that programs with threads do under weft what the same sources do natively: same output, same exit status.

    threads.py PROGRAM COMMAND…     one program; COMMAND runs a guest, as in `threads.py barrier build/dev/bin/weft run --quiet`
    threads.py --list               the programs

The small ones (guests/threads/suite, guests/threads/rust) are compared as they are. For the others there is a function below. Status
77 when a program could not be built here. Nothing here sleeps; a program that hangs is ended by ctest.
"""
import collections
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GUESTS = ROOT / "build/guests/threads"
NATIVE = ROOT / "build/guests/threads-native"
HANGS_S = 240
COPIES = 8

command = []


class Wrong(Exception):
    pass


class Skipped(Exception):
    pass


def built(path):
    if not path.exists():
        raise Skipped(f"{path.name} was not built on this machine (scripts/build-guests says why)")
    return str(path)


def shown(data, limit=2000):
    text = data.decode(errors="replace")
    return text if len(text) <= limit else f"{text[:limit]}… ({len(data)} bytes)"


def run(words, data=b""):
    return subprocess.run(list(map(str, words)), input=data, capture_output=True, timeout=HANGS_S)


def guest(name, *words, directory=None, flags=(), data=b"", status=0):
    """What a guest wrote; `directory` is /data for it."""
    directories = ["--dir", f"{directory}::/data"] if directory else []
    done = run([*command, *flags, *directories, built(GUESTS / f"{name}.wasm"), *words], data)
    if status is not None and done.returncode != status:
        raise Wrong(f"{name}: exit status {done.returncode} instead of {status}\n{shown(done.stdout)}\n{shown(done.stderr)}")
    return done if status is None else done.stdout


def native(name, *words, data=b"", status=0):
    done = run([built(NATIVE / name), *words], data)
    if status is not None and done.returncode != status:
        raise Wrong(f"{name}, native: exit status {done.returncode} instead of {status}\n{shown(done.stderr)}")
    return done if status is None else done.stdout


def expect(what, got, wanted):
    if got == wanted:
        return
    if isinstance(got, bytes):
        got, wanted = shown(got), shown(wanted)
    raise Wrong(f"{what}: this came:\n{got}\ninstead of:\n{wanted}")


def compare(name, *words, data=b""):
    """The plain case."""
    wanted, got = native(name, *words, data=data, status=None), guest(name, *words, data=data, status=None)
    expect(f"{name}: exit status, with {shown(got.stderr)}", got.returncode, wanted.returncode)
    expect(f"{name}: standard output", got.stdout, wanted.stdout)


def text_of(size):
    """Text that compresses as text does; the same each time."""
    chance = random.Random(20260101)
    words = ["".join(chance.choices("etaoinshrdlucmfw", k=chance.randint(2, 9))) for _ in range(3000)]
    lines, length = [], 0
    while length < size:
        lines.append(" ".join(chance.choices(words, k=12)) + "\n")
        length += len(lines[-1])
    return "".join(lines).encode()[:size]


def png_of(width, height):
    """A picture with something in it for each of the strategies of a compressor of pictures."""
    chance = random.Random(7)
    rows = []
    for y in range(height):
        row = bytearray([0])
        for x in range(width):
            if x < width // 3:
                row += bytes((x & 255, y & 255, (x * y >> 5) & 255))
            elif x < 2 * width // 3:
                row += bytes((200, 30, 30)) if (x // 8 + y // 8) % 2 else bytes((255, 255, 255))
            else:
                row += bytes(chance.choices(range(90, 120), k=3))
        rows.append(bytes(row))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(rows), 1)) + chunk(b"IEND", b"")


# --- Real programs ---------------------------------------------------------------------------------------------------


def zstd(directory):
    """What four threads compress in the guest, the native program unpacks, and the other way round."""
    text = text_of(12 << 20)
    packed = guest("zstd", "-T4", "-5", data=text)
    if len(packed) > len(text) // 2:
        raise Wrong(f"zstd made {len(packed)} bytes of {len(text)}")
    expect("zstd: unpacked natively", native("zstd", "-d", data=packed), text)
    expect("zstd: unpacked by the guest", guest("zstd", "-d", data=native("zstd", "-T4", "-5", data=text)), text)
    expect("zstd: the same with two threads", guest("zstd", "-T2", "-5", data=text), packed)


def bgzip(directory):
    """A pool of four threads gives, byte for byte, what the native program gives; and it unpacks it again."""
    text = text_of(12 << 20)
    (directory / "text").write_bytes(text)
    packed = guest("bgzip", "-@4", "-c", "/data/text", directory=directory)
    expect("bgzip: packed", packed, native("bgzip", "-@4", "-c", directory / "text"))
    (directory / "text.gz").write_bytes(packed)
    expect("bgzip: unpacked", guest("bgzip", "-@4", "-d", "-c", "/data/text.gz", directory=directory), text)


def oxipng(directory):
    """Rayon's threads make the very file that the native program makes."""
    (directory / "in.png").write_bytes(png_of(400, 300))
    guest("oxipng", "-t4", "-o4", "--out", "/data/guest.png", "/data/in.png", directory=directory)
    native("oxipng", "-t4", "-o4", "--out", directory / "native.png", directory / "in.png")
    smaller = (directory / "guest.png").read_bytes()
    expect("oxipng: the file", smaller, (directory / "native.png").read_bytes())
    if len(smaller) >= (directory / "in.png").stat().st_size:
        raise Wrong("oxipng: the file is not smaller")


# --- Programs for the runtime's own tests ----------------------------------------------------------------------------


def files(directory):
    """Threads share file descriptors, and work on files at once."""
    for place in ("guest", "native"):
        (directory / place).mkdir()
    got = guest("files", "/data", directory=directory / "guest")
    expect("files: standard output", got, native("files", directory / "native"))
    expect("files: left behind", list((directory / "guest").iterdir()), [])


def stdin_and_work(directory):
    """While one thread waits for standard input, which comes only after the work is done, another one works."""
    process = subprocess.Popen([*command, built(GUESTS / "stdin_and_work.wasm")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        lines = [process.stdout.readline() for _ in range(6)]
        expect("stdin_and_work: before there is input", lines, [b"step %d\n" % i for i in range(1, 6)] + [b"the work is done\n"])
        rest = process.communicate(b"some input\n", timeout=HANGS_S)[0]
        expect("stdin_and_work: after it", rest, b"read 11 bytes\n")
        expect("stdin_and_work: exit status", process.returncode, 0)
    finally:
        process.kill()
        process.wait()


def parked(directory):
    """A hundred threads wait, and end when standard input does."""
    process = subprocess.Popen([*command, built(GUESTS / "parked.wasm"), "100"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        expect("parked: when all wait", process.stdout.readline(), b"parked 100\n")
        expect("parked: at the end", process.communicate(timeout=HANGS_S)[0], b"all ended\n")
        expect("parked: exit status", process.returncode, 0)
    finally:
        process.kill()
        process.wait()


def cpu(directory):
    """The same sum, however many threads share the work."""
    wanted = native("cpu", "4", "20000000")
    for threads in ("1", "3", "16"):
        expect(f"cpu: with {threads} threads", guest("cpu", threads, "20000000"), wanted)


def contend(directory):
    """No turn is lost at a contended lock."""
    guest("contend", "8", "20000")


def exit_in_thread(directory):
    """exit() in a thread ends the process, whatever the other threads do; its standard input stays open meanwhile."""
    process = subprocess.Popen([*command, built(GUESTS / "exit_in_thread.wasm")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        expect("exit_in_thread: standard output", process.stdout.read(), b"exit(7)\n")
        expect("exit_in_thread: exit status", process.wait(timeout=HANGS_S), 7)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


def trap_in_thread(directory):
    """A trap in a thread ends the process, and is reported with that thread's stack."""
    done = guest("trap_in_thread", status=None)
    expect("trap_in_thread: standard output", done.stdout, b"about to trap\n")
    if done.returncode == 0:
        raise Wrong("trap_in_thread: exit status 0")
    for name in (b"crash_here", b"on_the_way"):
        if name not in done.stderr:
            raise Wrong(f"trap_in_thread: no {name.decode()} in\n{shown(done.stderr)}")


def copies(directory):
    """Several programs with threads at once do not get into each other's way. (COMMAND must be weft.)"""
    for name in ("create_join", "condition", "heap", "cpp_sync", "rust_channels", "rust_locks"):
        wanted = collections.Counter(native(name).splitlines())
        got = collections.Counter(guest(name, flags=["--copies", COPIES]).splitlines())
        expect(f"{name}: the lines of {COPIES} copies", got, collections.Counter({k: v * COPIES for k, v in wanted.items()}))


SPECIAL = [zstd, bgzip, oxipng, files, stdin_and_work, parked, cpu, contend, exit_in_thread, trap_in_thread, copies]


def small_programs():
    sources = ROOT / "guests/threads"
    return sorted(path.stem for pattern in ("suite/*.c", "suite/*.cpp", "rust/src/bin/*.rs") for path in sources.glob(pattern))


def main(words):
    if words == ["--list"]:
        print("\n".join([*small_programs(), *(function.__name__ for function in SPECIAL)]))
        return 0
    if len(words) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    command.extend(words[1:])
    special = {function.__name__: function for function in SPECIAL}
    try:
        with tempfile.TemporaryDirectory(prefix="weft-test-") as directory:
            if words[0] in special:
                special[words[0]](pathlib.Path(directory))
            elif words[0] in small_programs():
                compare(words[0])
            else:
                raise Wrong(f"there is no program {words[0]}")
    except Skipped as reason:
        print(f"skipped: {reason}")
        return 77
    except Wrong as reason:
        print(reason, file=sys.stderr)
        return 1
    print(f"{words[0]}: as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
