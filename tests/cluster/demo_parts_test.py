#!/usr/bin/python3
"""The parts of deploy/local/demo that need no cluster: reading, ordering, oracles, comparing."""

import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy", "local"))

import demo  # noqa: E402  (the path comes first)
import graph as graphs  # noqa: E402
import plan  # noqa: E402
import report  # noqa: E402
from cluster import Client, ClusterError, Host, Read  # noqa: E402
from git_repository import Repository, read_repository, tree_references  # noqa: E402
from oracle import GitOracle, IgraphOracle  # noqa: E402
from repositories import git, make_repository  # noqa: E402


def read_text(text):
    with tempfile.NamedTemporaryFile("wb", suffix=".tsv") as file:
        file.write(text.encode() if isinstance(text, str) else text)
        file.flush()
        return graphs.read_graph_file(file.name)


def names_on(host, hosts, count):
    """`count` ids that are placed on that host."""
    found = (f"x{number}" for number in range(10000))
    return [name for name in found if graphs.place(name, hosts) == host][:count]


class GraphFileTest(unittest.TestCase):
    def test_reads_nodes_edges_and_roots_in_any_order(self):
        graph = read_text("# a comment\nroot\talice\ta\nedge\ta\tb\nnode\tb\t3\n\nnode\ta\t5\n")

        self.assertEqual(graph.ids, ["b", "a"])  # what is referred to comes first
        self.assertEqual(list(graph.sizes), [3, 5])
        self.assertEqual(list(graph.children(1)), [0])
        self.assertEqual(graph.roots, [graphs.Root("alice", "a", 1)])

    def test_errors_name_the_line(self):
        cases = {
            "nod\ta\t1\n": "line 1: expected node, edge or root, found 'nod'",
            "node\ta\n": "line 1: expected node ID BYTES, separated by tabs",
            "node a 1\n": "line 1: expected node, edge or root",
            "node\ta\t1\t2\n": "line 1: expected node ID BYTES",
            "node\t\t1\n": "line 1: expected node ID BYTES",
            "node\ta\rb\t1\n": "line 1: a control character",
            "node\ta\x00b\t1\n": "line 1: a control character",
            "node\ta\tmany\n": "line 1: BYTES is not a number: 'many'",
            "node\ta\t-1\n": "line 1: BYTES is not a number: '-1'",
            f"node\ta\t{2**30 + 1}\n": "line 1: BYTES is more than 1 GiB",
            f"node\t{'a' * 256}\t1\n": "line 1: ID is longer than 255 bytes",
            "node\ta\t1\n\nnode\ta\t2\n": "line 3: node a was given before, in line 1",
            "node\ta\t1\nedge\ta\tb\nroot\th\ta\n": "line 2: there is no node b",
            "node\ta\t1\nroot\th\tb\n": "line 2: there is no node b",
            "node\ta\t1\n": "no root",
            b"node\ta\t1\n\xff\n": "line 2: not UTF-8",
        }
        for text, expected in cases.items():
            with self.subTest(text=text[:40]):
                with self.assertRaises(graphs.InputError) as caught:
                    read_text(text)
                self.assertIn(expected, str(caught.exception))

    def test_a_missing_file_is_an_input_error(self):
        with self.assertRaises(graphs.InputError):
            graphs.read_graph_file("/nonexistent/graph.tsv")


