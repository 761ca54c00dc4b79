"""A git repository as a Graph, read with git itself, and git's own answer to what is reachable."""

import os
import subprocess
import threading

from graph import (PAYLOAD_BYTES_MAX, Graph, InputError, Root, adjacency, creation_order,
                   renumber)
from report import counted

CHUNK = 1 << 20


class Repository:
    """Runs git in one repository.

    Replace refs and grafts are not followed, as they hide real objects, and nothing is fetched.
    """

    def __init__(self, path):
        self.path = path
        if not os.path.isdir(path):
            raise InputError(f"'{path}' is not a folder")
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("GIT_")}
        self.environment.update(GIT_NO_REPLACE_OBJECTS="1", GIT_GRAFT_FILE="",
                                GIT_NO_LAZY_FETCH="1", GIT_OPTIONAL_LOCKS="0", LC_ALL="C")
        self.text("rev-parse", "--git-dir")
        if self.answer("config", "--get-regexp",
                       r"^(remote\..*\.promisor|extensions\.partialclone)$"):
            raise InputError(f"'{path}' is a partial clone: git would fetch the objects it lacks")
        self.id_bytes = 32 if self.text("rev-parse", "--show-object-format") == "sha256" else 20
        shallow = os.path.join(path, self.text("rev-parse", "--git-path", "shallow"))
        self.boundary = set()
        if os.path.exists(shallow):
            with open(shallow, encoding="ascii") as file:
                self.boundary = set(file.read().split())

    def command(self, *arguments):
        # Somebody else's repository will do: the user has named it, or runs this from it.
        return ["git", "-c", "safe.directory=*", "-C", self.path, *arguments]

    def text(self, *arguments, given=None):
        done = subprocess.run(self.command(*arguments), env=self.environment, input=given,
                              capture_output=True, encoding="utf-8", errors="backslashreplace",
                              check=False)
        if done.returncode:
            raise InputError(f"git {arguments[0]}: {done.stderr.strip() or 'failed'}")
        return done.stdout.rstrip("\n")

    def answer(self, *arguments):
        """The same, or None where git says no."""
        try:
            return self.text(*arguments)
        except InputError:
            return None

    def refs(self):
        """[(full name, object id)] of every ref but symbolic ones, and of detached HEADs."""
        listed = self.text("for-each-ref", "--format=%(objectname)%09%(symref)%09%(refname)")
        refs = []
        for line in filter(None, listed.split("\n")):  # Names may have other ends of lines.
            object_id, symbolic, name = line.split("\t")
            if not symbolic:
                refs.append((name, object_id))
        head = self.answer("rev-parse", "--verify", "--quiet", "HEAD")
        if head and not self.answer("symbolic-ref", "--quiet", "HEAD"):
            refs.append(("HEAD", head))
        for other in self.text("worktree", "list", "--porcelain", "-z").split("\0\0"):
            fields = dict(line.partition(" ")[::2] for line in other.split("\0"))
            if "detached" in fields and fields["HEAD"] != head:
                refs.append((f"HEAD of {fields['worktree']}", fields["HEAD"]))
        return refs

    def reachable(self, object_ids):
        """The oracle: the ids of all objects that git lists from these."""
        if not object_ids:
            return set()
        return set(self.text("rev-list", "--objects", "--no-object-names", "--stdin",
                             given="".join(each + "\n" for each in object_ids)).split())

    def everything(self):
        """What git lists by itself: from all refs, and the HEADs of all worktrees."""
        return set(self.text("rev-list", "--objects", "--no-object-names", "--all").split())

    def cat_file(self, mode, object_ids):
        """Starts git cat-file, which is told `object_ids` by a thread of its own."""
        process = subprocess.Popen(self.command("cat-file", mode, "--buffer"),
                                   env=self.environment, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)

        def tell():
            try:
                with process.stdin:
                    for each in object_ids:
                        process.stdin.write(each.encode() + b"\n")
            except BrokenPipeError:
                pass

        threading.Thread(target=tell, daemon=True).start()
        return process

    def headers(self, object_ids):
        """Yields (type, size) of each."""
        with self.cat_file("--batch-check", object_ids) as process:
            for line in process.stdout:
                yield parse_header(line)

    def contents(self, object_ids):
        """Yields for each object an iterator over its content, to be used up in turn."""
        with self.cat_file("--batch", object_ids) as process:
            for each in object_ids:
                line = process.stdout.readline()
                if not line:
                    raise InputError(f"git cat-file ended at {each}")
                _, size = parse_header(line)
                yield read_chunks(process.stdout, size)
                process.stdout.read(1)


