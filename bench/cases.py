"""What is measured: one Case for each row of the table, with the command of each system and the figure to reach.

A system's command prints JSON objects, one a line; the case takes those whose "bench" and "case" it names.
"""

from dataclasses import dataclass, field
from typing import Callable, Optional


@dataclass
class Verdict:
    target: str  # what was to be reached
    reached: Optional[bool]  # None: cannot be said from this run
    found: str  # what was found


@dataclass
class Case:
    key: str
    group: str  # for --only
    title: str
    unit: str
    bench: str  # of the lines to take …
    name: str  # … and their case
    commands: dict  # system -> arguments, without the program
    ours: str = "weft"  # the system that the verdict is about
    judge: Optional[Callable] = None  # of {system: Figure} -> Verdict
    rounds_max: int = 1000
    fills_machine: bool = False  # keeps all cores busy for seconds: no real-time priority
    sysctl: Optional[int] = None  # the least vm.max_map_count that it needs
    maps: int = 0  # the same, but for this case it is not raised …
    memory_gib: int = 0  # … nor is it measured if less than this is free
    may_fail: dict = field(default_factory=dict)  # system -> text that makes its failure an answer
    names: dict = field(default_factory=dict)  # system -> case, where it differs from `name`


def thousands(number):
    return f"{number:,}"


def ratio(figures, ours, theirs):
    if ours not in figures or theirs not in figures or not figures[theirs].median:
        return None
    return figures[ours].median / figures[theirs].median


# "By a clear margin": at most this share of the peer's time.
CLEAR_MARGIN = 0.8
# The kernel's own accounting has ticks of 10 ms: less than one cannot be told from nothing.
IDLE_MS_MAX = 10.0


def judge_switch(figures):
    target = f"≤ 2.0 × Go, ≤ {CLEAR_MARGIN} × Tokio"
    go, tokio = ratio(figures, "weft", "go"), ratio(figures, "weft", "tokio")
    found = ", ".join(f"{value:.2f} × {name}" for value, name in ((go, "Go"), (tokio, "Tokio")) if value is not None)
    reached = None if go is None or tokio is None else go <= 2.0 and tokio <= CLEAR_MARGIN
    return Verdict(target, reached, found or "no peer to compare with")


def judge_create_join(figures):
    ours, peer = figures["weft"].median, ratio(figures, "wasmtime46", "weft")
    found = f"{ours / 1000:.1f} us" + ("" if peer is None else f", {peer:.0f} × faster")
    return Verdict("≤ 10 us, ≥ 10 × Wasmtime 46", None if peer is None else ours <= 10_000 and peer >= 10, found)


def judge_round_trip(figures):
    peer, native = ratio(figures, "wasmtime46", "weft"), ratio(figures, "native", "weft")
    found = ", ".join(f"{value:.0f} × {name}" for value, name in ((peer, "Wasmtime 46"), (native, "native")) if value is not None)
    reached = None if peer is None or native is None else peer >= 10 and native >= 10
    return Verdict("≥ 10 × Wasmtime 46 and native", reached, found or "no peer to compare with")


def judge_contended(figures):
    peer = ratio(figures, "weft", "wasmtime46")
    return Verdict("no slower than Wasmtime 46", None if peer is None else peer <= 1, "no peer to compare with" if peer is None else f"{peer:.2f} × its time")


def judge_threads_parked(figures):
    value = figures["weft"].median
    return Verdict("≤ 16 KiB", value <= 16, f"{value:.1f} KiB")


def judge_spawn(figures):
    weft = figures["weft"].median
    lunatic = ratio(figures, "lunatic", "weft")
    found = f"{weft:.2f} us" + (f", {lunatic:.0f} × lunatic's rate" if lunatic else "")
    return Verdict("≤ 10 us" + (", ≥ 20 × lunatic" if lunatic else ""), weft <= 10 and (lunatic is None or lunatic >= 20), found)


def judge_parked(n, kib=15):
    def judge(figures):
        figure = figures["weft"]
        alive = min((int(extra.get("alive", 0)) for extra in figure.extras), default=0)
        found = f"{thousands(alive)} alive, {figure.median:.1f} KiB"
        return Verdict(f"{thousands(n)} alive, ≤ {kib} KiB", alive >= n and figure.median <= kib, found)

    return judge