class OrderTest(unittest.TestCase):
    def test_targets_come_before_what_refers_to_them(self):
        for count in (1, 2, 9, 500):
            graph = graphs.synthetic(count, seed=3)
            order = graphs.creation_order(graph.offsets, graph.targets)
            position = {node: place for place, node in enumerate(order)}
            self.assertEqual(sorted(order), list(range(count)))
            for node in range(count):
                for child in graph.children(node):
                    self.assertLess(position[child], position[node])

    def test_a_chain_longer_than_any_stack_is_ordered(self):
        count = 100_000
        offsets, targets = graphs.adjacency([[node + 1] for node in range(count - 1)] + [[]])

        self.assertEqual(graphs.creation_order(offsets, targets), list(range(count))[::-1])

    def test_cycles_and_loops_are_ordered_somehow(self):
        offsets, targets = graphs.adjacency([[1], [2, 1], [0], [0]])

        self.assertEqual(sorted(graphs.creation_order(offsets, targets)), [0, 1, 2, 3])

    def test_a_stream_lists_nodes_with_their_edges(self):
        graph = read_text("node\ta\t2\nnode\tb\t0\nedge\tb\ta\nroot\th\tb\n")
        out = io.BytesIO()

        graphs.write_stream(graph, 1, iter([[b"x", b"y"], []]), out)

        self.assertEqual(out.getvalue(), b"node\t0\tnode\ta\t2\nxy\nnode\t0\tnode\tb\t0\t0\n\n")

    def test_the_same_seed_gives_the_same_graph(self):
        one, two, other = (graphs.synthetic(200, seed) for seed in (5, 5, 6))

        self.assertEqual((one.targets, one.sizes), (two.targets, two.sizes))
        self.assertNotEqual(one.targets, other.targets)


class IgraphOracleTest(unittest.TestCase):
    def test_reachable_from_several_roots(self):
        graph = read_text("node\ta\t0\nnode\tb\t0\nnode\tc\t0\nnode\td\t0\nedge\ta\tb\n"
                          "edge\tb\ta\nedge\tc\td\nroot\th\ta\nroot\ti\tc\n")
        oracle = IgraphOracle(graph, hosts=1)
        node = {name: number for number, name in enumerate(graph.ids)}

        self.assertEqual(oracle.reachable([node["a"]]), {"a", "b"})
        self.assertEqual(oracle.reachable([node["d"], node["b"]]), {"a", "b", "d"})
        self.assertEqual(oracle.reachable([]), set())

    def test_only_cycles_across_hosts_and_what_hangs_on_them_are_stuck(self):
        (a, b, tail), (c,) = names_on(0, 2, 3), names_on(1, 2, 1)
        lines = [f"node\t{name}\t1" for name in (a, b, c, tail)]
        within = [f"edge\t{a}\t{b}", f"edge\t{b}\t{a}", f"edge\t{a}\t{tail}"]
        across = [f"edge\t{b}\t{c}", f"edge\t{c}\t{a}"]
        root = [f"root\th\t{a}"]

        local = IgraphOracle(read_text("\n".join(lines + within + root)), hosts=2)
        spanning = IgraphOracle(read_text("\n".join(lines + within + across + root)), hosts=2)

        self.assertEqual(local.stuck(), (set(), 0))
        self.assertEqual(spanning.stuck(), ({a, b, c, tail}, 1))


class CompareTest(unittest.TestCase):
    SIZES = {"a": 1, "b": 2, "c": 3}

    def compare(self, expected, live):
        return report.compare(set(expected), live, self.SIZES, lambda label: 0)

    def test_the_same_set_is_no_difference(self):
        self.assertFalse(any(self.compare("ab", [("b", 2, 0), ("a", 1, 0)])))

    def test_what_was_lost_and_what_was_left_is_named(self):
        difference = self.compare("ab", [("a", 1, 0), ("c", 3, 0)])

        self.assertEqual(difference.missing, ["b"])
        self.assertEqual(difference.extra, ["c"])

    def test_twice_is_once_too_often(self):
        self.assertEqual(self.compare("a", [("a", 1, 0), ("a", 1, 0)]).extra, ["a"])

    def test_another_size_or_host_is_wrong(self):
        self.assertEqual(self.compare("ab", [("a", 9, 0), ("b", 2, 1)]).wrong, ["a", "b"])

    def test_what_reads_back_otherwise_is_named(self):
        graph = graphs.synthetic(40, 1)
        node = max(range(len(graph)), key=lambda each: len(graph.children(each)))
        children = [graph.ids[child] for child in graph.children(node)]
        content = b"x" * graph.sizes[node]
        right = Read("synthetic", graph.ids[node], content, len(children), children)
        self.assertIsNone(report.compare_read(graph, node, right, content))
        self.assertIsNone(report.compare_read(graph, node, right._replace(targets=[]), None))
        for wrong, said in (
                (right._replace(type="blob"), "type blob, not synthetic"),
                (right._replace(payload=content + b"x"),
                 f"{len(content) + 1} bytes, not {len(content)}"),
                (right._replace(payload=b"y" * len(content)), "other contents"),
                (right._replace(edges=len(children) - 1), "other references"),
                (right._replace(targets=[*children[:-1], graph.ids[node]]), "other references")):
            self.assertEqual(report.compare_read(graph, node, wrong, content), said)
        self.assertIn("never", report.compare_read(graph, None, right, content))

    def test_one_of_a_thing_is_named_as_one(self):
        self.assertEqual([report.counted(count, "cycle") for count in (0, 1, 2000)],
                         ["0 cycles", "1 cycle", "2,000 cycles"])

    def test_percentiles_are_by_nearest_rank(self):
        self.assertEqual(report.spread(range(1, 101)),
                         {"count": 100, "p50": 50, "p99": 99, "max": 100})
        self.assertEqual(report.spread([]), {"count": 0, "p50": None, "p99": None, "max": None})


