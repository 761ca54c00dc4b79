"""The object graph that the demo puts on the cluster, whatever it was read from.

A Graph is columns: node number i has ids[i], types[i], sizes[i], and the edges
targets[offsets[i]:offsets[i + 1]].  Numbers are the order of creation: an edge goes to a smaller
number wherever the graph has no cycle.  Nothing here knows processes, and nothing here is
asked what is reachable: that is for the oracles.
"""

import array
import collections
import random
import zlib

# What the object host accepts as a label and as a type, in bytes.
LABEL_BYTES_MAX = 255
# And as the payload of one object.
PAYLOAD_BYTES_MAX = 1 << 30

# One reference held by one client.
Root = collections.namedtuple("Root", "holder name node")


class InputError(Exception):
    """What is wrong with the input, for the person who gave it."""


class Graph:
    def __init__(self, ids, types, sizes, offsets, targets, roots, source):
        self.ids = ids
        self.types = types
        self.sizes = sizes
        self.offsets = offsets
        self.targets = targets
        self.roots = roots
        self.source = source  # a line for people: where it came from

    def __len__(self):
        return len(self.ids)

    @property
    def edges(self):
        return len(self.targets)

    def children(self, node):
        return self.targets[self.offsets[node]:self.offsets[node + 1]]


def place(label, hosts):
    """The host of a node: a hash of its id, the same on every machine."""
    return zlib.crc32(label.encode()) % hosts


def adjacency(children):
    """Columns from a list of lists of numbers."""
    offsets = array.array("L", [0])
    targets = array.array("L")
    for each in children:
        targets.extend(each)
        offsets.append(len(targets))
    return offsets, targets


def creation_order(offsets, targets):
    """All nodes, targets of edges first, by height; edges that close a cycle are overlooked.

    Nodes of one height do not depend on each other, so whole levels can be created at once.
    """
    count = len(offsets) - 1
    height = array.array("l", [-1]) * count
    cursor = array.array("L", offsets[:count])
    for start in range(count):
        if height[start] >= 0 or cursor[start] != offsets[start]:
            continue
        stack = [start]
        while stack:
            node = stack[-1]
            if cursor[node] < offsets[node + 1]:
                child = targets[cursor[node]]
                cursor[node] += 1
                if height[child] < 0 and cursor[child] == offsets[child] and child != node:
                    if offsets[child] == offsets[child + 1]:
                        height[child] = 0
                    else:
                        stack.append(child)
                continue
            stack.pop()
            height[node] = 1 + max(
                (height[child] for child in targets[offsets[node]:offsets[node + 1]]), default=-1)
    return sorted(range(count), key=height.__getitem__)


def renumber(order, ids, types, sizes, offsets, targets, roots, source):
    """The Graph whose node i is what was order[i]."""
    number = array.array("L", [0]) * len(order)
    for new, old in enumerate(order):
        number[old] = new
    new_offsets = array.array("L", [0])
    new_targets = array.array("L")
    for old in order:
        new_targets.extend(number[each] for each in targets[offsets[old]:offsets[old + 1]])
        new_offsets.append(len(new_targets))
    return Graph([ids[old] for old in order], [types[old] for old in order],
                 array.array("Q", (sizes[old] for old in order)), new_offsets, new_targets,
                 [root._replace(node=number[root.node]) for root in roots], source)


def parse_graph_line(number, line, nodes, edges, roots):
    """Takes one line of a --graph file into nodes {id: (bytes, line)}, edges and roots."""
    fields = line.rstrip("\r\n").split("\t")
    verb = fields[0]
    shapes = {"node": "node ID BYTES", "edge": "edge FROM TO", "root": "root HOLDER ID"}
    if verb not in shapes:
        raise InputError(f"line {number}: expected node, edge or root, found {verb!r}")
    if len(fields) != 3 or not fields[1] or not fields[2]:
        raise InputError(f"line {number}: expected {shapes[verb]}, separated by tabs")
    if any(character < " " or character == "\x7f" for field in fields for character in field):
        raise InputError(f"line {number}: a control character")
    if verb == "edge":
        edges.append((fields[1], fields[2], number))
        return
    if verb == "root":
        if len(fields[1].encode()) > LABEL_BYTES_MAX:
            raise InputError(f"line {number}: HOLDER is longer than {LABEL_BYTES_MAX} bytes")
        roots.append((fields[1], fields[2], number))
        return
    name, size = fields[1], fields[2]
    if len(name.encode()) > LABEL_BYTES_MAX:
        raise InputError(f"line {number}: ID is longer than {LABEL_BYTES_MAX} bytes")
    if name in nodes:
        raise InputError(f"line {number}: node {name} was given before, in line {nodes[name][1]}")
    if not (size.isascii() and size.isdigit()):
        raise InputError(f"line {number}: BYTES is not a number: {size!r}")
    digits = size.lstrip("0") or "0"
    if len(digits) > 10 or int(digits) > PAYLOAD_BYTES_MAX:
        raise InputError(f"line {number}: BYTES is more than 1 GiB")
    nodes[name] = (int(digits), number)


