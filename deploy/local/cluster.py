"""The processes of the demo: starting, asking, and stopping just those it started."""

import collections
import http.client
import itertools
import os
import queue
import re
import signal
import subprocess
import threading
import time

from graph import InputError

# What a lapsed holder held is kept for this share of the term more: a host that was stopped for
# less than the term may have renewed its leases half a term before.
LIMBO_SHARE = 0.5

# Clients and hosts end with the demo, however that ends.
WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]

SIGNAL_NAMES = {number.value: number.name for number in signal.Signals}

# An object as a client reads it: `edges` is how many it has, `targets` the labels of those of them
# that were read too.
Read = collections.namedtuple("Read", "type label payload edges targets")


class ClusterError(Exception):
    """A process of the cluster did not do what it was asked to."""


# Nothing on loopback goes through a proxy, whatever the environment says.
os.environ["no_grpc_proxy"] = ",".join(filter(None, [
    os.environ.get("no_grpc_proxy") or os.environ.get("no_proxy"), "127.0.0.1,localhost,::1"]))


class Process:
    """One child, in `folder`, with its standard error in a file there."""

    started = itertools.count(1)

    def __init__(self, name, command, folder, **streams):
        self.name = name
        readable = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[:80]
        self.log = os.path.join(folder, f"{next(self.started):03}-{readable}.log")
        with open(self.log, "ab") as log:
            # A process group of its own: Ctrl-C is for the demo, which ends the others in order.
            self.child = subprocess.Popen(WITH_PARENT + command, stderr=log, cwd=folder,
                                          start_new_session=True, **streams)

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child.poll() is None

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def reap(self, timeout):
        """Waits; kills what has not ended by then.  Returns the exit status."""
        try:
            status = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
            status = self.child.wait()
        self.close()
        return status

    def close(self):
        for stream in (self.child.stdin, self.child.stdout):
            if stream:
                stream.close()

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-5:]).strip()

    def end(self):
        """How it ended, if it did, and its last words."""
        try:
            status = self.child.wait(1)  # Its pipes close a moment before it is gone.
        except subprocess.TimeoutExpired:
            how = "still runs"
        else:
            how = (f"exit status {status}" if status >= 0 else
                   f"killed by {SIGNAL_NAMES.get(-status, f'signal {-status}')}")
        return ": ".join(filter(None, [how, self.last_words()]))