class PlanTest(unittest.TestCase):
    def check(self, graph, chosen):
        """Every step frees something, and something is left to the end."""
        oracle = IgraphOracle(graph, hosts=1)
        dropped = {root for root in chosen.dropped}
        rest = [root for root in chosen.roots if root not in dropped]
        last = [root for root in rest if root.holder != chosen.killed]
        counts = [len(oracle.reachable([root.node for root in roots]))
                  for roots in (chosen.roots, rest, last)]
        self.assertGreater(counts[0], counts[1])
        self.assertGreater(counts[1], counts[2])
        self.assertGreater(counts[2], 0)
        self.assertIn(chosen.handed, {root.holder for root in last})

    def test_steps_free_something_and_leave_something(self):
        for count in (100, 3000):
            graph = graphs.synthetic(count, seed=1)
            chosen = plan.make_plan(graph)
            self.assertEqual(chosen.added, [])
            self.check(graph, chosen)

    def test_a_single_root_gets_company(self):
        lines = [f"node\tn{number}\t1" for number in range(9)]
        lines += [f"edge\tn{number + 1}\tn{number}" for number in range(8)]
        graph = read_text("\n".join(lines + ["root\th\tn8"]))

        chosen = plan.make_plan(graph)

        self.assertTrue(chosen.added)
        self.check(graph, chosen)

    def test_all_names_of_one_object_are_dropped_together(self):
        graph = read_text("node\ta\t1\nnode\tb\t1\nnode\tc\t1\nroot\th\ta\nroot\ti\ta\n"
                          "root\tj\tb\nroot\tk\tc\n")

        chosen = plan.make_plan(graph)

        self.assertIn(len(chosen.dropped), (1, 2))
        self.assertEqual(len({root.node for root in chosen.dropped}), 1)
        self.check(graph, chosen)

    def test_many_holders_share_clients_and_the_plan_is_of_clients(self):
        lines = [f"node\tn{number}\t1" for number in range(200)]
        lines += [f"edge\tn{number + 1}\tn{number}" for number in range(150)]
        everywhere = [f"root\th{number}\tn150" for number in range(100)]
        apart = [f"root\th{number}\tn{number}" for number in range(100)]
        for roots, added in ((apart, False), (everywhere, True), (apart + everywhere, False)):
            chosen = plan.make_plan(read_text("\n".join(lines + roots)))

            held = demo.by_holder(chosen.roots)
            ours = {root.holder for root in chosen.added}
            self.assertEqual(len(held.keys() - ours), plan.CLIENTS_MAX)
            self.assertEqual(bool(ours), added)
            self.assertLessEqual({chosen.killed, chosen.handed}, held.keys())
            self.assertEqual(len(chosen.roots), len(set(chosen.roots)))

    def test_the_smallest_graph_has_a_plan(self):
        chosen = plan.make_plan(read_text("node\ta\t1\nroot\th\ta\n"))

        self.assertTrue(chosen.weak)
        self.assertEqual(len({root.holder for root in chosen.roots}), 3)