def read_graph_file(path):
    """A Graph from tab-separated text; InputError names the line."""
    nodes, edges, roots = {}, [], []
    try:
        with open(path, "rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = raw.decode("utf-8")
                except UnicodeDecodeError:
                    raise InputError(f"line {number}: not UTF-8") from None
                if line.strip() and not line.startswith("#"):
                    parse_graph_line(number, line, nodes, edges, roots)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    index = {name: position for position, name in enumerate(nodes)}
    for from_, to, number in edges:
        for end in (from_, to):
            if end not in index:
                raise InputError(f"line {number}: there is no node {end}")
    for _, name, number in roots:
        if name not in index:
            raise InputError(f"line {number}: there is no node {name}")
    if not roots:
        raise InputError(f"{path}: no root: nothing would be held")
    children = [[] for _ in index]
    for from_, to, _ in edges:
        children[index[from_]].append(index[to])
    offsets, targets = adjacency(children)
    held = list(dict.fromkeys((holder, name) for holder, name, _ in roots))
    return renumber(creation_order(offsets, targets), list(index), ["node"] * len(index),
                    [size for size, _ in nodes.values()], offsets, targets,
                    [Root(holder, name, index[name]) for holder, name in held],
                    f"graph {path}")


def synthetic(count, seed, clients=12):
    """A seeded graph without cycles: one part per client, and one that all share.

    Every node but a part's last one (its root) has one edge from a later node of its part, and on
    average two more edges go to earlier nodes of its part or of the shared one.
    """
    if count < 1:
        raise InputError("--synthetic: at least 1 object")
    rng = random.Random(seed)
    uniform = rng.random
    clients = max(1, min(clients, count // 4))
    shared = count // 4 if clients > 1 else 0
    starts = [0] + [shared + (count - shared) * k // clients for k in range(clients + 1)]
    children = [[] for _ in range(count)]
    for low, high in zip(starts, starts[1:]):
        for node in range(low, high):
            edges = children[node]
            if node + 1 < high:  # somebody later refers to this node
                children[node + 1 + int(uniform() * (high - node - 1))].append(node)
            if node > low:
                for _ in range(int(uniform() * 5)):
                    edges.append(low + int(uniform() * (node - low)))
            if low and shared and uniform() < 0.25:
                edges.append(int(uniform() * shared))
    for number, low in enumerate(starts[1:-1]):
        if shared:  # each part's first node refers into the shared part: all of it through its root
            children[low].append(shared - 1 - number % 2)
    offsets, targets = adjacency(children)
    sizes = array.array("Q", (int(16 + uniform() * 96) for _ in range(count)))
    roots = [Root(f"client-{number}", f"part-{number}", high - 1)
             for number, high in enumerate(starts[2:])]
    return Graph([f"n{node}" for node in range(count)], ["synthetic"] * count, sizes, offsets,
                 targets, roots, f"synthetic, {count} objects, seed {seed}")


def write_stream(graph, hosts, payloads, out, seed=0):
    """Writes what graph_client's `load` reads (services/graph_client/README.md).

    `payloads` yields the payload of node 0, 1, ...; None lets the client make them up.
    """
    for node, label in enumerate(graph.ids):
        edges = "\t".join(map(str, graph.children(node)))
        head = f"{place(label, hosts)}\t{graph.types[node]}\t{label}\t{graph.sizes[node]}"
        if edges:
            head += "\t" + edges
        if payloads is None:
            out.write(f"seeded\t{seed}\t{head}\n".encode())
        else:
            out.write(f"node\t{head}\n".encode())
            for chunk in next(payloads):
                out.write(chunk)
            out.write(b"\n")
