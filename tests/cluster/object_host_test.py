#!/usr/bin/python3
"""object_host and graph_client as processes: ports, metrics, the orderly end, bad input."""

import http.client
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy", "local"))

from cluster import Cluster, ClusterError, Process  # noqa: E402  (the path comes first)

BUILD = os.environ.get("LEASEHOLD_BUILD_DIR", os.path.join(ROOT, "build", "release"))
CATALOGUE = os.path.join(ROOT, "dgc", "runtime", "METRICS.md")
ONE_OBJECT = "seeded\t1\t0\tt\ta\t10\n"


class ClusterTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cluster = Cluster(BUILD, folder.name, term=1)
        self.addCleanup(self.cluster.stop)

    def start_host(self, *flags):
        self.cluster.start_hosts(1, flags)
        return self.cluster.hosts[-1]

    def try_host(self, *flags, under=()):
        """Runs a host that is expected to end by itself: (status, what it said)."""
        done = subprocess.run([*under, self.cluster.binary("object_host"), *flags], timeout=60,
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def write(self, text):
        path = os.path.join(self.cluster.folder, "graph")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class PortTest(ClusterTest):
    def test_a_port_in_use_is_an_error_and_leaves_its_user_alone(self):
        host = self.start_host()

        status, said = self.try_host(f"--listen={host.address}")
        self.assertEqual(status, 1)
        self.assertIn(f"cannot listen on {host.address}", said)
        status, said = self.try_host(f"--metrics={host.metrics}")
        self.assertEqual(status, 1)
        self.assertIn("cannot serve metrics", said)
        self.assertNotIn("ready", said)

        self.assertEqual(self.cluster.live(), 0)

    def test_wrong_flags_are_refused(self):
        for flags, expected in {
            ("--listen=nowhere",): "not host:port",
            ("--listen=0.0.0.0:0",): "--name",
            ("--listen=0:0",): "--name",
            ("--listen=[::0]:0",): "--name",
            ("--name=[0:0:0:0:0:0:0:0]:7000",): "--name",
            ("--listen=127.0.0.1:0", "--events=/nonexistent/file"): "--events",
            ("--listen=no.such.host.invalid:0",): "no.such.host.invalid",
            ("--name=nobody",): "--name",
            ("--name=host:0",): "--name",
            ("--metrics=nowhere",): "not host:port",
            ("--admin=nowhere",): "not host:port",
            ("--message-bytes-total-max=67108863",): "less than 4 times",
        }.items():
            status, said = self.try_host(*flags)
            self.assertEqual(status, 1, said)
            self.assertIn(expected, said)
        for flag in ("--term=-1", "--term=x", "--objects-max=0", "--what", "--log=loud",
                     "--payload-bytes-max=0", "--payload-bytes-total-max=-1", "--term=nan",
                     "--drain=nan", "--grace=nan", "--grace=inf"):
            self.assertGreater(self.try_host(flag)[0], 100, flag)

    def test_bytes_that_are_not_grpc_end_their_connection_and_change_nothing(self):
        host = self.start_host()
        client = self.cluster.start_client("client")
        client.ask(f"load {self.write(ONE_OBJECT)} {host.address}")
        client.ask("settle 30")
        before = self.state(host, client)
        self.assertEqual(before[0], [("a", 10, 0)])
        self.assertEqual(before[1]["dgc_refs_dirty"], 1)
        address, port = host.address.split(":")
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 4096, os.urandom(4096)):
            with socket.create_connection((address, int(port)), timeout=10) as connection:
                connection.sendall(noise)
                try:
                    while connection.recv(4096):
                        pass
                except (ConnectionResetError, socket.timeout):
                    pass

        self.assertEqual(self.state(host, client), before)

    def test_messages_that_never_end_fill_no_more_than_their_share_of_memory(self):
        from unfinished_calls import UnfinishedCalls  # needs python3-h2, as nothing else here does

        share = 64 << 20
        # What AddressSanitizer keeps from being used again is no leak.
        with mock.patch.dict(os.environ, ASAN_OPTIONS="quarantine_size_mb=1"):
            host = self.start_host(f"--message-bytes-total-max={share}")
        client = self.cluster.start_client("client")
        client.ask(f"load {self.write(ONE_OBJECT)} {host.address}")
        client.ask("settle 30")
        state = self.state(host, client)
        before = host.rss_bytes()

        callers = [UnfinishedCalls(host.address, "/objects.v1.ObjectService/Create", 24, 15 << 20)
                   for _ in range(3)]
        for caller in callers:
            self.addCleanup(caller.close)
            caller.send_all()

        self.assertGreater(sum(caller.sent for caller in callers), share)
        self.assertLess(host.rss_bytes() - before, 4 * share)
        self.assertEqual(self.state(host, client), state)

    def test_many_connections_do_not_end_the_listener(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            host = self.start_host()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        address, port = host.address.split(":")

        connections = [socket.create_connection((address, int(port)), timeout=10)
                       for _ in range(400)]
        # The last one is accepted: a server speaks first.
        self.assertTrue(connections[-1].recv(4096))
        for connection in connections:
            connection.close()

        with socket.create_connection((address, int(port)), timeout=10) as connection:
            self.assertTrue(connection.recv(4096))

    def test_too_few_descriptors_are_a_warning(self):
        _, said = self.try_host("--listen=nowhere", under=["prlimit", "--nofile=256:256"])
        self.assertIn("at most 256 descriptors", said)
        _, said = self.try_host("--listen=nowhere", "--message-bytes-max=65536",
                                "--message-bytes-total-max=1000000",
                                under=["prlimit", "--nofile=256:256"])
        self.assertNotIn("descriptors", said)

    def state(self, host, client):
        """The objects as listed, and what the metrics say of them."""
        scraped = host.scrape()
        return sorted(self.cluster.list_labels(client)), {name: scraped[name] for name in (
            "dgc_objects", "dgc_objects_exported_total", "dgc_clients", "dgc_refs_dirty",
            "dgc_transits", "dgc_impostors_total", "dgc_refusals_total")}


class ShutdownTest(ClusterTest):
    def test_a_signal_ends_the_host_in_order_with_calls_and_leases_open(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            host = self.start_host()
            client = self.cluster.start_client(f"client-{number}")
            client.ask(f"load {self.write(ONE_OBJECT)} {host.address}")

            host.signal(number)

            self.assertEqual(host.reap(10), 0, host.last_words())
            self.cluster.hosts.remove(host)
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(tuple(host.address.split(":")), timeout=5).close()
            client.ask("exit")  # is not held up by an owner that is gone
            self.assertEqual(client.reap(15), 0)
            self.cluster.clients.clear()

    def test_a_second_signal_ends_the_drain(self):
        process = Process("draining", [
            self.cluster.binary("object_host"), "--listen=127.0.0.1:0", "--drain=600",
            "--log=info"], self.cluster.folder, stdout=subprocess.PIPE)
        self.addCleanup(process.child.kill)
        self.assertIn(b"ready", process.child.stdout.readline())
        process.signal(signal.SIGTERM)
        end = time.monotonic() + 10
        while "stopping" not in process.last_words() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertTrue(process.running())

        process.signal(signal.SIGTERM)

        self.assertEqual(process.reap(10), 0)
        process.close()


class EventsTest(ClusterTest):
    def test_an_event_log_that_is_full_is_a_warning_and_the_exit_status(self):
        os.symlink("/dev/full", os.path.join(self.cluster.folder, "host-0.events"))
        host = self.start_host()
        client = self.cluster.start_client("client")
        lines = "".join(f"seeded\t1\t0\tt\tn{number}\t10\n" for number in range(3))
        client.ask(f"load {self.write(lines)} {host.address}")
        client.ask("drop *")
        client.ask("settle 30")
        end = time.monotonic() + 30
        while self.cluster.live() and time.monotonic() < end:
            time.sleep(0.01)

        host.signal(signal.SIGTERM)

        self.assertEqual(host.reap(10), 1)
        with open(host.log, encoding="utf-8") as file:
            said = file.read()
        self.assertEqual(said.count("event=events_lost"), 1, said)
        self.assertIn("3 lines could not be written", said)


class MetricsTest(ClusterTest):
    def test_a_live_host_serves_what_the_catalogue_lists_and_nothing_else(self):
        host = self.start_host()
        client = self.cluster.start_client("client")
        client.ask(f"load {self.write(ONE_OBJECT)} {host.address}")
        text = host.metrics_text()
        served = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        served = {name: kind for name, kind in served.items() if not name.startswith("exposer_")}
        with open(CATALOGUE, encoding="utf-8") as file:
            listed = set(re.findall(r"^\|\s*`(dgc_\w+)", file.read(), re.M))

        self.assertEqual(sorted(set(served) - listed), [], "not in the catalogue")
        self.assertEqual(sorted(listed - set(served)), [], "not served")
        for name, kind in served.items():
            self.assertEqual(kind == "counter", name.endswith("_total"), name)

    def test_objects_are_counted(self):
        host = self.start_host()
        client = self.cluster.start_client("client")
        lines = "".join(f"seeded\t1\t0\tt\tn{number}\t10\n" for number in range(3))
        client.ask(f"load {self.write(lines)} {host.address}")
        client.ask("settle 30")

        self.assertEqual(host.scrape()["dgc_objects"], 3)
        self.assertEqual(host.scrape()["dgc_clients"], 1)


class QuotaTest(ClusterTest):
    def test_one_client_too_many_holds_nothing_until_there_is_room(self):
        host = self.start_host("--clients-max=1")
        self.hold_one_too_many(host)
        self.assertEqual(host.scrape()["dgc_clients"], 1)

    def test_one_listing_too_many_is_not_made_until_there_is_room(self):
        self.hold_one_too_many(self.start_host("--listings-max=1"))

    def hold_one_too_many(self, host):
        first, second = (self.cluster.start_client(name) for name in ("first", "second"))
        path = self.write(ONE_OBJECT)
        first.ask(f"load {path} {host.address}")
        first.ask("settle 30")
        second.ask("take x " + first.ask("give 0 30"))
        with self.assertRaises(ClusterError):
            second.ask("settle 1")
        self.assertEqual(host.scrape()["dgc_refs_dirty"], 1)

        first.ask("exit")

        second.ask("settle 30")
        self.assertEqual(host.scrape()["dgc_refs_dirty"], 1)


class GraphClientTest(ClusterTest):
    def test_a_graph_with_a_cycle_is_loaded_and_held(self):
        self.cluster.start_hosts(2)
        client = self.cluster.start_client("client")
        path = self.write("node\t0\tt\ta\t3\t1\nabc\nseeded\t1\t1\tt\tb\t3000000\t0\n")

        loaded = client.ask(" ".join(["load", path, *(h.address for h in self.cluster.hosts)]))
        self.assertIn("objects=2 edges=2", loaded)
        self.assertNotIn("linked_later=0", loaded)
        found = sorted(self.cluster.list_labels(client))

        self.assertEqual(found, [("a", 3, 0), ("b", 3000000, 1)])

    def test_a_reference_given_can_be_taken_and_dropped(self):
        host = self.start_host()
        giver, taker = (self.cluster.start_client(name) for name in ("giver", "taker"))
        giver.ask(f"load {self.write(ONE_OBJECT)} {host.address}")
        taker.ask("take x " + giver.ask("give 0 30"))
        giver.ask("exit")
        self.cluster.clients.pop("giver").reap(10)
        self.assertEqual(taker.ask("check"), "1")
        self.assertEqual(self.cluster.live(), 1)

        taker.ask("drop x")

        end = time.monotonic() + 30
        while self.cluster.live() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(self.cluster.live(), 0)
        self.assertEqual([event[1:] for event in host.new_events()], [("clean", "a")])

    def test_counters_are_exact(self):
        host = self.start_host()
        client = self.cluster.start_client("client")
        count = 50_000
        path = self.write("".join(f"seeded\t1\t0\tt\tn{number}\t0\n" for number in range(count)))
        client.ask(f"load {path} {host.address}")
        client.ask("settle 60", timeout=90)

        words = dict(word.rsplit("=", 1) for word in client.ask("counters").split())

        self.assertEqual(words["dgc_imports_total"], str(count))
        sent = words["dgc_call_bytes_total,direction:sent,method:Dirty"]
        self.assertTrue(sent.isdigit() and int(sent) > 1_000_000, sent)

    def test_a_client_serves_its_metrics_too(self):
        client = self.cluster.start_client("client")
        port = int(client.ask("metrics 127.0.0.1:0"))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self.addCleanup(connection.close)
        connection.request("GET", "/metrics")
        self.assertIn(b"\ndgc_imports_total 0", connection.getresponse().read())

    def test_wrong_commands_and_graphs_get_an_error_and_no_more(self):
        host = self.start_host()
        client = self.cluster.start_client("client")
        for command in ("what", "load", "load nowhere x", "give x", "give 0", "drop x",
                        "take x zz", "take x abc", "take x 00", "settle never", "list nowhere"):
            with self.assertRaises(ClusterError):
                client.ask(command)
        self.assertEqual(client.ask("check"), "0")
        for text, expected in {"node\n": "node 0", "seeded\t1\t7\tt\ta\t1\n": "no such host",
                               "seeded\t1\t0\tt\ta\t1\t9\n": "does not exist"}.items():
            each = self.cluster.start_client(expected)
            with self.assertRaisesRegex(ClusterError, expected):
                each.ask(f"load {self.write(text)} {host.address}")
        self.assertTrue(host.running())

    def test_the_end_of_input_is_an_orderly_exit(self):
        host = self.start_host()
        client = self.cluster.start_client("client")
        client.ask(f"load {self.write(ONE_OBJECT)} {host.address}")

        client.child.stdin.close()

        self.assertEqual(client.reap(10), 0)
        self.cluster.clients.clear()
        end = time.monotonic() + 30
        while not (events := host.new_events()) and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(events[0][1], "clean")


if __name__ == "__main__":
    unittest.main(verbosity=2)