def judge_parked_default(n):
    def judge(figures):
        target = "works, or the error names vm.max_map_count"
        figure = figures["weft"]
        if figure.values:
            return Verdict(target, True, f"works, {figure.median:.1f} KiB each")
        named = bool(figure.failures) and all("vm.max_map_count" in text for text in figure.failures)
        return Verdict(target, named, "the error names it" if named else "the error does not name it")

    return judge


def judge_fairness(figures):
    figure = figures["weft"]
    quantum = float(figure.extras[0]["quantum_ms"])
    quanta = figure.median / quantum
    return Verdict("≤ 2 quanta", quanta <= 2, f"{quanta:.2f} quanta")


def judge_channel_round_trip(figures):
    ours, go = figures["weft"].median, ratio(figures, "weft", "go")
    found = f"{ours / 1000:.2f} us" + ("" if go is None else f", {go:.2f} × Go")
    return Verdict("≤ 1 us, ≤ Go", None if go is None else ours <= 1000 and go <= 1, found)


def judge_channel_batched(figures):
    ours, go = figures["weft"].median, ratio(figures, "weft", "go")
    return Verdict("≥ 10 M/s", ours >= 10, f"{ours:.1f} M/s" + ("" if go is None else f", {go:.2f} × Go"))


def judge_wait_set(figures):
    return Verdict("≤ 2 us", figures["weft"].median <= 2000, f"{figures['weft'].median / 1000:.2f} us")


def judge_at_most(most, unit):
    def judge(figures):
        value = figures["weft"].median
        return Verdict(f"≤ {most} {unit}", value <= most, f"{value:.2f} {unit}")

    return judge


def judge_restart(figures):
    figure = figures["weft"]
    p99 = figure.median_of("p99_us")
    return Verdict("≤ 50 us median, ≤ 1 ms p99", figure.median <= 50 and p99 <= 1000, f"{figure.median:.1f} us, p99 {p99:.0f} us")


def judge_scaling(cores):
    def judge(figures):
        weft = figures["weft"]
        target = f"≥ {0.9 * cores:.2g} ×, ≥ 0.95 × Tokio's throughput"
        found = f"{weft.median:.2f} ×"
        reached = weft.median >= 0.9 * cores
        if "tokio" in figures and figures["tokio"].values:
            share = figures["tokio"].median_of("many_s") / weft.median_of("many_s")
            found += f", {share:.2f} × Tokio's"
            return Verdict(target, reached and share >= 0.95, found)
        return Verdict(target, False if not reached else None, found)

    return judge


def judge_overhead(figures):
    percent = figures["weft"].median
    return Verdict("≤ 10 %", percent <= 10, f"{percent:.1f} %")


def judge_idle(figures):
    spent = figures["weft"].median
    wakes = max(int(extra.get("context_switches", 0)) for extra in figures["weft"].extras)
    return Verdict(f"not measurable (< {IDLE_MS_MAX:.0f} ms)", spent < IDLE_MS_MAX, f"{spent:.2f} ms, {wakes} wake-ups")


def judge_trace(figures):
    cost = ratio(figures, "weft traced", "weft")
    if cost is None:
        return Verdict("≤ 5 %", None, "not measured")
    return Verdict("≤ 5 %", cost <= 1.05, f"{(cost - 1) * 100:+.1f} %")


def judge_strand_yield(figures):
    boost, go = ratio(figures, "weft", "boost"), ratio(figures, "go", "weft")
    target = "≤ 3 × Boost.Context's time, ≥ 4 × faster than Go"
    if boost is None or go is None:
        return Verdict(target, None, "not both peers to compare with")
    return Verdict(target, boost <= 3 and go >= 4, f"{boost:.2f} × its time, {go:.1f} × faster")


def judge_strand_spawn(figures):
    ns = figures["weft"].median
    return Verdict("≤ 100 ns", ns <= 100, f"{ns:.0f} ns")


