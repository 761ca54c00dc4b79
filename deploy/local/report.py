"""What the demo says: comparison, progress and the final table."""

import collections
import json
import os
import sys
import time

from graph import InputError

# How many objects of a difference are named.
NAMED_MAX = 10

Difference = collections.namedtuple("Difference", "missing extra wrong")


def compare(expected, live, sizes, hosts_of):
    """What is wrong with `live`, [(label, bytes, host)], as sorted lists of labels.

    missing: expected but not there; extra: there but not expected, or there twice; wrong: there
    with another size, or on another host.
    """
    seen = set()
    extra, wrong = [], []
    for label, size, host in live:
        if label not in expected or label in seen:
            extra.append(label)
            continue
        seen.add(label)
        if sizes[label] != size or hosts_of(label) != host:
            wrong.append(label)
    return Difference(sorted(expected - seen), sorted(extra), sorted(wrong))


def compare_read(graph, node, read, content):
    """How `read`, a cluster.Read, differs from that node of the graph; None if it does not.

    Its content is compared unless None.
    """
    if node is None:
        return "a label that was never created"
    if read.type != graph.types[node]:
        return f"type {read.type}, not {graph.types[node]}"
    if len(read.payload) != graph.sizes[node]:
        return f"{len(read.payload)} bytes, not {graph.sizes[node]}"
    if content is not None and read.payload != content:
        return "other contents"
    children = collections.Counter(graph.ids[child] for child in graph.children(node))
    if read.edges != children.total() or collections.Counter(read.targets) - children:
        return "other references"
    return None


def percentile(ordered, percent):
    """Nearest rank, of a sorted list; None of an empty one."""
    return ordered[-(-percent * len(ordered) // 100) - 1] if ordered else None


def spread(values):
    """{count, p50, p99, max} in seconds."""
    ordered = sorted(values)
    return {"count": len(ordered), "p50": percentile(ordered, 50),
            "p99": percentile(ordered, 99), "max": ordered[-1] if ordered else None}


class Progress:
    """One line that is rewritten on a terminal; elsewhere a line now and then."""

    INTERVAL = 5.0

    def __init__(self, out):
        self.out = out
        self.terminal = out.isatty()
        self.width = 0
        self.last = time.monotonic()

    def show(self, text):
        now = time.monotonic()
        if self.terminal:
            complain("\r" + text.ljust(self.width), self.out, end="")
            self.width = len(text)
        elif now - self.last >= self.INTERVAL:
            self.last = now
            complain(text, self.out)

    def clear(self):
        if self.terminal and self.width:
            complain("\r" + " " * self.width + "\r", self.out, end="")
        self.width = 0
        self.last = time.monotonic()


def complain(text, out=None, end="\n"):
    """Says it on standard error, or `out`; that nobody reads that any more does not matter."""
    try:
        print(text, file=out or sys.stderr, end=end, flush=True)
    except OSError:
        pass


def counted(count, noun):
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def millis(seconds):
    return "-" if seconds is None else f"{seconds * 1000:,.0f} ms"


def table(rows, right):
    """Lines of columns; those numbered in `right` are flushed right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for position, row in enumerate(rows):
        lines.append("  " + "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))).rstrip())
        if position == 0:
            lines.append("  " + "  ".join("-" * width for width in widths))
    return lines


def render(result):
    """The final table of a result, which is what --json writes."""
    figures = result["figures"]
    rows = [("step", "expected", "live", "missing", "extra", "reclaimed", "took", "")]
    for step in result["steps"]:
        rows.append((f"{step['step']} {step['name']}", number(step["expected"]),
                     number(step["live"]), number(step["missing"]), number(step["extra"]),
                     number(step["reclaimed"]), f"{step['seconds']:.1f} s",
                     "ok" if step["ok"] else "DIFFERS"))
    lines = [f"{result['input']}: {counted(result['objects'], 'object')}, "
             f"{counted(result['edges'], 'edge')} ({number(result['edges_across'])} across hosts), "
             f"{number(result['payload_bytes'] / 1e6, 1)} MB of payload on "
             f"{counted(result['hosts'], 'host')}; term {result['term_seconds']:g} s; "
             f"oracle: {result['oracle']}", ""]
    lines += table(rows, right={1, 2, 3, 4, 5, 6})
    if result["uncollectable"]:
        lines += ["", f"  expected includes {counted(result['uncollectable'], 'object')} on "
                  f"{counted(result['spanning_cycles'], 'cycle')} across hosts, or below, that the",
                  "  lease strategy cannot collect: " + ", ".join(result["uncollectable_first"])]
    lines.append("")
    reclaim = figures["reclaim_seconds"]
    for cause in ("drop", "crash", "exit"):
        each = reclaim[cause]
        lines.append(f"  time to reclaim after {cause + ':':<7}p50 {millis(each['p50'])}, "
                     f"p99 {millis(each['p99'])}, max {millis(each['max'])} "
                     f"({counted(each['count'], 'object')})")
    lines += [
        f"  loading:                 {number(figures['load_seconds'], 1)} s, "
        f"{number(figures['objects_per_second'])} objects/s",
        f"  collector's messages:    {number(figures['messages'])} for "
        f"{counted(int(figures['references']), 'reference')}: "
        f"{number(figures['messages_per_reference'], 4)} messages and "
        f"{number(figures['bytes_per_reference'], 1)} bytes per reference",
        f"  memory:                  {number(figures['memory_bytes_per_object'])} bytes per object "
        "beyond its payload (resident, all hosts)"
        + ("; of so few objects mostly buffers" if result["objects"] < 50_000 else ""),
    ]
    return "\n".join(lines)


class JsonFile:
    """Where --json goes: opened before all the work, which would else be done in vain.

    Has its old content until there is a new one; if it was not there and there is none, it goes.
    """

    def __init__(self, path):
        self.path = path
        self.fresh = not os.path.exists(path)
        try:
            self.file = open(path, "a", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--json '{path}': {error.strerror}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        if self.fresh:
            os.unlink(self.path)

    def write(self, result):
        try:
            if os.path.isfile(self.path):
                self.file.truncate(0)
            with self.file:
                self.file.write(json.dumps(result, indent=2) + "\n")
        except OSError as error:
            raise OSError(error.errno, f"--json: {error.strerror}", self.path) from None
        self.fresh = False