class Reader:
    """A client that runs, has answered, and opens nothing."""

    name = "reader"

    def __init__(self, error):
        self.error = error

    def running(self):
        return True

    def answered(self):
        return True

    def answer(self):
        if self.error:
            raise ClusterError(self.error)
        return "objects=0"


class PipeTest(unittest.TestCase):
    def test_a_reader_that_has_answered_is_not_waited_for(self):
        with tempfile.TemporaryDirectory() as folder:
            pipe = os.path.join(folder, "pipe")
            os.mkfifo(pipe)
            for error, expected in (("no such file", "no such file"), (None, "reads nothing")):
                with self.assertRaisesRegex(ClusterError, expected):
                    demo.open_pipe(pipe, Reader(error))


class ProcessTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def client(self, script, name="client"):
        # One of its own: what is being executed cannot be written.
        binary = os.path.join(self.folder, f"binary-{len(os.listdir(self.folder))}")
        with open(binary, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nread line\n{script}\n")
        os.chmod(binary, 0o755)
        client = Client(name, binary, self.folder)
        self.addCleanup(client.reap, 10)
        self.addCleanup(client.child.stdin.close)
        return client

    def test_who_waits_for_an_answer_is_told_what_the_reader_died_of(self):
        client = self.client("echo progress 1 2; read line")
        client.on_progress = mock.Mock(side_effect=BrokenPipeError)

        with self.assertRaises(BrokenPipeError):
            client.ask("load", timeout=10)

    def test_progress_that_nobody_reads_does_not_matter(self):
        out = mock.Mock(**{"write.side_effect": BrokenPipeError, "isatty.return_value": True})
        for terminal in (True, False):
            progress = report.Progress(out)
            progress.terminal, progress.INTERVAL = terminal, 0

            progress.show("some of it")
            progress.clear()
        self.assertEqual(out.write.call_count, 3)

    def test_the_signal_that_killed_a_process_is_named(self):
        client = self.client("echo last words >&2; kill -SEGV $$")

        with self.assertRaisesRegex(ClusterError, "killed by SIGSEGV: last words"):
            client.ask("check", timeout=10)

    def test_a_host_that_was_killed_is_not_said_to_serve_no_metrics_alone(self):
        binary = os.path.join(self.folder, "binary")
        with open(binary, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\necho ready address=a metrics=127.0.0.1:1\nexec sleep 100\n")
        os.chmod(binary, 0o755)
        host = Host(1, binary, self.folder, term=1)
        self.addCleanup(host.reap, 10)
        host.await_ready()
        host.signal(signal.SIGKILL)

        with self.assertRaisesRegex(ClusterError, "does not serve its metrics.*killed by SIGKILL"):
            host.scrape()

    def test_a_log_has_a_name_of_its_own_that_the_file_system_takes(self):
        names = ["\U00020000" * 80, "\U00020001" * 80, "a" * 200, "a" * 201]

        logs = {self.client("exit 0", name).log for name in names}

        self.assertEqual(len(logs), len(names))


class BuildTest(unittest.TestCase):
    """deploy/local/build.bash in a clone without anything else, with a cmake that only waits."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        source = os.path.join(ROOT, "deploy", "local", "build.bash")
        self.script = os.path.join(self.folder, "deploy", "local", "build.bash")
        os.makedirs(os.path.dirname(self.script))
        shutil.copy(source, self.script)
        os.mkdir(os.path.join(self.folder, "build"))
        self.lock = open(os.path.join(self.folder, "build", ".lock"), "w", encoding="ascii")
        self.addCleanup(self.lock.close)

    def start(self, cmake):
        path = os.path.join(self.folder, "cmake")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{cmake}\n")
        os.chmod(path, 0o755)
        script = subprocess.Popen(
            ["bash", "-euc", 'source "$0"; build dev one two; echo built', self.script],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"})
        self.addCleanup(script.communicate)
        return script

    def test_a_build_waits_for_another(self):
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        script = self.start('echo "$@" >&2')
        self.assertEqual(script.stdout.readline(), "waiting for another build\n")

        fcntl.flock(self.lock, fcntl.LOCK_UN)

        said = script.communicate(timeout=30)[0]
        self.assertRegex(said, "^--preset dev .*\n--build --preset dev --target one two .*\nbuilt$")

    def test_a_build_that_fails_fails_the_script(self):
        script = self.start("exit 3")

        self.assertEqual(script.communicate(timeout=30)[0], "")
        self.assertEqual(script.returncode, 3)

    def test_a_signal_ends_all_that_builds(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            script = self.start("echo up >&2; sleep 60; echo down >&2")
            self.assertEqual(script.stdout.readline(), "up\n")

            script.send_signal(number)

            self.assertEqual(script.communicate(timeout=30)[0], "")  # Nobody has the pipe any more
            self.assertEqual(script.returncode, -number)
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)    # nor the lock.
            fcntl.flock(self.lock, fcntl.LOCK_UN)


class JsonFileTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "result.json")

    def test_a_file_that_cannot_be_written_is_an_input_error(self):
        for path in ("", os.path.dirname(self.path), os.path.join(self.path, "deeper")):
            with self.assertRaisesRegex(graphs.InputError, "--json"):
                report.JsonFile(path)

    def test_without_a_result_all_is_as_it_was(self):
        with report.JsonFile(self.path):
            pass
        self.assertFalse(os.path.exists(self.path))

        with open(self.path, "w", encoding="utf-8") as file:
            file.write("an old result, longer than the new one")
        with report.JsonFile(self.path):
            pass
        self.assertGreater(os.path.getsize(self.path), 0)

        with report.JsonFile(self.path) as file:
            file.write({"ok": True})
        with open(self.path, encoding="utf-8") as file:
            self.assertEqual(json.load(file), {"ok": True})

    def test_a_full_disk_is_named(self):
        with report.JsonFile("/dev/full") as file:
            with self.assertRaisesRegex(OSError, "No space left on device: '/dev/full'"):
                file.write({})


class SeedTest(unittest.TestCase):
    def test_a_seed_is_what_the_stream_can_say(self):
        for seed in (0, 2**64 - 1):
            self.assertEqual(demo.parse_arguments([f"--seed={seed}"]).seed, seed)


class RepositoryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.origin = make_repository(os.path.join(folder.name, "origin"))

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = shutil.copytree(self.origin, os.path.join(self.folder.name, "origin"))

    def read(self, path):
        repository = Repository(path)
        graph, notes = read_repository(repository)
        # Everything that git lists can be reached along the edges that were read, and nothing else.
        ours = IgraphOracle(graph, hosts=1)
        git_s = GitOracle(repository, graph)
        for roots in [graph.roots] + [[root] for root in graph.roots]:
            nodes = [root.node for root in roots]
            self.assertEqual(ours.reachable(nodes), git_s.reachable(nodes))
        whole = git_s.reachable([root.node for root in graph.roots])
        self.assertEqual(len(whole), len(graph))
        self.assertEqual(git_s.objections(whole), [])
        return graph, notes

    def test_edges_agree_with_git_for_merges_tags_and_submodules(self):
        graph, notes = self.read(self.path)

        self.assertEqual(set(graph.types), {"commit", "tree", "blob", "tag"})
        self.assertIn("refs/tags/nested", [root.name for root in graph.roots])
        self.assertEqual(notes, [])

    def test_parents_of_a_shallow_boundary_are_absent(self):
        shallow = os.path.join(self.folder.name, "shallow")
        subprocess.run(["git", "clone", "-q", "--depth", "2", f"file://{self.path}", shallow],
                       check=True, capture_output=True)

        graph, notes = self.read(shallow)

        self.assertLess(graph.types.count("commit"), 5)
        self.assertIn("shallow", notes[0])

    def test_a_detached_head_is_held(self):
        git(self.path, "checkout", "-q", "--detach")
        git(self.path, "commit", "-q", "--allow-empty", "-m", "on no branch")

        graph, _ = self.read(self.path)

        self.assertIn("HEAD", [root.name for root in graph.roots])

    def test_a_name_with_another_end_of_line_is_one_name(self):
        for name in ("a\u2028b", "zz\x85", "zz\u2029"):
            git(self.path, "branch", name)

        graph, _ = self.read(self.path)

        names = [root.name for root in graph.roots]
        self.assertIn("refs/heads/a\u2028b", names)
        self.assertIn("refs/heads/zz\u2029", names)

    def test_a_detached_head_of_another_worktree_is_held(self):
        other = os.path.join(self.folder.name, "other")
        git(self.path, "worktree", "add", "-q", "--detach", other)
        git(other, "commit", "-q", "--allow-empty", "-m", "on no branch")

        for path, name in ((self.path, f"HEAD of {other}"), (other, "HEAD")):
            graph, _ = self.read(path)
            self.assertEqual([root.name for root in graph.roots if "HEAD" in root.name], [name])

    def test_git_objects_to_a_ref_that_was_overlooked(self):
        refs = Repository.refs
        with mock.patch.object(Repository, "refs", lambda self: [
                ref for ref in refs(self) if ref[0] != "refs/heads/topic"]):
            repository = Repository(self.path)
            graph, _ = read_repository(repository)

        missing = git(self.path, "rev-list", "--objects", "topic", "--not", "main", "--")
        said, = GitOracle(repository, graph).objections(set(graph.ids))

        self.assertIn(f"in {len(missing.splitlines())} objects", said)

    def test_a_graft_hides_no_object(self):
        before, _ = self.read(self.path)
        grafts = os.path.join(self.path, ".git", "info", "grafts")
        os.makedirs(os.path.dirname(grafts), exist_ok=True)
        with open(grafts, "w", encoding="ascii") as file:
            file.write(git(self.path, "rev-parse", "main") + "\n")

        graph, _ = self.read(self.path)

        self.assertEqual(set(graph.ids), set(before.ids))

    def test_somebody_elses_repository_can_be_read(self):
        repository = Repository(self.path)
        repository.environment["GIT_TEST_ASSUME_DIFFERENT_OWNER"] = "1"

        self.assertTrue(repository.refs())

    def test_a_partial_clone_is_an_input_error(self):
        git(self.path, "config", "uploadpack.allowFilter", "true")
        partial = os.path.join(self.folder.name, "partial")
        git(self.folder.name, "clone", "-q", "--filter=blob:none", "--no-checkout",
            f"file://{self.path}", partial)

        with self.assertRaisesRegex(graphs.InputError, "partial clone"):
            Repository(partial)

    def test_an_object_beyond_what_a_host_takes_is_an_input_error(self):
        with mock.patch("git_repository.PAYLOAD_BYTES_MAX", 1_000_000):
            with self.assertRaisesRegex(graphs.InputError, "blob .* has 3,200,000 bytes"):
                read_repository(Repository(self.path))

    def test_contents_are_the_objects_own(self):
        repository = Repository(self.path)
        graph, _ = read_repository(repository)

        for size, chunks in zip(graph.sizes, repository.contents(graph.ids)):
            self.assertEqual(sum(map(len, chunks)), size)

    def test_what_is_no_repository_is_an_input_error(self):
        for path in (self.folder.name, os.path.join(self.folder.name, "nowhere")):
            with self.assertRaises(graphs.InputError):
                Repository(path)
        empty = os.path.join(self.folder.name, "empty")
        subprocess.run(["git", "init", "-q", empty], check=True)
        with self.assertRaises(graphs.InputError):
            read_repository(Repository(empty))

    def test_a_submodule_is_not_an_object(self):
        entry = b"160000 sub\0" + b"\1" * 20 + b"100644 file\0" + b"\2" * 20

        self.assertEqual(list(tree_references(entry, 20)), ["02" * 20])


if __name__ == "__main__":
    unittest.main(verbosity=2)