def judge_kernels(figures):
    checks = figures["weft continuations"]
    each = ", ".join(f"{name} {checks.median_of(name):.0f}" for name in checks.extras[0])
    found = f"{checks.median:.1f} % ({each})"
    if "weft" not in figures:
        return Verdict("≤ 5 %, no worse than epochs", None if checks.median <= 5 else False, found)
    epochs = figures["weft"].median
    return Verdict("≤ 5 %, no worse than epochs", checks.median <= min(5, epochs), f"{found}, epochs {epochs:.1f} %")


def judge_switch_on_continuations(figures):
    go, share = ratio(figures, "weft continuations", "go"), ratio(figures, "weft continuations", "weft")
    found = ", ".join(f"{value:.2f} × {name}" for value, name in ((go, "Go"), (share, "async")) if value is not None)
    return Verdict("≤ 1.0 × Go", None if go is None else go <= 1, found or "no peer to compare with")


def judge_round_trip_on_continuations(figures):
    ns, share = figures["weft continuations"].median, ratio(figures, "weft continuations", "weft")
    return Verdict("≤ 0.5 us", ns <= 500, f"{ns / 1000:.2f} us" + ("" if share is None else f", {share:.2f} × async"))


def all_cases(cores, quick, kernels):
    """`cores`: how many this program may use. `quick`: seconds for everything; proves that it runs, measures nothing. `kernels`: the module
    with the five kernels, or None."""
    cases = []

    def words(bench, **options):
        result = [bench]
        for name, value in options.items():
            result += ["--" + name, str(value)]
        return result

    # 1. Switch.
    yields = 100_000 if quick else 3_000_000
    for n in (1, 1_000) if quick else (1, 1_000, 10_000):
        arguments = words("switch", n=n, iterations=max(1, yields // n))
        cases.append(
            Case(
                key=f"switch.yield.{n}",
                group="switch",
                title=f"switch by yield, {thousands(n)} process{'es' if n > 1 else ''}, one worker",
                unit="ns",
                bench="switch",
                name="yield",
                commands={"weft": arguments, "tokio": arguments, "go": arguments, "boost": arguments},
                judge=judge_switch if n == 1_000 else None,
            )
        )
    for n in (10,) if quick else (10, 1_000):
        arguments = words("preempt", n=n, seconds=0.2 if quick else 2)
        cases.append(
            Case(
                key=f"switch.preempt.{n}",
                group="switch",
                title=f"switch by preemption, {thousands(n)} processes, one worker",
                unit="ns",
                bench="switch",
                name="preempt",
                commands={"weft": arguments, "tokio": arguments},
            )
        )

    # 2. Spawn + run + exit.
    for workers in sorted({1, cores}):
        count = 2_000 if quick else 100_000
        arguments = words("spawn", workers=workers, count=count)
        native = words("spawn", workers=workers, count=20 * count)
        commands = {"weft": arguments, "tokio": arguments, "go": native, "lunatic": words("spawn", workers=workers, count=count // 10)}
        if workers == 1:
            commands["boost"] = native
        cases.append(
            Case(
                key=f"spawn.{workers}",
                group="spawn",
                title=f"spawn + run + exit, empty process, {workers} worker{'s' if workers > 1 else ''}",
                unit="us/worker",
                bench="spawn",
                name="empty",
                commands=commands,
                judge=judge_spawn,
            )
        )

    # 3. Parked processes.
    n = 2_000 if quick else 100_000
    arguments = words("parked", n=n, workers=cores)
    names_setting = "vm.max_map_count"
    cases.append(
        Case(
            key="parked.default",
            group="parked",
            title=f"{thousands(n)} parked, vm.max_map_count as it is",
            unit="KiB",
            bench="parked",
            name="memory",
            commands={"weft": arguments, "tokio": arguments, "go": arguments},
            judge=judge_parked_default(n),
            rounds_max=1,
            may_fail={"weft": names_setting, "tokio": ""},
        )
    )
    if not quick:
        cases.append(
            Case(
                key="parked.raised",
                group="parked",
                title=f"{thousands(n)} parked, vm.max_map_count raised",
                unit="KiB",
                bench="parked",
                name="memory",
                commands={"weft": arguments, "tokio": arguments},
                judge=judge_parked(n),
                rounds_max=3,
                sysctl=10 * n,
            )
        )

    # 4. Fairness.
    for workers in sorted({max(1, cores // 2), cores}) if not quick else (1,):
        arguments = words("fairness", workers=workers, seconds=0.3 if quick else 4)
        cases.append(
            Case(
                key=f"fairness.{workers}",
                group="fairness",
                title=f"99th percentile of lateness beside {4 * workers} endless loops, {workers} worker{'s' if workers > 1 else ''}",
                unit="ms",
                bench="fairness",
                name="late_p99",
                commands={"weft": arguments, "tokio": arguments, "go": arguments},
                judge=judge_fairness,
                fills_machine=workers == cores,
            )
        )

    # 5. Scaling, and what preemption costs.
    workers = cores
    arguments = words("scaling", workers=workers, rounds=20 if quick else 400, repeats=1 if quick else 5)
    cases.append(
        Case(
            key="scaling",
            group="scaling",
            title=f"throughput of {workers} computing guests on {workers} cores, against one",
            unit="×",
            bench="scaling",
            name="throughput",
            commands={"weft": arguments, "tokio": arguments, "go": arguments},
            judge=judge_scaling(workers),
        )
    )
    for guest, what, rounds in (
        ("sort", "sorting", 150),
        ("tight", "the shortest loop", 30),
        ("fib", "nothing but calls", 600),
    ):
        cases.append(
            Case(
                key=f"overhead.{guest}",
                group="overhead",
                title=f"preemption's cost on an uncontended guest: {what}",
                unit="%",
                bench="overhead",
                name=guest,
                commands={"weft": words("overhead", guest=guest, rounds=rounds // 10 if quick else rounds, repeats=1 if quick else 15)},
                judge=judge_overhead,
            )
        )

    # 6. Idle.
    n = 1_000 if quick else 10_000
    seconds = 0.5 if quick else 5
    arguments = words("idle", n=n, seconds=seconds, workers=cores)
    cases.append(
        Case(
            key="idle",
            group="idle",
            title=f"CPU time of an idle runtime in {seconds} s, {thousands(n)} parked",
            unit="ms",
            bench="idle",
            name="cpu",
            commands={"weft": arguments, "tokio": arguments, "go": arguments},
            judge=judge_idle,
            rounds_max=2,
        )
    )

    # 7. Guest threads.
    for name, title, unit, counts, judge in (
        ("create_join", "create and join a guest thread", "ns", {"weft": 30_000, "wasmtime46": 5_000, "native": 20_000}, judge_create_join),
        ("round_trip", "round trip of two guest threads over a mutex and a condition variable", "ns", {"weft": 200_000, "wasmtime46": 20_000, "native": 20_000}, judge_round_trip),
    ):
        cases.append(
            Case(
                key=f"threads.{name}",
                group="threads",
                title=title,
                unit=unit,
                bench="threads",
                name=name,
                commands={system: ["threads", name, str(max(100, count // 100) if quick else count)] for system, count in counts.items()},
                judge=judge,
            )
        )
    command = ["threads", "contended", str(cores), "20000" if quick else "1000000"]
    cases.append(
        Case(
            key="threads.contended",
            group="threads",
            title=f"{cores} guest threads on one mutex, a lock",
            unit="ns",
            bench="threads",
            name="contended",
            commands={"weft": command, "wasmtime46": command, "native": command},
            judge=judge_contended,
        )
    )
    for threads in (1, cores):
        command = ["threads", "cpu", str(threads), "40000000" if quick else "1000000000"]
        cases.append(
            Case(
                key=f"threads.cpu.{threads}",
                group="threads",
                title=f"the same work for {threads} computing guest thread{'s' if threads > 1 else ''}",
                unit="ms",
                bench="threads",
                name="cpu",
                commands={"weft": command, "wasmtime46": command, "native": command},
                fills_machine=True,
            )
        )
    command = ["threads", "parked", "200" if quick else "10000", "16384"]
    cases.append(
        Case(
            key="threads.parked",
            group="threads",
            title=f"memory of each of {thousands(int(command[2]))} waiting guest threads, without its own 16 KiB stack",
            unit="KiB",
            bench="threads",
            name="parked",
            commands={"weft": command, "wasmtime46": command},
            judge=judge_threads_parked,
            rounds_max=2,
        )
    )

    # 8. Strands: fibers inside one process.
    strand_yields = 100_000 if quick else 10_000_000
    for n in (1, 1_000) if quick else (1, 100, 1_000, 10_000):
        native = words("switch", n=n, iterations=strand_yields // n)
        cases.append(
            Case(
                key=f"strands.yield.{n}",
                group="strands",
                title=f"yield from strand to strand, {thousands(n)} strands" if n > 1 else "yield of the only strand, which switches to nobody",
                unit="ns",
                bench="switch",
                name="strand",
                commands={"weft": ["strand-yield"] + native[1:], "go": native, "boost": native},
                judge=judge_strand_yield if n == 1_000 else None,
                names={"go": "yield", "boost": "yield"},
            )
        )
    count = 50_000 if quick else 5_000_000
    for n, title in ((1, "one by one"), (64, "64 at a time")):
        arguments = words("strand-spawn", n=n, count=count)
        native = words("spawn", count=count)
        cases.append(
            Case(
                key=f"strands.spawn.{n}",
                group="strands",
                title=f"spawn + finish + join of a strand, stack used again, {title}",
                unit="ns",
                bench="spawn",
                name="strand",
                commands={"weft": arguments, "go": native + ["--batch", str(n)], "boost": native},
                judge=judge_strand_spawn,
                names={"go": "empty", "boost": "empty"},
            )
        )
    for n in (2_000,) if quick else (30_000, 1_000_000):
        huge = n > 30_000
        arguments = words("strand-parked", n=n)
        cases.append(
            Case(
                key=f"strands.parked.{n}",
                group="strands",
                title=f"{thousands(n)} strands in one process, vm.max_map_count {'high enough for them' if huge else 'as it is'}",
                unit="KiB",
                bench="parked",
                name="strand",
                commands={"weft": arguments, "go": words("parked", n=n)},
                judge=judge_parked(n, kib=5),
                names={"go": "memory"},
                rounds_max=1 if huge else 1000,
                maps=2_100_000 if huge else 0,
                # Stacks, page tables and the kernel's records of mappings.
                memory_gib=8 if huge else 0,
            )
        )

    # 9. Whole processes and guest threads on continuations.
    continuations = ["--fibers", "continuations"]
    if kernels:
        arguments = words("kernels", guest=kernels, repeats=1 if quick else 10)
        cases.append(
            Case(
                key="continuations.kernels",
                group="continuations",
                title="preemption's cost on five kernels, geometric mean",
                unit="%",
                bench="kernels",
                name="mean",
                commands={"weft": arguments, "weft continuations": arguments + continuations},
                ours="weft continuations",
                judge=judge_kernels,
            )
        )
    for n in (1_000,) if quick else (1, 1_000, 10_000):
        arguments = words("switch", n=n, iterations=max(1, yields // n))
        cases.append(
            Case(
                key=f"continuations.switch.{n}",
                group="continuations",
                title=f"switch by yield, {thousands(n)} process{'es' if n > 1 else ''}, one worker, both kinds of fibers",
                unit="ns",
                bench="switch",
                name="yield",
                commands={"weft": arguments, "weft continuations": arguments + continuations, "go": arguments},
                ours="weft continuations",
                judge=judge_switch_on_continuations if n == 1_000 else None,
            )
        )
    arguments = words("spawn", count=2_000 if quick else 100_000)
    cases.append(
        Case(
            key="continuations.spawn",
            group="continuations",
            title="spawn + run + exit, empty process, 1 worker, both kinds of fibers",
            unit="us",
            bench="spawn",
            name="empty",
            commands={"weft": arguments, "weft continuations": arguments + continuations},
            ours="weft continuations",
        )
    )
    count = str(2_000 if quick else 200_000)
    cases.append(
        Case(
            key="continuations.round_trip",
            group="continuations",
            title="round trip of two guest threads over a mutex and a condition variable, one worker",
            unit="ns",
            bench="threads",
            name="round_trip",
            commands={
                "weft": ["threads", "round_trip", count, "--workers=1"],
                "weft continuations": ["threads", "round_trip", count, "--workers=1", "--fibers=continuations"],
                "go": words("roundtrip", count=count),
            },
            ours="weft continuations",
            judge=judge_round_trip_on_continuations,
        )
    )

    # Messages.
    arguments = words("channels", workers=2, count=5_000 if quick else 500_000)
    for name, title, unit, judge in (
        ("round_trip", "round trip of 64 bytes between two tasks on one worker, rendezvous", "ns", judge_channel_round_trip),
        ("round_trip_buffered", "the same, channels with room", "ns", judge_channel_round_trip),
        ("throughput", "messages of 64 bytes between two tasks on two workers, one a call", "M/s", None),
        ("batched", "the same, 64 a call (Go: slices of 64)", "M/s", judge_channel_batched),
    ):
        commands = {"weft": arguments, "go": arguments}
        cases.append(Case(key=f"channel.{name}", group="channels", title=title, unit=unit, bench="channel", name=name, commands=commands, judge=judge))
    guest_arguments = words("guest-channels", workers=2, count=2_000 if quick else 200_000)
    for name, title, unit, peer in (
        ("round_trip", "round trip of 64 bytes between two processes on one worker, rendezvous (Go: goroutines)", "ns", arguments),
        ("throughput", "messages of 64 bytes between two processes on two workers, one a call (Go: goroutines)", "M/s", arguments),
        ("batched", "the same, 64 a call (Go: slices of 64)", "M/s", arguments),
        ("wait_set", "a wait of a process for any of 1,000, one ready", "ns", None),
    ):
        commands = {"weft": guest_arguments, "go": peer} if peer else {"weft": guest_arguments}
        case = Case(key=f"channel.guest_{name}", group="channels", title=title, unit=unit, bench="channel", name=f"guest_{name}", commands=commands)
        case.names["go"] = name
        cases.append(case)
    n = 10_000
    cases.append(
        Case(
            key="wait_set",
            group="channels",
            title=f"a wait for any of {thousands(n)}, one ready",
            unit="ns",
            bench="wait-set",
            name="one_ready",
            commands={"weft": words("wait-set", n=n, count=2_000 if quick else 200_000)},
            judge=judge_wait_set,
        )
    )

    # Managing.
    arguments = words("manage", n=1_000 if quick else 10_000, count=2_000 if quick else 100_000, workers=2)
    fuel = words("fuel", count=200 if quick else 10_000)
    bridge = words("bridge", count=2_000 if quick else 100_000, workers=2)
    for bench, name, title, unit, command, most in (
        ("manage", "coroutine", "a task of a task manager, a coroutine, from submission to end", "us", arguments, 5),
        ("manage", "process", "the same, an empty process", "us", arguments, 10),
        ("manage", "kib_each", "memory of a task that waits, beyond a coroutine without a manager", "KiB", arguments, 1),
        ("fuel", "take", "an operation paid from a pool of fuel", "ns", fuel, 50),
        ("bridge", "awake", "a crossing by block_on(), the worker busy with yields", "ns", bridge, 1000),
        ("bridge", "in_a_row", "the same in a row, two workers with nothing else to do", "ns", bridge, None),
        ("bridge", "asleep", "the same, all workers asleep", "ns", bridge, None),
        ("bridge", "blocking", "work that blocks, awaited by a task, there and back", "ns", bridge, None),
    ):
        judge = judge_at_most(most, unit) if most else None
        cases.append(Case(key=f"{bench}.{name}", group="manage", title=title, unit=unit, bench=bench, name=name, commands={"weft": command}, judge=judge))

    # Supervision.
    n = 500 if quick else 10_000
    cases.append(
        Case(
            key="restart",
            group="restart",
            title=f"a crashed child, from trap to running again, {thousands(n)} other children",
            unit="us",
            bench="restart",
            name="trap",
            commands={"weft": words("restart", n=n, count=200 if quick else 5_000, workers=cores)},
            judge=judge_restart,
        )
    )

    # 10. Trace.
    n = 1_000
    arguments = words("switch", n=n, iterations=max(1, yields // n))
    cases.append(
        Case(
            key="trace",
            group="trace",
            title=f"switch by yield, {thousands(n)} processes, trace off and on",
            unit="ns",
            bench="switch",
            name="yield",
            commands={"weft": arguments, "weft traced": arguments + ["--trace"]},
            names={"weft traced": "traced"},
            judge=judge_trace,
        )
    )
    return cases