def read_chunks(file, size):
    while size:
        chunk = file.read(min(size, CHUNK))
        if not chunk:
            raise InputError("git cat-file ended early")
        size -= len(chunk)
        yield chunk


def parse_header(line):
    fields = line.decode().split()
    if len(fields) != 3:
        raise InputError(f"git cat-file: {line.decode().strip()}")
    return fields[1], int(fields[2])


def tree_references(content, id_bytes):
    """Ids (hexadecimal) of a tree's entries, submodules' left out: those are not objects here."""
    position = 0
    while position < len(content):
        end = content.index(b"\0", position)
        mode = content[position:content.index(b" ", position)]
        position = end + 1 + id_bytes
        if mode != b"160000":
            yield content[end + 1:position].hex()


def header_references(content, verbs):
    """Ids named by the header lines of a commit or tag."""
    for line in content.split(b"\n\n", 1)[0].split(b"\n"):
        verb, _, rest = line.partition(b" ")
        if verb in verbs:
            yield rest.decode("ascii")


def references(repository, object_id, kind, content):
    if kind == "tree":
        return tree_references(content, repository.id_bytes)
    if kind == "tag":
        return header_references(content, (b"object",))
    verbs = (b"tree",) if object_id in repository.boundary else (b"tree", b"parent")
    return header_references(content, verbs)


def read_repository(repository):
    """(Graph, warnings).  Each ref has a holder to itself."""
    refs = repository.refs()
    if not refs:
        raise InputError(f"{repository.path}: the repository has no commit yet")
    found = sorted(repository.reachable([object_id for _, object_id in refs]))
    index = {object_id: position for position, object_id in enumerate(found)}
    types, sizes = [], []
    for kind, size in repository.headers(found):
        types.append(kind)
        sizes.append(size)
        if size > PAYLOAD_BYTES_MAX:
            raise InputError(f"{kind} {found[len(sizes) - 1]} has {size:,} bytes; an object host "
                             f"takes up to {PAYLOAD_BYTES_MAX:,}")
    if len(types) != len(found):
        raise InputError("git cat-file answered for fewer objects than asked")
    children = [()] * len(found)
    inner = [object_id for position, object_id in enumerate(found) if types[position] != "blob"]
    for object_id, chunks in zip(inner, repository.contents(inner)):
        position = index[object_id]
        content = b"".join(chunks)
        try:
            children[position] = [index[each] for each in references(
                repository, object_id, types[position], content)]
        except KeyError as error:
            raise InputError(f"{types[position]} {object_id} refers to {error.args[0]}, "
                             "which git does not list") from None
    offsets, targets = adjacency(children)
    roots = [Root(name, name, index[object_id]) for name, object_id in refs]
    notes = []
    if repository.boundary:
        notes.append("a shallow clone: the parents of "
                     f"{counted(len(repository.boundary), 'commit')} are absent")
    graph = renumber(creation_order(offsets, targets), found, types, sizes, offsets, targets,
                     roots, f"git repository, {counted(len(refs), 'ref')}")
    assert isinstance(graph, Graph)
    return graph, notes


def is_branch(root):
    return root.name.startswith(("refs/heads/", "refs/remotes/"))
