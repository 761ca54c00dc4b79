"""What must be live after each step, from somebody else's algorithms: git's own or igraph's."""

from git_repository import Repository
from graph import Graph, place
from report import NAMED_MAX, counted


class GitOracle:
    """git rev-list --objects.  A git repository has no cycles, so nothing is ever left over."""

    name = "git rev-list --objects"

    def __init__(self, repository: Repository, graph: Graph):
        self.repository = repository
        self.graph = graph
        self.everything = repository.everything()

    def reachable(self, nodes):
        return self.repository.reachable(sorted({self.graph.ids[node] for node in nodes}))

    def objections(self, whole):
        """[what is wrong] with these ids as what all references reach."""
        if whole == self.everything:
            return []
        differing = sorted(whole ^ self.everything)
        return [f"git rev-list --objects --all differs from what the clients hold in "
                f"{counted(len(differing), 'object')}: {', '.join(differing[:NAMED_MAX])}; "
                "did the repository change meanwhile?"]

    def contents(self, ids):
        """Yields the content of each."""
        return map(b"".join, self.repository.contents(ids))

    def stuck(self):
        """What no reference listing can collect: nothing here."""
        return set(), 0


class IgraphOracle:
    """igraph's breadth-first search and strongly connected components."""

    name = "igraph reachability"

    def __init__(self, graph, hosts):
        import igraph  # Debian's python3-igraph; only needed here

        self.graph = graph
        self.hosts = hosts
        # One vertex more, from which a search starts at many nodes at once.
        sources = (node for node in range(len(graph))
                   for _ in range(graph.offsets[node], graph.offsets[node + 1]))
        self.igraph = igraph.Graph(n=len(graph) + 1, edges=list(zip(sources, graph.targets)),
                                   directed=True)

    def _reached(self, nodes):
        start = len(self.graph)
        first = self.igraph.ecount()
        self.igraph.add_edges([(start, node) for node in sorted(set(nodes))])
        found = self.igraph.subcomponent(start, mode="out")
        self.igraph.delete_edges(range(first, self.igraph.ecount()))
        return {self.graph.ids[node] for node in found if node != start}

    def reachable(self, nodes):
        return self._reached(nodes) if nodes else set()

    def objections(self, whole):
        return []

    def contents(self, ids):
        """The client made them up: nobody else knows them."""
        return [None] * len(ids)

    def stuck(self):
        """(ids, cycles): what stays for ever under `lease`, once created, and on how many knots.

        A strongly connected component on two hosts or more holds itself up: each of its hosts has
        a reference from another that it cannot see to be garbage.  Everything reachable from it
        stays too.  A component on one host does not: the local collector sees all of it.
        """
        ids = self.graph.ids
        components = self.igraph.connected_components(mode="strong")
        cycles = [components[number] for number, size in enumerate(components.sizes()) if size > 1]
        spanning = [members for members in cycles
                    if len({place(ids[node], self.hosts) for node in members}) > 1]
        nodes = [node for members in spanning for node in members]
        return self.reachable(nodes), len(spanning)
