"""Small git repositories for tests, made from scratch."""

import os
import subprocess

IDENTITY = {
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.invalid",
    "GIT_COMMITTER_NAME": "C", "GIT_COMMITTER_EMAIL": "c@example.invalid",
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull,
}


def git(path, *arguments):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("GIT_")}
    return subprocess.run(["git", "-C", path, *arguments], check=True, capture_output=True,
                          text=True, env={**environment, **IDENTITY}).stdout.strip()


def commit(path, name, text):
    file = os.path.join(path, name)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    with open(file, "w", encoding="utf-8") as out:
        out.write(text)
    git(path, "add", name)
    git(path, "commit", "-q", "-m", f"change {name}\n\nobject {'0' * 40}\ntree nothing")


def make_repository(path):
    """Branches, a merge, light, annotated and nested tags, a submodule's entry, an empty file, a
    blob of several megabytes, an unreachable commit."""
    os.makedirs(path)
    git(path, "init", "-q", "-b", "main")
    for number in range(5):
        commit(path, f"folder/deep/er/file-{number}", f"text {number}\n" * 20)
    commit(path, "empty", "")
    commit(path, "large", "0123456789abcdef" * 200_000)
    git(path, "tag", "light")
    git(path, "tag", "-a", "annotated", "-m", "a tag\n\nobject of its own")
    git(path, "tag", "-a", "nested", "-m", "a tag of a tag", "annotated")
    git(path, "tag", "of-a-tree", "HEAD^{tree}")
    git(path, "checkout", "-q", "-b", "side", "HEAD~3")
    commit(path, "side", "side\n")
    commit(path, "folder/side", "more\n")
    git(path, "checkout", "-q", "main")
    git(path, "merge", "-q", "--no-ff", "-m", "merge", "side")
    git(path, "update-index", "--add", "--cacheinfo", f"160000,{'12' * 20},module")
    git(path, "commit", "-q", "-m", "add a submodule")
    git(path, "checkout", "-q", "-b", "topic", "main~1")
    for number in range(3):
        commit(path, f"topic/{number}", f"topic {number}\n")
    commit(path, "lost", "nobody refers to this\n")
    git(path, "reset", "-q", "--hard", "HEAD~1")
    git(path, "checkout", "-q", "main")
    return path
