#!/usr/bin/python3
"""The parts of deploy/local/demo that need no cluster: reading, ordering, oracles, comparing."""

import io
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy", "local"))

import demo  # noqa: E402  (the path comes first)
import graph as graphs  # noqa: E402
import plan  # noqa: E402
import report  # noqa: E402
from cluster import ClusterError, Read  # noqa: E402
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


class SeedTest(unittest.TestCase):
    def test_a_seed_is_what_the_stream_can_say(self):
        for seed in (0, 2**64 - 1):
            self.assertEqual(demo.parse_arguments([f"--seed={seed}"]).seed, seed)


class RepositoryTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = make_repository(os.path.join(self.folder.name, "origin"))

    def read(self, path):
        repository = Repository(path)
        graph, notes = read_repository(repository, clients_max=64)
        # Everything that git lists can be reached along the edges that were read, and nothing else.
        ours = IgraphOracle(graph, hosts=1)
        git_s = GitOracle(repository, graph)
        for roots in [graph.roots] + [[root] for root in graph.roots]:
            nodes = [root.node for root in roots]
            self.assertEqual(ours.reachable(nodes), git_s.reachable(nodes))
        self.assertEqual(len(git_s.reachable([root.node for root in graph.roots])), len(graph))
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

    def test_many_refs_share_clients(self):
        for number in range(30):
            git(self.path, "tag", f"many-{number}")

        graph, notes = read_repository(Repository(self.path), clients_max=8)

        self.assertEqual(len({root.holder for root in graph.roots}), 8)
        self.assertIn("by turns", notes[0])

    def test_contents_are_the_objects_own(self):
        repository = Repository(self.path)
        graph, _ = read_repository(repository, clients_max=64)

        for size, chunks in zip(graph.sizes, repository.contents(graph.ids)):
            self.assertEqual(sum(map(len, chunks)), size)

    def test_what_is_no_repository_is_an_input_error(self):
        for path in (self.folder.name, os.path.join(self.folder.name, "nowhere")):
            with self.assertRaises(graphs.InputError):
                Repository(path)
        empty = os.path.join(self.folder.name, "empty")
        subprocess.run(["git", "init", "-q", empty], check=True)
        with self.assertRaises(graphs.InputError):
            read_repository(Repository(empty), 64)

    def test_a_submodule_is_not_an_object(self):
        entry = b"160000 sub\0" + b"\1" * 20 + b"100644 file\0" + b"\2" * 20

        self.assertEqual(list(tree_references(entry, 20)), ["02" * 20])


if __name__ == "__main__":
    unittest.main(verbosity=2)
