#!/usr/bin/python3
"""The main job, run whole: deploy/local/demo.py with real processes, right and wrong ones."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy", "local"))

from graph import place  # noqa: E402  (the path comes first)
from repositories import git, make_repository  # noqa: E402

DEMO = os.path.join(ROOT, "deploy", "local", "demo.py")
BUILD = os.environ.get("LEASEHOLD_BUILD_DIR", os.path.join(ROOT, "build", "release"))

# Stands in for graph_client and passes lines on, with a twist on `drop`.
WRAPPER = """#!/usr/bin/python3
import subprocess, sys, threading
real = subprocess.Popen([{real!r}] + sys.argv[1:], stdin=subprocess.PIPE, text=True, bufsize=1)
for line in sys.stdin:
    if line.startswith("drop "):
        {twist}
    real.stdin.write(line)
    real.stdin.flush()
    if line == "exit\\n":
        break
real.stdin.close()
sys.exit(real.wait())
"""


def alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class DemoTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.json = os.path.join(self.folder, "result.json")
        self.scratch = os.path.join(self.folder, "scratch")
        os.mkdir(self.scratch)
        self.environment = {**os.environ, "TMPDIR": self.scratch}

    def command(self, *options, build=BUILD):
        return [DEMO, "--build", build, "--term", "1.5", "--json", self.json, *options]

    def run_demo(self, *options, build=BUILD, **environment):
        """(exit status, what it said, the result or None)."""
        done = subprocess.run(self.command(*options, build=build), capture_output=True, text=True,
                              timeout=300, check=False, env={**self.environment, **environment})
        said = done.stdout + done.stderr
        for pid in re.findall(r"pid (\d+)", said):
            self.assertFalse(alive(pid), f"process {pid} was left behind:\n{said}")
        result = None
        if os.path.exists(self.json):
            with open(self.json, encoding="utf-8") as file:
                result = json.load(file)
        return done.returncode, said, result

    def start_demo(self, *options, until):
        """(the running demo, what it said up to the line with that text)."""
        demo = subprocess.Popen(self.command(*options), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, env=self.environment)
        said = ""
        while until not in said:
            line = demo.stdout.readline()
            self.assertTrue(line, said)
            said += line
        return demo, said

    def expect_agreement(self, *options, **environment):
        status, said, result = self.run_demo(*options, **environment)
        self.assertEqual(status, 0, said)
        self.assertTrue(result["ok"])
        self.assertEqual([step["step"] for step in result["steps"]], [1, 2, 3, 4, 5, 6])
        for step in result["steps"]:
            self.assertEqual((step["live"], step["missing"], step["extra"]),
                             (step["expected"], 0, 0), said)
        self.assertEqual(os.listdir(self.scratch), [])
        self.assertGreater(result["steps"][0]["read_back"], 0)
        self.assertIn("all steps agree", said)
        return said, result

    def expect_steps_that_mean_something(self, result):
        """Each step that frees something freed something, and the others nothing."""
        freed = [step["reclaimed"] for step in result["steps"]]
        self.assertGreater(min(freed[1], freed[2], freed[5]), 0)
        self.assertEqual((freed[0], freed[3], freed[4]), (0, 0, 0))
        self.assertEqual(sum(freed), result["objects"])
        # Half of the term may have been over already at the kill.
        self.assertGreater(result["figures"]["reclaim_seconds"]["crash"]["p50"], 0.75)


class RepositoryTest(DemoTest):
    def test_this_repository(self):
        _, result = self.expect_agreement()
        self.expect_steps_that_mean_something(result)

    def test_merges_tags_a_submodule_and_a_large_blob(self):
        path = make_repository(os.path.join(self.folder, "repository"))

        said, result = self.expect_agreement("--repo", path, "--hosts", "2")

        listed = git(path, "rev-list", "--objects", "--all").splitlines()
        self.assertEqual(result["objects"], len({line.split()[0] for line in listed}))
        self.assertEqual(result["clients"], 7)
        self.expect_steps_that_mean_something(result)
        self.assertNotIn("note:", said)

    def test_a_shallow_clone_with_one_branch(self):
        origin = make_repository(os.path.join(self.folder, "repository"))
        path = os.path.join(self.folder, "shallow")
        git(self.folder, "clone", "-q", "--depth", "1", "--no-tags", f"file://{origin}", path)

        said, result = self.expect_agreement("--repo", path)

        self.expect_steps_that_mean_something(result)
        self.assertIn("shallow clone", said)
        self.assertIn("too few references", said)

    def test_more_refs_than_clients(self):
        path = make_repository(os.path.join(self.folder, "repository"))
        for number in range(70):
            git(path, "tag", "-a", f"tag-{number}", "-m", "one of many")

        said, result = self.expect_agreement("--repo", path)

        self.assertEqual(result["clients"], 64)
        self.assertIn("77 holders share 64 client processes", said)

    def test_names_that_the_terminal_cannot_show(self):
        path = make_repository(os.path.join(self.folder, "repository"))
        git(path, "branch", "\U00020000" * 60, "side~1")

        said, _ = self.expect_agreement("--repo", path, PYTHONIOENCODING="ascii")

        self.assertIn("loaded", said)


class OtherInputTest(DemoTest):
    def write(self, lines):
        path = os.path.join(self.folder, "graph.tsv")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return path

    def test_a_synthetic_graph(self):
        _, result = self.expect_agreement("--synthetic", "20000", "--seed", "7")

        self.expect_steps_that_mean_something(result)
        figures = result["figures"]
        self.assertEqual(figures["reclaim_seconds"]["drop"]["count"],
                         result["steps"][1]["reclaimed"])
        for figure in ("messages_per_reference", "bytes_per_reference",
                       "memory_bytes_per_object", "objects_per_second"):
            self.assertGreater(figures[figure], 0, figure)

    def test_a_proxy_and_a_folder_with_a_space_do_not_matter(self):
        folder = os.path.join(self.folder, "with space")
        os.mkdir(folder)

        self.expect_agreement("--synthetic", "100", TMPDIR=folder, no_grpc_proxy="example.invalid",
                              **dict.fromkeys(("http_proxy", "grpc_proxy"), "http://127.0.0.1:9"))

        self.assertEqual(os.listdir(folder), [])

    def test_many_holders_of_one_object(self):
        lines = [f"node\tn{number}\t1" for number in range(9)]
        lines += [f"edge\tn{number + 1}\tn{number}" for number in range(8)]
        lines += [f"root\th{number}\tn8" for number in range(100)]

        said, result = self.expect_agreement("--graph", self.write(lines))

        self.assertGreater(result["clients"], 64)
        self.assertIn("100 holders share 64 client processes", said)

    def test_the_smallest_graph(self):
        said, _ = self.expect_agreement("--synthetic", "1", "--hosts", "1")
        self.assertIn("1 object,", said)
        self.assertIn("a very small graph", said)

    def test_cycles_within_a_host_go_and_those_across_hosts_stay_as_predicted(self):
        names = [f"x{number}" for number in range(200)]
        here = [name for name in names if place(name, 2) == 0]
        there = [name for name in names if place(name, 2) == 1]
        local = here[:3]                              # a cycle on one host, with a tail elsewhere
        spanning = [here[3], there[0], here[4]]       # a cycle over both, with tails on both
        adrift = [here[5], there[1]]                  # another, which nobody ever holds
        tails = [there[2], here[6], there[3]]
        plain = here[7:12] + there[4:9]
        lines = ["# cycles"]
        for cycle in (local, spanning, adrift):
            lines += [f"edge\t{a}\t{b}" for a, b in zip(cycle, cycle[1:] + cycle[:1])]
        lines += [f"edge\t{local[0]}\t{tails[0]}", f"edge\t{spanning[0]}\t{tails[1]}",
                  f"edge\t{tails[1]}\t{tails[2]}", f"edge\t{local[1]}\t{local[1]}"]
        lines += [f"edge\t{a}\t{b}" for a, b in zip(plain, plain[1:])]
        used = local + spanning + adrift + tails + plain
        lines += [f"node\t{name}\t{number * 7}" for number, name in enumerate(used)]
        lines += [f"root\talice\t{local[0]}", f"root\tbob\t{spanning[0]}",
                  f"root\tcarol\t{plain[0]}", f"root\tdave\t{plain[4]}"]
        stay = sorted(spanning + adrift + tails[1:])

        said, result = self.expect_agreement("--graph", self.write(lines), "--hosts", "2")

        self.assertEqual(result["uncollectable"], len(stay))
        self.assertEqual(result["uncollectable_first"], stay)
        self.assertEqual(result["spanning_cycles"], 2)
        self.assertEqual(result["steps"][-1]["live"], len(stay))
        for name in stay:
            self.assertIn(name, said)

        _, alone = self.expect_agreement("--graph", self.write(lines), "--hosts", "1")
        self.assertEqual((alone["uncollectable"], alone["steps"][-1]["live"]), (0, 0))

    def test_wrong_input_names_the_line_and_starts_nothing(self):
        for lines, expected in ((["node\ta\t1", "edge\ta\tb", "root\th\ta"], "line 2: "),
                                (["node\ta\tx"], "line 1: "), ([], "no root")):
            status, said, _ = self.run_demo("--graph", self.write(lines))
            self.assertEqual(status, 2)
            self.assertIn(expected, said)
            self.assertNotIn("pid", said)
        for options in (["--repo", self.folder], ["--repo", "/nonexistent"],
                        ["--graph", "/nonexistent"], ["--synthetic", "0"], ["--hosts", "0"],
                        ["--term", "0"], ["--synthetic", "5", "--graph", "x"],
                        ["--synthetic", "5", "--seed", "-1"],
                        ["--synthetic", "5", "--seed", str(2**64)]):
            self.assertEqual(self.run_demo(*options)[0], 2, options)
        self.assertEqual(self.run_demo("--synthetic", "5", build=self.folder)[0], 2)
        for path in ("", self.folder, "/nonexistent/file"):
            status, said, _ = self.run_demo("--json", path)
            self.assertEqual(status, 2)
            self.assertIn("--json", said)
            self.assertNotIn("pid", said)
        self.assertEqual(os.listdir(self.scratch), [])


    def test_wrong_options_are_refused_before_anything_is_installed_or_built(self):
        path = os.path.join(self.folder, "bin")
        os.mkdir(path)
        for name in ("dpkg-query", "apt-get", "cmake"):
            os.symlink("/bin/false", os.path.join(path, name))
        environment = {**self.environment, "PATH": f"{path}:{os.environ['PATH']}"}
        for option, status, expected in (("--help", 0, "usage:"), ("--hosts=0", 2, "--hosts: 1")):
            done = subprocess.run([os.path.splitext(DEMO)[0], option], env=environment,
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, status)
            self.assertIn(expected, done.stdout + done.stderr)
            self.assertNotIn("installing", done.stdout)


class WrongClusterTest(DemoTest):
    """The demo must not only agree; it must be able to disagree."""

    def wrap(self, twist):
        """A build tree whose clients do something else when told to drop."""
        services = os.path.join(self.folder, "build", "services")
        os.makedirs(services)
        real = os.path.join(BUILD, "services")
        os.symlink(os.path.join(real, "object_host"), os.path.join(services, "object_host"))
        wrapper = os.path.join(services, "graph_client")
        with open(wrapper, "w", encoding="utf-8") as file:
            file.write(WRAPPER.format(real=os.path.join(real, "graph_client"), twist=twist))
        os.chmod(wrapper, 0o755)
        return os.path.dirname(services)

    def test_a_leak_is_found_and_named(self):
        build = self.wrap('line = "check\\n"')  # holds on to what it says it dropped

        status, said, result = self.run_demo("--synthetic", "300", "--patience", "3", build=build)

        self.assertEqual(status, 1)
        step = result["steps"][1]
        self.assertFalse(step["ok"])
        self.assertGreater(step["extra"], 0)
        self.assertEqual(step["missing"], 0)
        self.assertIn(step["extra_first"][0], said)
        self.assertIn("DIFFERS", said)

    def test_a_premature_reclaim_is_found_and_named(self):
        graph = os.path.join(self.folder, "graph.tsv")
        with open(graph, "w", encoding="utf-8") as file:
            for name in "abcd":
                file.write(f"node\t{name}\t1\n")
            file.write("root\tone\ta\nroot\tone\tb\nroot\ttwo\tc\nroot\tthree\td\n")
        build = self.wrap('line = "drop *\\n"')  # gives up more than it was told to

        status, said, result = self.run_demo("--graph", graph, build=build)

        self.assertEqual(status, 1)
        step = result["steps"][1]
        self.assertEqual((step["missing"], step["missing_first"], step["extra"]), (1, ["b"], 0))
        self.assertIn("1 missing: b", said)

    def test_a_host_that_dies_is_an_error(self):
        demo, said = self.start_demo("--synthetic", "500", until="1. loaded")
        pid = int(re.search(r"host-1: pid (\d+)", said).group(1))
        os.kill(pid, signal.SIGKILL)
        said += demo.communicate(timeout=120)[0]

        self.assertEqual(demo.returncode, 1, said)
        self.assertRegex(said.split("1. loaded")[1], "host-1 .*killed by SIGKILL")
        with open(self.json, encoding="utf-8") as file:
            self.assertFalse(json.load(file)["ok"])

    def interrupt(self, number, status):
        """Ends a demo that keeps running by a signal; nothing of it is left."""
        demo, said = self.start_demo("--synthetic", "500", "--keep-running", until="Ctrl-C")
        pids = re.findall(r"pid (\d+)", said)
        self.assertIn("/metrics", said)
        self.assertTrue(all(alive(pid) for pid in pids[-5:]))

        demo.send_signal(number)
        demo.communicate(timeout=60)

        self.assertEqual(demo.returncode, status)
        end = time.monotonic() + 10
        while any(alive(pid) for pid in pids) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual([pid for pid in pids if alive(pid)], [])
        self.assertEqual(os.listdir(self.scratch), [])

    def test_a_demo_that_nobody_reads_ends_at_once(self):
        demo, said = self.start_demo("--synthetic", "500", until="leases of")
        demo.stdout.close()

        self.assertEqual(demo.wait(60), 141)

        self.assertEqual([pid for pid in re.findall(r"pid (\d+)", said) if alive(pid)], [])
        self.assertEqual(os.listdir(self.scratch), [])
        self.assertFalse(os.path.exists(self.json))

    def test_what_nobody_foresaw_names_the_logs(self):
        module = os.path.join(self.folder, "sitecustomize.py")
        with open(module, "w", encoding="utf-8") as file:
            file.write("import cluster\ncluster.Cluster.start_hosts = None\n")

        status, said, _ = self.run_demo("--synthetic", "5", PYTHONPATH=os.pathsep.join(
            [self.folder, os.path.dirname(DEMO)]))

        self.assertEqual(status, 1)
        self.assertIn("TypeError", said)
        self.assertIn(f"logs are in {self.scratch}", said)

    def test_an_interrupted_demo_stops_what_it_started(self):
        self.interrupt(signal.SIGINT, 0)

    def test_a_demo_whose_terminal_is_closed_leaves_nothing_behind(self):
        self.interrupt(signal.SIGHUP, 129)


if __name__ == "__main__":
    unittest.main(verbosity=2)
