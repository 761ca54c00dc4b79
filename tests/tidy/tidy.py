#!/usr/bin/env python3
"""Checks the text of the source tree for what no compiler rejects.

    tests/tidy/tidy.py [ROOT]

Prints one line per problem, "path:line: rule: what is wrong", and exits 1 if
there is any.  RULES below says what is checked and why.  tidy_test.py feeds
every rule something bad.  Standard library only.
"""

import collections
import os
import re
import subprocess
import sys

RULES = {
    "top-level": "the top level holds what README lists and nothing else",
    "pure-include": "dgc/core and dgc/strategies include only the pure part of std and abseil",
    "layer-include": "a layer includes only itself and the layers below it",
    "clock": "the pure layers and the testkit are handed time and randomness; they read neither",
    "wall-clock": "the runtime reads the time of day for events alone: it goes back at times",
    "sleep": "only tests of real processes sleep; the others move time by hand",
    "header-comment": "a header begins with a comment that says what it is",
    "header-guard": "#pragma once comes right after the file comment, and only in headers",
    "machine-path": "nothing names a path of the machine it was written on",
    "unlisted": "CMake is told of every source file, by name",
    "cmake-glob": "no globs and no directory-wide include paths",
    "script": "a file is executable exactly when it has an interpreter line",
    "text": "UTF-8, Unix line ends, no tabs, no trailing space, a final newline, 100 columns",
    "conflict": "no leftovers of a merge",
}

Problem = collections.namedtuple("Problem", "path line rule message")

TOP_LEVEL = {
    "CMakeLists.txt", "CMakePresets.json", "proto", "services", "dgc", "deploy", "bench", "tests",
    "README.md", "LICENSE",
}

CXX = (".h", ".cc")
LINE_LENGTH_MAX = 100

# What a layer may include of ours, by prefix.  "dgc/v1" and "objects/v1" are generated.
LAYERS = {
    "dgc/core/": ("dgc/core/",),
    "dgc/strategies/": ("dgc/core/", "dgc/strategies/"),
    "dgc/testkit/": ("dgc/core/", "dgc/strategies/", "dgc/testkit/"),
    "dgc/rpc/": ("dgc/core/", "dgc/rpc/", "dgc/v1/", "objects/v1/"),
    "dgc/runtime/": ("dgc/core/", "dgc/strategies/", "dgc/rpc/", "dgc/runtime/", "dgc/v1/"),
}
PURE = ("dgc/core/", "dgc/strategies/")
HANDED_TIME = PURE + ("dgc/testkit/",)
RUNTIME = ("dgc/rpc/", "dgc/runtime/")
TELLS_THE_TIME_OF_DAY = "dgc/runtime/events.h"

# abseil without threads, clocks, flags or logs.
PURE_ABSEIL = re.compile(
    r"absl/(algorithm|base/(attributes|optimization|macros)|container|functional|hash|meta|numeric"
    r"|random/(bit_gen_ref|distributions)|status|strings|types|utility)\b")
