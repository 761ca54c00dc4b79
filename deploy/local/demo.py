#!/usr/bin/python3
"""Runs a cluster of object hosts on this machine, with the objects of a git repository on it.

Creates every object that is reachable from the repository's refs on one of the hosts, holds each
ref in a client process, drops, kills, stops and hands on, and compares what is live after each step
with what git says is reachable.  README.md beside this file tells it whole.

Exit status: 0, all steps agree; 1, a difference, or a process failed; 2, wrong input.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time

import plan as planning
import report
from cluster import LIMBO_SHARE, Cluster, ClusterError
from git_repository import Repository, is_branch, read_repository
from graph import InputError, place, read_graph_file, synthetic, write_stream
from oracle import GitOracle, IgraphOracle
from report import complain, counted

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

# How many objects are read back in full, all clients together.
READ_BACK_MAX = 256
# Holders renew when a third of their term is over, give or take what a busy machine adds.
RENEW_SHARE = 1 / 3
LATE_SHARE = 0.25


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="deploy/local/demo", description=__doc__.split("\n\n")[1],
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--repo", metavar="PATH", default=None,
                        help="git repository to load; by default the one this file is in")
    source.add_argument("--synthetic", metavar="N", type=int, help="a made-up graph of N objects")
    source.add_argument("--graph", metavar="FILE", help="a graph in tab-separated text")
    parser.add_argument("--seed", type=int, default=1, help="of --synthetic")
    parser.add_argument("--check-options", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--hosts", metavar="N", type=int, default=3, help="object hosts to start")
    parser.add_argument("--term", metavar="SECONDS", type=float, default=3.0, help="lease term")
    parser.add_argument("--json", metavar="FILE", help="write steps and figures there")
    parser.add_argument("--keep-running", action="store_true",
                        help="load again afterwards and leave it up until Ctrl-C")
    parser.add_argument("--build", metavar="DIR", default=os.path.join(ROOT, "build", "release"),
                        help="build tree to take the binaries from")
    parser.add_argument("--patience", metavar="SECONDS", type=float, default=None,
                        help="how long nothing may change before a step counts as wrong; "
                        "by default 20 s and five terms")
    options = parser.parse_args(arguments)
    if not 0 <= options.seed < 1 << 64:
        parser.error("--seed: 0 to 2^64 - 1")
    if not 1 <= options.hosts <= 64:
        parser.error("--hosts: 1 to 64")
    if not 0.5 <= options.term <= 600:
        parser.error("--term: 0.5 to 600")
    if options.patience is None:
        options.patience = 20 + 5 * options.term
    if not 0 < options.patience <= 86400:
        parser.error("--patience: more than 0, at most 86400")
    return options


def read_input(options):
    """(Graph, Oracle, notes, which roots count as branches)."""
    if options.synthetic is not None or options.graph is not None:
        graph = (read_graph_file(options.graph) if options.graph is not None
                 else synthetic(options.synthetic, options.seed))
        return graph, IgraphOracle(graph, options.hosts), [], lambda root: True
    repository = Repository(ROOT if options.repo is None else options.repo)
    graph, notes = read_repository(repository)
    return graph, GitOracle(repository, graph), notes, is_branch


def by_holder(roots):
    """{holder: [number of root]}"""
    numbers = {}
    for number, root in enumerate(roots):
        numbers.setdefault(root.holder, []).append(number)
    return numbers


class Demo:
    """One run on one cluster: the steps, and what they found."""

    def __init__(self, options, graph, oracle, plan, cluster, say):
        self.options = options
        self.graph = graph
        self.oracle = oracle
        self.plan = plan
        self.cluster = cluster
        self.say = say
        self.progress = report.Progress(sys.stderr)
        self.sizes = dict(zip(graph.ids, graph.sizes))
        self.stuck, self.spanning = oracle.stuck()
        # Client -> numbers (in plan.roots) of the references it holds.
        self.held = by_holder(plan.roots)
        self.steps = []
        self.reclaimed = 0
        self.load_seconds = 0.0
        self.memory = self.figures_of_holders = None

    # --- Getting there.

    def load(self):
        """Loads the graph and hands the roots to the clients; the loader leaves."""
        cluster, graph = self.cluster, self.graph
        loader = cluster.start_client("\tloader")
        loader.on_progress = lambda created, linked: self.progress.show(
            f"loading: {created:,} of {len(graph):,} objects, "
            f"{created / max(0.001, time.monotonic() - began):,.0f} objects/s"
            + (f", {counted(linked, 'edge')} linked afterwards" if linked else ""))
        pipe = os.path.join(cluster.folder, "graph")
        os.mkfifo(pipe)
        began = time.monotonic()
        loader.tell(" ".join(["load", "graph", *(host.address for host in cluster.hosts)]))
        try:
            with os.fdopen(open_pipe(pipe, loader), "wb", 1 << 20) as out:
                payloads = (self.oracle.repository.contents(graph.ids)
                            if isinstance(self.oracle, GitOracle) else None)
                write_stream(graph, len(cluster.hosts), payloads, out, self.options.seed)
        except BrokenPipeError:
            pass  # The loader's answer says why.
        os.unlink(pipe)
        loader.answer(timeout=3600)
        self.load_seconds = time.monotonic() - began
        self.progress.clear()
        self.say(f"loaded {counted(len(graph), 'object')} in {self.load_seconds:.1f} s; "
                 f"the references go to {counted(len(self.held), 'client')}")
        for holder in self.held:
            cluster.start_client(holder)
        wires = [loader.ask(f"give {root.node} 60") for root in self.plan.roots]
        loader.ask("settle 300", timeout=330)
        for holder, numbers in self.held.items():
            for number in numbers:
                cluster.clients[holder].ask(f"take r{number} {wires[number]}")
        for holder in self.held:
            cluster.clients[holder].ask("settle 60", timeout=90)
        began = time.monotonic()
        cluster.depart("\tloader")
        return began

    # --- Comparing.

    def expected(self):
        nodes = [self.plan.roots[number].node for numbers in self.held.values()
                 for number in numbers]
        return self.oracle.reachable(nodes) | self.stuck

    def wait_for(self, count, hold_seconds):
        """Waits until `count` objects are live and have been for `hold_seconds`.

        Gives up when nothing changes.  Fewer than `count` is final: what is reclaimed does not
        come back.
        """
        last, changed, reached = None, time.monotonic(), None
        while True:
            began = time.monotonic()
            self.cluster.check()
            live = self.cluster.live()
            now = time.monotonic()
            if live != last:
                last, changed = live, now
            self.progress.show(f"live {live:,} of {len(self.graph):,}, expecting {count:,}; "
                               f"reclaimed {len(self.graph) - live:,}")
            if live < count:
                return
            if live == count:
                reached = reached or now
                if now - reached >= hold_seconds:
                    return
            elif now - changed > self.options.patience:
                return
            time.sleep(min(0.5, max(0.02, 3 * (now - began))))

    def step(self, name, began, hold_seconds=0.3, cause=None, notes=(), problems=()):
        """Waits for the oracle's answer, compares object by object and records the outcome."""
        expected = self.expected()
        self.wait_for(len(expected), hold_seconds)
        self.progress.clear()
        seconds = time.monotonic() - began
        hosts = len(self.cluster.hosts)
        live = self.cluster.list_labels(next(iter(self.cluster.clients.values())))
        difference = report.compare(expected, live, self.sizes, lambda label: place(label, hosts))
        events = self.cluster.new_events()
        times = [when - began for when, _, _ in events]
        self.reclaimed += len(events)
        step = {
            "step": len(self.steps) + 1, "name": name, "expected": len(expected),
            "live": len(live), "missing": len(difference.missing),
            "extra": len(difference.extra), "wrong": len(difference.wrong),
            "missing_first": difference.missing[:report.NAMED_MAX],
            "extra_first": difference.extra[:report.NAMED_MAX],
            "wrong_first": difference.wrong[:report.NAMED_MAX],
            "reclaimed": len(events), "cause": cause, "seconds": seconds,
            "reclaim_seconds": report.spread(times), "problems": list(problems),
            "ok": not any(difference) and not problems,
        }
        step["_times"] = times
        self.steps.append(step)
        if cause == "crash" and times:
            earliest = self.options.term * (1 - RENEW_SHARE + LIMBO_SHARE - LATE_SHARE)
            if min(times) < earliest:
                self.problem(f"the first object went {min(times):.2f} s after the kill, "
                             "before the lease can have ended")
        for client in self.cluster.clients.values():
            try:
                client.ask("check")
            except ClusterError as error:
                self.problem(str(error))
        self.tell_step(step, notes)

    def problem(self, text):
        self.steps[-1]["problems"].append(text)
        self.steps[-1]["ok"] = False

    def tell_step(self, step, notes):
        self.say(f"{step['step']}. {step['name']}: live {step['live']:,}, expected "
                 f"{step['expected']:,} ({self.oracle.name}): "
                 f"{'ok' if step['ok'] else 'DIFFERS'}; reclaimed {step['reclaimed']:,}")
        for note in notes:
            self.say(f"   {note}")
        for kind in ("missing", "extra", "wrong"):
            if step[kind]:
                self.say(f"   {step[kind]:,} {kind}: " + ", ".join(step[f"{kind}_first"])
                         + (" ..." if step[kind] > report.NAMED_MAX else ""))
        for text in step["problems"]:
            self.say(f"   {text}")

    # --- The steps.

    def run(self):
        cluster, plan, term = self.cluster, self.plan, self.options.term
        baseline = sum(host.rss_bytes() for host in cluster.hosts)
        self.step("loaded", self.load(), problems=self.oracle.objections(self.expected()))
        self.measure_memory(baseline)
        self.read_back()

        numbers = [plan.roots.index(root) for root in plan.dropped]
        began = time.monotonic()
        for holder, held in self.held.items():
            for number in [each for each in numbers if each in held]:
                cluster.clients[holder].ask(f"drop r{number}")
                held.remove(number)
        names = " and ".join(dict.fromkeys(root.name for root in plan.dropped))
        self.step("reference dropped", began, cause="drop", notes=[names])

        lost = self.held.pop(plan.killed)
        began = cluster.kill(plan.killed)
        self.step("client killed (SIGKILL)", began, cause="crash",
                  notes=[f"{plan.killed}, which held "
                         + ", ".join(plan.roots[number].name for number in lost[:5])])

        self.step("host stopped and continued", self.stop_host(), hold_seconds=1.5 * term)
        self.step("reference handed on", self.hand_over(), hold_seconds=1.5 * term,
                  notes=[f"{plan.handed} has left; its heir holds what it held"])
        self.collect_figures()

        lister = cluster.start_client("\tlister")  # holds nothing
        lister.ask("check")
        began = time.monotonic()
        self.leave_all()
        self.step("all clients gone", began, cause="exit")
        cluster.depart("\tlister")

    def read_back(self):
        """Each client reads on from its first reference; that is compared with the input."""
        node = {label: number for number, label in enumerate(self.graph.ids)}
        share = max(1, READ_BACK_MAX // len(self.held))
        count = 0
        for holder, numbers in self.held.items():
            client = self.cluster.clients[holder]
            objects = self.cluster.walk(client, f"r{numbers[0]}", share)
            count += len(objects)
            contents = self.oracle.contents([each.label for each in objects])
            for each, content in zip(objects, contents):
                difference = report.compare_read(self.graph, node.get(each.label), each, content)
                if difference:
                    self.problem(f"{each.label} reads back with {difference}")
            client.ask("settle 60", timeout=90)
        self.steps[-1]["read_back"] = count
        self.say(f"   {counted(count, 'object')} read back, along references: "
                 + ("type, contents and references agree" if self.steps[-1]["ok"]
                    else "; ".join(self.steps[-1]["problems"][:report.NAMED_MAX])))

    def stop_host(self):
        """SIGSTOP for half the term."""
        host = self.cluster.hosts[-1]
        began = time.monotonic()
        host.signal(signal.SIGSTOP)
        time.sleep(self.options.term / 2)
        host.signal(signal.SIGCONT)
        self.say(f"   {host.name} was stopped for {time.monotonic() - began:.2f} s")
        return began

    def hand_over(self):
        """A client hands on all it holds and exits at once, before anybody has taken it."""
        cluster, holder = self.cluster, self.plan.handed
        giver = cluster.clients[holder]
        numbers = self.held.pop(holder)
        cluster.start_client("\their")
        wires = [giver.ask(f"give r{number} {self.options.term}") for number in numbers]
        began = time.monotonic()
        cluster.depart(holder)
        for number, wire in zip(numbers, wires):
            cluster.clients["\their"].ask(f"take r{number} {wire}")
        self.held["\their"] = numbers
        return began

    def leave_all(self):
        """All clients exit in an orderly way, at the same time."""
        cluster = self.cluster
        leaving = [cluster.clients.pop(holder) for holder in self.held]
        for client in leaving:
            client.tell("exit")
        for client in leaving:
            client.answer()
            client.reap(10)
            cluster.gone.append(client)
        self.held = {}

    # --- Figures.

    def measure_memory(self, baseline):
        self.cluster.live()  # the buffers that a scrape needs are there, too
        used = sum(host.rss_bytes() for host in self.cluster.hosts) - baseline
        live = self.steps[-1]["live"]
        payload = sum(self.graph.sizes)
        self.memory = max(0, used - payload) / live if live else None

    def collect_figures(self):
        """What all holders, hosts included, have said to owners so far."""
        totals = {}
        counters = [client.counters for client in self.cluster.gone]
        counters += [client.read_counters() for client in self.cluster.clients.values()]
        counters += [host.scrape() for host in self.cluster.hosts]
        for each in counters:
            for name, value in each.items():
                family = name.split("{")[0].split(",")[0]
                totals[family] = totals.get(family, 0) + value
        self.figures_of_holders = totals

    def result(self):
        times = {cause: [when for step in self.steps if step["cause"] == cause
                         for when in step["_times"]] for cause in ("drop", "crash", "exit")}
        graph, hosts = self.graph, self.options.hosts
        where = [place(label, hosts) for label in graph.ids]
        across = sum(where[node] != where[child] for node in range(len(graph))
                     for child in graph.children(node))
        totals = self.figures_of_holders or {}
        references = totals.get("dgc_imports_total", 0)
        messages = totals.get("dgc_requests_sent_total", 0)
        sent = totals.get("dgc_call_bytes_total", 0)
        return {
            "input": graph.source, "oracle": self.oracle.name, "hosts": hosts,
            "term_seconds": self.options.term, "objects": len(graph), "edges": graph.edges,
            "edges_across": across, "payload_bytes": sum(graph.sizes),
            "clients": len(by_holder(self.plan.roots)),
            "uncollectable": len(self.stuck), "spanning_cycles": self.spanning,
            "uncollectable_first": sorted(self.stuck)[:report.NAMED_MAX],
            "steps": [{key: value for key, value in step.items() if key != "_times"}
                      for step in self.steps],
            "figures": {
                "load_seconds": self.load_seconds,
                "objects_per_second": len(graph) / self.load_seconds if self.load_seconds else None,
                "reclaim_seconds": {cause: report.spread(each) for cause, each in times.items()},
                "messages": messages, "references": references, "bytes": sent,
                "messages_per_reference": messages / references if references else None,
                "bytes_per_reference": sent / references if references else None,
                "memory_bytes_per_object": self.memory,
            },
            "ok": all(step["ok"] for step in self.steps) and len(self.steps) == 6,
        }

    def keep_running(self):
        """Loads again, so that there is something to look at, and waits for Ctrl-C."""
        self.held = by_holder(self.plan.roots)
        self.load()
        for host in self.cluster.hosts:
            self.say(f"{host.name}: pid {host.pid}, gRPC {host.address}, "
                     f"http://{host.metrics}/metrics")
        for holder, client in self.cluster.clients.items():
            port = client.ask("metrics 127.0.0.1:0")
            self.say(f"client {holder}: pid {client.pid}, http://127.0.0.1:{port}/metrics")
        try:
            self.say("running; Ctrl-C ends it")
            while True:
                self.cluster.check()
                time.sleep(0.5)
        except KeyboardInterrupt:
            self.say("\nstopping")


def open_pipe(path, reader):
    """Opens a named pipe for writing, but does not wait for a reader that has given up or ended."""
    while True:
        try:
            pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            os.set_blocking(pipe, True)
            return pipe
        except OSError:
            if not reader.running() or reader.answered():
                said = reader.answer()  # Raises an error, if it is one.
                raise ClusterError(f"{reader.name} reads nothing: {said}") from None
            time.sleep(0.01)


def fall_silent(status):
    """Nobody reads what is said any more: from now on that must not fail.  Ends the run."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    sys.exit(status)


def say(text=""):
    try:
        print(text, flush=True)
    except BrokenPipeError:
        fall_silent(128 + signal.SIGPIPE)


def run(options, folder, json_file):
    began = time.monotonic()
    graph, oracle, notes, branch = read_input(options)
    plan = planning.make_plan(graph, branch)
    say(f"{graph.source}: {counted(len(graph), 'object')}, {counted(graph.edges, 'edge')} "
        f"({time.monotonic() - began:.1f} s)")
    for note in notes:
        say(f"note: {note}")
    holders = len(by_holder(graph.roots))
    if holders > planning.CLIENTS_MAX:
        say(f"note: {holders} holders share {planning.CLIENTS_MAX} client processes, by turns")
    for root in plan.added:
        say(f"note: too few references for every step to mean something; {root.holder} holds "
            f"{root.name} as well")
    if plan.weak:
        say("note: a very small graph; some steps will free nothing")
    with Cluster(options.build, folder, options.term) as cluster:
        cluster.start_hosts(options.hosts)
        for host in cluster.hosts:
            say(f"{host.name}: pid {host.pid}, gRPC {host.address}, "
                f"http://{host.metrics}/metrics")
        say(f"leases of {options.term:g} s, kept {options.term * LIMBO_SHARE:g} s longer in case "
            "a late renewal comes")
        demo = Demo(options, graph, oracle, plan, cluster, say)
        error = None
        try:
            try:
                demo.run()
            except ClusterError:
                cluster.check()  # That a process has ended says more than what came of it.
                raise
        except ClusterError as failed:
            error = failed
        finally:
            demo.progress.clear()
        result = demo.result()
        result["error"] = str(error) if error else None
        say()
        say(report.render(result))
        if json_file:
            json_file.write(result)
        say()
        if error:
            raise error
        say("all steps agree" if result["ok"] else "DIFFERENCES, see above")
        if options.keep_running:
            demo.keep_running()
        return 0 if result["ok"] else 1


def main():
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # Closed by whoever started this.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        getattr(sys, name).reconfigure(errors="backslashreplace")
    options = parse_arguments(sys.argv[1:])
    if options.check_options:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # As under nohup.
        signal.signal(signal.SIGHUP, lambda *_: fall_silent(129))
    folder = tempfile.mkdtemp(prefix="leasehold-demo-")
    status = 1
    try:
        with (contextlib.nullcontext() if options.json is None
              else report.JsonFile(options.json)) as json_file:
            status = run(options, folder, json_file)
    except InputError as error:
        complain(f"demo: {error}")
        status = 2
    except (ClusterError, OSError) as error:
        complain(f"demo: {error}")
    except KeyboardInterrupt:
        complain("\nstopped")
        status = 130
    except SystemExit as error:
        status = error.code
    finally:
        if status in (0, 2, 129, 130, 141, 143):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            complain(f"demo: logs are in {folder}")
    return status


if __name__ == "__main__":
    sys.exit(main())
