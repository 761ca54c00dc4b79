"""Which reference the demo drops, which client it kills, and which hands its references on.

The choice only makes the steps worth watching: each should free something and leave something.
What must be left is the oracle's to say.  Pure.
"""

import array
import collections

from graph import Root

# More holders than this share client processes.
CLIENTS_MAX = 64

NOBODY = -1
MANY = -2

# Several clients may hold one node, and a client several nodes.
Plan = collections.namedtuple("Plan", "roots added dropped killed handed weak")


def share_clients(roots):
    """The same roots, held by at most CLIENTS_MAX clients."""
    holders = list(dict.fromkeys(root.holder for root in roots))
    if len(holders) <= CLIENTS_MAX:
        return list(roots)
    client = {holder: f"client-{number % CLIENTS_MAX}" for number, holder in enumerate(holders)}
    return list(dict.fromkeys(root._replace(holder=client[root.holder]) for root in roots))


def exclusive(graph, keyed):
    """How many nodes only one key reaches: {key: count}, over (key, node) pairs.

    One pass against the order of creation; off a little where the graph has cycles.
    """
    keys = list(dict.fromkeys(key for key, _ in keyed))
    number = {key: position for position, key in enumerate(keys)}
    owner = array.array("l", [NOBODY]) * len(graph)
    for key, node in keyed:
        owner[node] = number[key] if owner[node] in (NOBODY, number[key]) else MANY
    offsets, targets = graph.offsets, graph.targets
    for node in range(len(graph) - 1, -1, -1):
        mine = owner[node]
        if mine == NOBODY:
            continue
        for child in targets[offsets[node]:offsets[node + 1]]:
            if owner[child] == NOBODY:
                owner[child] = mine
            elif owner[child] != mine:
                owner[child] = MANY
    counted = collections.Counter(owner)
    reached = len(graph) - counted[NOBODY]
    return {key: counted[position] for key, position in number.items()}, reached


def choose(counts, reached, prefer=lambda key: True):
    """The key with the most to free, but at most half of all; None if none frees anything."""
    useful = [key for key in counts if counts[key]]
    if not useful:
        return None
    moderate = [key for key in useful if 2 * counts[key] <= reached]
    preferred = [key for key in moderate if prefer(key)] or moderate
    if preferred:
        return max(preferred, key=lambda key: counts[key])
    return min(useful, key=lambda key: counts[key])


def spine(graph, roots):
    """A longest path from a root down, as node numbers."""
    height = array.array("L", [0]) * len(graph)
    offsets, targets = graph.offsets, graph.targets
    for node in range(len(graph)):
        below = [height[child] for child in targets[offsets[node]:offsets[node + 1]]
                 if child < node]
        if below:
            height[node] = 1 + max(below)
    node = max((root.node for root in roots), key=lambda each: height[each])
    path = [node]
    while True:
        below = [child for child in graph.children(node) if child < node]
        if not below:
            return path
        node = max(below, key=lambda child: height[child])
        path.append(node)


def try_plan(graph, roots, is_branch):
    """(dropped roots, killed holder, handing holder), each with something to do, or None."""
    counts, reached = exclusive(graph, [(root.node, root.node) for root in roots])
    branches = {root.node for root in roots if is_branch(root)}
    node = choose(counts, reached, prefer=branches.__contains__)
    if node is None:
        return None
    dropped = [root for root in roots if root.node == node]
    rest = [root for root in roots if root.node != node]
    if not rest:
        return None
    counts, reached = exclusive(graph, [(root.holder, root.node) for root in rest])
    killed = choose(counts, reached)
    if killed is None or len(counts) < 2:
        return None
    counts.pop(killed)
    return dropped, killed, max(counts, key=lambda holder: counts[holder])


def make_plan(graph, is_branch=lambda root: True):
    """A Plan; holders are added where the input has too few for every step to mean something."""
    roots = share_clients(graph.roots)
    added = []
    found = try_plan(graph, roots, is_branch)
    if found is None:
        path = spine(graph, roots)
        held = {root.node for root in roots}
        for share in (2, 3, 1):
            node = path[min(len(path) - 1, max(share, len(path) * share // 4))]
            if node in held:
                continue
            held.add(node)
            root = Root(f"added-{len(added) + 1}", f"{graph.types[node]} {graph.ids[node]}", node)
            added.append(root)
            roots.append(root)
            found = try_plan(graph, roots, is_branch)
            if found:
                break
    if found:
        return Plan(roots, added, *found, weak=False)
    # Too small a graph: the steps run, but some free nothing.
    while len({root.holder for root in roots}) < 3:
        root = Root(f"added-{len(added) + 1}", graph.ids[roots[0].node], roots[0].node)
        added.append(root)
        roots.append(root)
    holders = list(dict.fromkeys(root.holder for root in roots))
    dropped = [root for root in roots if root.holder == holders[0]][:1]
    return Plan(roots, added, dropped, holders[1], holders[2], weak=True)