class Host(Process):
    """An object host on loopback with ports of its own choice."""

    def __init__(self, number, binary, folder, term, flags=()):
        self.events_path = os.path.join(folder, f"host-{number}.events")
        super().__init__(f"host-{number}", [
            binary, "--listen=127.0.0.1:0", "--metrics=127.0.0.1:0", f"--term={term}",
            f"--limbo={term * LIMBO_SHARE}",
            f"--events={self.events_path}", "--log=warn", *flags], folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.address = self.metrics = None
        self._events = None
        self._partial = b""

    def await_ready(self):
        fields = dict(word.split("=", 1) for word in
                      self.child.stdout.readline().decode().split() if "=" in word)
        if "address" not in fields:
            raise ClusterError(f"{self.name} did not start: {self.end()}")
        self.address, self.metrics = fields["address"], fields["metrics"]

    def close(self):
        super().close()
        if self._events:
            self._events.close()

    def metrics_text(self):
        """What its /metrics says."""
        connection = http.client.HTTPConnection(self.metrics, timeout=10)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise ClusterError(f"{self.name} (pid {self.pid}) does not serve its metrics: "
                               f"{error!r}; {self.end()}") from None
        finally:
            connection.close()

    def scrape(self):
        """{series: value} of its /metrics."""
        return parse_metrics(self.metrics_text())

    def new_events(self):
        """[(monotonic seconds, reason, label)] of objects reclaimed since the last call."""
        if self._events is None:
            self._events = open(self.events_path, "rb")
        lines = (self._partial + self._events.read()).split(b"\n")
        self._partial = lines.pop()
        events = []
        for line in lines:
            when, reason, label = line.decode().split("\t", 2)
            events.append((int(when) / 1e9, reason, label))
        return events


def parse_metrics(text):
    """{name and labels as written: value} of Prometheus' text format."""
    values = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            values[series] = float(value)
    return values


class Client(Process):
    """A graph_client, asked line by line."""

    def __init__(self, name, binary, folder):
        super().__init__(name, [binary], folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.counters = {}
        self.on_progress = None
        self._answers = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        try:
            for raw in self.child.stdout:
                line = raw.decode().rstrip("\n")
                if line.startswith("progress "):
                    if self.on_progress:
                        self.on_progress(*map(int, line.split()[1:]))
                else:
                    self._answers.put(line)
        except Exception as error:  # For whoever waits for an answer.
            self._answers.put(error)
        self._answers.put(None)

    def close(self):
        self._reader.join()
        super().close()

    def tell(self, line):
        """Sends a command whose answer is fetched later."""
        try:
            self.child.stdin.write(line.encode() + b"\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            raise ClusterError(f"{self.name} is gone: {self.end()}") from None

    def answered(self):
        """Whether answer() would return at once."""
        return not self._answers.empty()

    def answer(self, timeout=60):
        try:
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise ClusterError(f"{self.name} did not answer in {timeout} s") from None
        if isinstance(line, Exception):
            raise line
        if line is None:
            raise ClusterError(f"{self.name} ended: {self.end()}")
        verdict, _, rest = line.partition(" ")
        if verdict != "ok":
            raise ClusterError(f"{self.name}: {rest}")
        return rest

    def ask(self, line, timeout=60):
        self.tell(line)
        return self.answer(timeout)

    def read_counters(self):
        words = self.ask("counters").split()
        self.counters = {name: float(value) for name, value in
                         (word.rsplit("=", 1) for word in words)}
        return self.counters

    def leave(self):
        """An orderly exit."""
        self.read_counters()
        self.ask("exit")
        self.reap(10)


class Cluster:
    """All processes of one run.  A context manager: on any way out they end."""

    def __init__(self, build, folder, term):
        self.build = build
        self.folder = folder
        self.term = term
        self.hosts = []
        self.clients = {}
        self.gone = []  # clients that have left, for their counters

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def binary(self, name):
        path = os.path.abspath(os.path.join(self.build, "services", name))
        if not os.access(path, os.X_OK):
            raise InputError(f"{path} is not there: build it, or name the build tree by --build")
        return path

    def start_hosts(self, count, flags=()):
        binary = self.binary("object_host")
        for number in range(count):
            self.hosts.append(Host(number, binary, self.folder, self.term, flags))
        for host in self.hosts:
            host.await_ready()

    def start_client(self, key):
        # A key that begins with a tab is the demo's own: no holder in a graph file can have it.
        name = f"demo-{key[1:]}" if key.startswith("\t") else f"client-{key}"
        client = Client(name, self.binary("graph_client"), self.folder)
        self.clients[key] = client
        return client

    def depart(self, key):
        """An orderly exit of one client."""
        client = self.clients.pop(key)
        client.leave()
        self.gone.append(client)

    def kill(self, key):
        """SIGKILL; returns when that was, in monotonic seconds."""
        client = self.clients.pop(key)
        client.read_counters()
        self.gone.append(client)
        when = time.monotonic()
        client.signal(signal.SIGKILL)
        client.reap(10)
        return when

    def check(self):
        for process in [*self.hosts, *self.clients.values()]:
            if not process.running():
                raise ClusterError(f"{process.name} (pid {process.pid}) has ended by itself: "
                                   f"{process.end()}")

    def live(self):
        """How many objects the hosts say they host."""
        return sum(int(host.scrape()["dgc_objects"]) for host in self.hosts)

    def new_events(self):
        return [event for host in self.hosts for event in host.new_events()]

    def list_labels(self, lister):
        """[(label, bytes, host number)] of all live objects, from the hosts' own listing."""
        found = []
        for number, host in enumerate(self.hosts):
            # The client runs in that folder, whose own name may have spaces.
            name = f"list-{number}"
            lister.ask(f"list {host.address} {name}", timeout=330)
            with open(os.path.join(self.folder, name), encoding="utf-8", newline="\n") as file:
                for line in file:
                    label, size = line.rstrip("\n").rsplit("\t", 1)
                    found.append((label, int(size), number))
        return found

    def walk(self, client, reference, objects_max):
        """[Read]: what a client reads from a reference on along edges."""
        name = "walked"
        client.ask(f"walk {reference} {objects_max} {name}", timeout=330)
        read = []
        with open(os.path.join(self.folder, name), "rb") as file:
            for line in file:
                kind, label, size, edges, *targets = line.decode().rstrip("\n").split("\t")
                read.append(Read(kind, label, file.read(int(size)), int(edges),
                                 [int(target) for target in targets]))
                file.read(1)
        os.unlink(os.path.join(self.folder, name))
        return [each._replace(targets=[read[target].label for target in each.targets
                                       if target < len(read)]) for each in read]

    def stop(self):
        """Ends the clients, then the hosts: asks first, kills after a while."""
        clients = list(self.clients.values())
        self.clients = {}
        for client in clients:
            if client.running():
                client.signal(signal.SIGCONT)
                client.child.stdin.close()  # which it takes for `exit`
        end = time.monotonic() + 5
        for client in clients:
            client.reap(max(0.1, end - time.monotonic()))
        for host in self.hosts:
            host.signal(signal.SIGCONT)
            host.signal(signal.SIGTERM)
        end = time.monotonic() + 15
        for host in self.hosts:
            host.reap(max(0.1, end - time.monotonic()))
        self.hosts = []