# Of the standard library, what would start a thread, wait, or do I/O.  <cstdio>
# stays: snprintf, and the last words of a failed check.
IMPURE_STD = {
    "barrier", "condition_variable", "csignal", "ctime", "filesystem", "fstream", "future",
    "iostream", "latch", "mutex", "semaphore", "shared_mutex", "stop_token", "syncstream", "thread",
}
# Third parties that belong to some layers only.
FOREIGN = {
    "grpc": ("dgc/rpc/", "dgc/runtime/"),
    "grpcpp": ("dgc/rpc/", "dgc/runtime/"),
    "google": ("dgc/rpc/", "dgc/runtime/"),
    "spdlog": ("dgc/runtime/",),
    "prometheus": ("dgc/runtime/",),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
CLOCK = re.compile(
    r"\b(system|steady|high_resolution|file|utc|tai|gps)_clock\b"
    r"|\babsl::(Now|GetCurrentTimeNanos)\b|\brandom_device\b|\babsl::(InsecureBitGen|BitGen)\b"
    r"|\b(std::)?(clock_gettime|gettimeofday|timespec_get|srand|getrandom)\s*\("
    r"|(?<![\w.:>])(std::|::)?(time\s*\(\s*(NULL|nullptr|0|&)|(clock|rand)\s*\(\s*\))")
WALL_CLOCK = re.compile(
    r"\b(system|high_resolution|file|utc|tai|gps)_clock\b|\bCLOCK_(REALTIME|TAI)\w*"
    r"|\babsl::(Now|GetCurrentTimeNanos)\b|\b(gettimeofday|timespec_get)\s*\("
    r"|(?<![\w.:>])(std::|::)?time\s*\(\s*(NULL|nullptr|0|&)")
SLEEP = re.compile(r"\bsleep_(for|until)\b|\bSleepFor\b|\b(usleep|nanosleep|sleep)\s*\(")
MACHINE_PATH = re.compile(r"(?<![\w.$}/])/(work|root|Users|home/\w+)(?=[/\s\"':;,)`]|$)")
CONFLICT = re.compile(r"^(<{7} |={7}$|>{7} )")
CMAKE_GLOB = re.compile(
    r"\bfile\s*\(\s*GLOB|^\s*(include_directories|link_directories|link_libraries)\s*\(", re.I)


def strip_comment(line):
    """Without a // comment; a // inside a string may go too, which hides nothing we look for."""
    return line.split("//", 1)[0]


def check_text(path, data):
    """The rules of one file, given its path from the root and its bytes."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        yield Problem(path, 1, "text", f"not UTF-8: {error}")
        return
    lines = text.split("\n")
    name = os.path.basename(path)
    prose = path.endswith((".md", ".json", ".yaml", ".yml", ".txt")) and name != "CMakeLists.txt"
    verbatim = path == "LICENSE" or path.endswith((".svg", ".tsv"))

    if text and not text.endswith("\n"):
        yield Problem(path, len(lines), "text", "no newline at the end")
    if text.endswith("\n\n") and not verbatim:
        yield Problem(path, len(lines), "text", "empty lines at the end")
    for number, line in enumerate(lines, 1):
        if not verbatim:
            if line.endswith((" ", "\t", "\r")):
                yield Problem(path, number, "text", "space or carriage return at the end")
            if "\t" in line:
                yield Problem(path, number, "text", "tab")
        if not verbatim and not prose and len(line) > LINE_LENGTH_MAX and "http" not in line:
            yield Problem(path, number, "text", f"{len(line)} columns")
        if CONFLICT.match(line):
            yield Problem(path, number, "conflict", line)
        found = MACHINE_PATH.search(line)
        if found:
            yield Problem(path, number, "machine-path", found.group(0))

    if path.endswith(CXX):
        yield from check_cxx(path, lines)
    if path.endswith(".py") and path.startswith("tests/") and not path.startswith("tests/cluster/"):
        for number, line in enumerate(lines, 1):
            if re.search(r"\btime\.sleep\s*\(", line.split("#", 1)[0]):
                yield Problem(path, number, "sleep", line.strip())
    if name == "CMakeLists.txt" or path.endswith(".cmake"):
        for number, line in enumerate(lines, 1):
            code = line.split("#", 1)[0]
            if CMAKE_GLOB.search(code):
                yield Problem(path, number, "cmake-glob", line.strip())


def check_cxx(path, lines):
    if path.endswith(".h"):
        yield from check_header(path, lines)
    layer = next((each for each in LAYERS if path.startswith(each)), None)
    for number, line in enumerate(lines, 1):
        code = strip_comment(line)
        if "#pragma once" in code and not path.endswith(".h"):
            yield Problem(path, number, "header-guard", "not a header")
        if path.startswith(HANDED_TIME):
            found = CLOCK.search(code)
            if found:
                yield Problem(path, number, "clock", found.group(0).strip())
        if path.startswith(RUNTIME) and path != TELLS_THE_TIME_OF_DAY:
            found = WALL_CLOCK.search(code)
            if found:
                yield Problem(path, number, "wall-clock", found.group(0).strip())
        simulated = path.startswith("tests/") and not path.startswith("tests/cluster/")
        if (simulated or path.startswith(HANDED_TIME)) and SLEEP.search(code):
            yield Problem(path, number, "sleep", line.strip())
        include = INCLUDE.match(line)
        if include and layer:
            yield from check_include(path, number, layer, include.group(1), include.group(2))


def check_include(path, number, layer, bracket, target):
    top = target.split("/")[0]
    if bracket == '"' and target.startswith(("dgc/", "objects/", "services/", "tests/", "bench/")):
        if not target.startswith(LAYERS[layer]):
            yield Problem(path, number, "layer-include", target)
        return
    if layer not in FOREIGN.get(top, (layer,)):
        yield Problem(path, number, "layer-include", target)
        return
    if layer not in PURE:
        return
    if top == "absl":
        pure = PURE_ABSEIL.match(target)
    else:
        # <vector>, not <unistd.h> nor <sys/socket.h>.
        pure = bracket == "<" and re.fullmatch(r"\w+", target) and target not in IMPURE_STD
    if not pure:
        yield Problem(path, number, "pure-include", target)


def check_header(path, lines):
    comment = 0
    while comment < len(lines) and lines[comment].startswith("//"):
        comment += 1
    if comment == 0 or not re.search(r"\w{2}", lines[0]):
        yield Problem(path, 1, "header-comment", "does not begin with a // comment")
    rest = [line for line in lines[comment:] if line]
    if not rest or rest[0] != "#pragma once":
        yield Problem(path, comment + 1, "header-guard", "expected #pragma once here")


def check_names(paths):
    for path in sorted({each.split("/")[0] for each in paths}):
        if path not in TOP_LEVEL and not path.startswith("."):
            yield Problem(path, 1, "top-level", "does not belong here")


def check_listed(texts):
    """Every .cc and .proto is named in the CMakeLists.txt of a folder above it."""
    cmake = {path: data.decode("utf-8", "replace") for path, data in texts.items()
             if os.path.basename(path) == "CMakeLists.txt"}
    for path in sorted(texts):
        if not path.endswith((".cc", ".proto")):
            continue
        folder = os.path.dirname(path)
        while True:
            relative = os.path.relpath(path, folder or ".")
            listing = cmake.get(os.path.join(folder, "CMakeLists.txt"), "")
            if re.search(r"(?<![\w./-])" + re.escape(relative) + r"(?![\w./-])", listing):
                break
            if not folder:
                yield Problem(path, 1, "unlisted", "no CMakeLists.txt above it names it")
                break
            folder = os.path.dirname(folder)


def check_mode(path, data, executable):
    interpreted = data.startswith(b"#!")
    if interpreted and not executable:
        yield Problem(path, 1, "script", "has an interpreter line but is not executable")
    if executable and not interpreted:
        yield Problem(path, 1, "script", "is executable but has no interpreter line")


def check_tree(texts, executable=frozenset()):
    """All rules, over {path from the root: bytes} and the set of executable paths."""
    problems = list(check_names(texts)) + list(check_listed(texts))
    for path, data in sorted(texts.items()):
        if b"\0" in data:
            continue  # an image
        problems += check_mode(path, data, path in executable)
        problems += check_text(path, data)
    return problems


def source_files(root):
    """What git would commit; without git, everything but build trees and dot folders."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", root,
         "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if listed.returncode == 0 and listed.stdout:
        names = listed.stdout.decode().split("\0")
    else:
        names = []
        for folder, folders, files in os.walk(root):
            folders[:] = [each for each in folders
                          if each not in (".git", "build", "__pycache__")]
            names += [os.path.relpath(os.path.join(folder, each), root) for each in files]
    return sorted(name for name in names if name and os.path.isfile(os.path.join(root, name)))


def main():
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    root = os.path.realpath(sys.argv[1] if len(sys.argv) > 1 else default)
    texts = {}
    executable = set()
    for name in source_files(root):
        path = os.path.join(root, name)
        with open(path, "rb") as file:
            texts[name] = file.read()
        if os.access(path, os.X_OK):
            executable.add(name)
    problems = check_tree(texts, executable)
    for problem in problems:
        print(f"{problem.path}:{problem.line}: {problem.rule}: {problem.message}")
    for rule in sorted({problem.rule for problem in problems}):
        print(f"  {rule}: {RULES[rule]}")
    print(f"tidy: {len(texts)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
