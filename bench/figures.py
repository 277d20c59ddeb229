"""What the runs gave: medians and ranges, the table for people, the JSON for programs."""

import statistics
import unicodedata


# In nanoseconds: programs and cases may differ in them.
TIMES = {"ns": 1.0, "us": 1e3, "ms": 1e6}


def converted(value, unit, wanted):
    return value * TIMES[unit] / TIMES[wanted] if unit in TIMES and wanted in TIMES else value


class Figure:
    """All values of one system in one case."""

    def __init__(self):
        self.values = []
        self.extras = []
        self.failures = []

    @property
    def median(self):
        return statistics.median(self.values) if self.values else None

    def median_of(self, name):
        return statistics.median(float(extra[name]) for extra in self.extras)

    def text(self):
        if not self.values:
            return "failed" if self.failures else ""
        if len(self.values) == 1:
            return short(self.median)
        return f"{short(self.median)} ({short(min(self.values))}–{short(max(self.values))})"

    def as_json(self):
        result = {"median": self.median, "min": min(self.values, default=None), "max": max(self.values, default=None)}
        result["values"] = self.values
        result["extra"] = self.extras
        if self.failures:
            result["failures"] = self.failures
        return result


def short(value):
    """Three significant digits, no exponent."""
    if value is None:
        return ""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def width(text):
    return sum(0 if unicodedata.combining(c) else 1 for c in text)


def pad(text, size, right):
    space = " " * (size - width(text))
    return space + text if right else text + space


def table(rows, right):
    """`rows`: lists of texts, the first is the head. `right`: which columns are aligned to the right."""
    sizes = [max(width(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(pad(text, sizes[i], i in right) for i, text in enumerate(row)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * size for size in sizes))
    return "\n".join(lines)


SYSTEM_TITLES = {
    "weft": "Weft",
    "weft traced": "Weft, traced",
    "weft continuations": "Weft, continuations",
    "tokio": "Tokio host",
    "go": "Go",
    "boost": "Boost.Context",
    "lunatic": "lunatic",
    "wasmtime46": "Wasmtime 46",
    "native": "native threads",
    "kernels": "the five kernels",
}


def render(cases, figures, verdicts, systems, judged):
    """The one table. `figures`: {case key: {system: Figure}}; `verdicts`: {case key: Verdict or None}. Not `judged`: the figures of
    this run mean nothing, so that it is not said whether they suffice."""
    # A column for each system that has anything to say; the traced one goes into the column "found".
    columns = [s for s in systems if s != "weft traced" and any(s in figures[c.key] for c in cases)]
    rows = [["what", "unit"] + [SYSTEM_TITLES[s] for s in columns] + ["target", "found", "reached"]]
    for case in cases:
        row = [case.title, case.unit]
        row += [figures[case.key][s].text() if s in figures[case.key] else "" for s in columns]
        verdict = verdicts.get(case.key)
        if verdict is None:
            row += ["", "", ""]
        else:
            reached = {True: "yes", False: "NO", None: "?"}[verdict.reached]
            row += [verdict.target, verdict.found, reached if judged else "–"]
        rows.append(row)
    return table(rows, right=set(range(2, 2 + len(columns))))
