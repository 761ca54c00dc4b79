#!/usr/bin/env python3
"""Feeds tidy.py something bad for every rule, and something good that looks like it."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tidy  # pylint: disable=wrong-import-position

# A header every rule accepts, to put the line under test into.
GOOD_HEADER = "// A thing.\n//\n// Thread-compatible.\n\n#pragma once\n\n{}\n"
MACHINE = "/wo" + "rk/main"  # in two halves: this file is checked too

# (rule, path, text): the text breaks that rule, and no other.
BAD = [
    ("top-level", "notes.md", "x\n"),
    ("top-level", "src/x.md", "x\n"),
    ("pure-include", "dgc/core/x.h", GOOD_HEADER.format("#include <thread>")),
    ("pure-include", "dgc/core/x.h", GOOD_HEADER.format("#include <mutex>")),
    ("pure-include", "dgc/core/x.h", GOOD_HEADER.format("#  include <condition_variable>")),
    ("pure-include", "dgc/core/x.h", GOOD_HEADER.format("#include <unistd.h>")),
    ("pure-include", "dgc/core/x.h", GOOD_HEADER.format("#include <sys/socket.h>")),
    ("pure-include", "dgc/core/x.h", GOOD_HEADER.format('#include "absl/synchronization/mutex.h"')),
    ("pure-include", "dgc/strategies/x.h", GOOD_HEADER.format('#include "absl/time/clock.h"')),
    ("layer-include", "dgc/core/x.h", GOOD_HEADER.format("#include <grpcpp/grpcpp.h>")),
    ("layer-include", "dgc/core/x.h", GOOD_HEADER.format('#include "google/protobuf/message.h"')),
    ("layer-include", "dgc/strategies/x.h", GOOD_HEADER.format('#include "spdlog/spdlog.h"')),
    ("layer-include", "dgc/testkit/x.h", GOOD_HEADER.format("#include <prometheus/counter.h>")),
    ("layer-include", "dgc/rpc/x.h", GOOD_HEADER.format("#include <prometheus/counter.h>")),
    ("layer-include", "dgc/core/x.h", GOOD_HEADER.format('#include "dgc/strategies/registry.h"')),
    ("layer-include", "dgc/strategies/x.h", GOOD_HEADER.format('#include "dgc/v1/ref.pb.h"')),
    ("layer-include", "dgc/runtime/x.h", GOOD_HEADER.format('#include "dgc/testkit/network.h"')),
    ("layer-include", "dgc/rpc/x.h", GOOD_HEADER.format('#include "tests/testing/x.h"')),
    ("clock", "dgc/core/x.h", GOOD_HEADER.format("auto t = std::chrono::steady_clock::now();")),
    ("clock", "dgc/core/x.h", GOOD_HEADER.format("auto t = std::chrono::system_clock::now();")),
    ("clock", "dgc/strategies/x.h", GOOD_HEADER.format("auto t = absl::Now();")),
    ("clock", "dgc/testkit/x.h", GOOD_HEADER.format("std::mt19937_64 g(std::random_device{}());")),
    ("clock", "dgc/core/x.h", GOOD_HEADER.format("auto t = time(nullptr);")),
    ("clock", "dgc/core/x.h", GOOD_HEADER.format("auto r = std::rand();")),
    ("wall-clock", "dgc/runtime/x.h", GOOD_HEADER.format("std::chrono::system_clock::now();")),
    ("wall-clock", "dgc/runtime/x.h", GOOD_HEADER.format("clock_gettime(CLOCK_REALTIME, &t);")),
    ("wall-clock", "dgc/rpc/x.h", GOOD_HEADER.format("auto t = time(nullptr);")),
    ("sleep", "tests/sim/x.h", GOOD_HEADER.format("std::this_thread::sleep_for(1s);")),
    ("sleep", "tests/rpc/x.h", GOOD_HEADER.format("absl::SleepFor(absl::Seconds(1));")),
    ("sleep", "tests/runtime/x.h", GOOD_HEADER.format("usleep(1000);")),
    ("sleep", "tests/tidy/x.py", "time.sl" + "eep(1)\n"),
    ("header-comment", "dgc/runtime/x.h", "\n#pragma once\n"),
    ("header-comment", "dgc/runtime/x.h", "//\n#pragma once\n"),
    ("header-guard", "dgc/runtime/x.h", "// A thing.\n\nint x;\n"),
    ("header-guard", "dgc/runtime/x.h", "// A thing.\n\n#ifndef X_H\n#define X_H\n#endif\n"),
    ("machine-path", "README.md", f"cd {MACHINE}\n"),
    ("machine-path", "bench/README.md", "see /home/" + "alice/leasehold.\n"),
    ("machine-path", "deploy/local/x.h", GOOD_HEADER.format(f'const char* p = "{MACHINE}";')),
    ("unlisted", "tests/core/x_test.cc", "int x;\n"),
    ("unlisted", "proto/dgc/v1/x.proto", "syntax = \"proto3\";\n"),
    ("cmake-glob", "bench/CMakeLists.txt", "file(GLOB sources *.cc)\n"),
    ("cmake-glob", "bench/CMakeLists.txt", "include_directories(..)\n"),
    ("script", "tests/x", "#!/bin/sh\n"),
    ("text", "README.md", "no newline"),
    ("text", "README.md", "two newlines\n\n"),
    ("text", "README.md", "trailing \n"),
    ("text", "README.md", "carriage return\r\n"),
    ("text", "dgc/rpc/x.h", GOOD_HEADER.format("\tint x;")),
    ("text", "dgc/rpc/x.h", GOOD_HEADER.format("// " + "x" * 98)),
    ("conflict", "README.md", "<" * 7 + " HEAD\n"),
]

# What looks forbidden and is not.
GOOD = {
    "README.md": "# Leasehold\n\n" + "long " * 40 + "line of prose, /usr/bin, dgc/work/x\n",
    ".gitignore": "/build/\n",
    "dgc/core/x.h": GOOD_HEADER.format(
        '#include <chrono>\n#include <vector>\n\n'
        '#include "absl/container/flat_hash_map.h"\n#include "absl/status/status.h"\n'
        '#include "dgc/core/ids.h"\n\n'
        "// Not steady_clock::now(): time is handed in, and nobody sleeps (sleep_for).\n"
        "TimePoint expiry_time(TimePoint now);\nint lease_clock(int);\nauto t = lease.time();"),
    "dgc/strategies/lease/x.h": GOOD_HEADER.format('#include "dgc/strategies/registry.h"'),
    "dgc/rpc/x.h": GOOD_HEADER.format('#include <grpcpp/grpcpp.h>\n#include "dgc/v1/ref.pb.h"'),
    "dgc/runtime/x.h": GOOD_HEADER.format(
        "#include <mutex>\n#include <prometheus/counter.h>\n"
        "auto t = std::chrono::steady_clock::now();"),
    "dgc/runtime/events.h": GOOD_HEADER.format("auto t = std::chrono::system_clock::now();"),
    "dgc/core/x.cc": '#include "dgc/core/x.h"\n',
    "dgc/CMakeLists.txt": "add_library(dgc_core\n  core/x.cc)\n",
    "tests/CMakeLists.txt": "dgc_test(cluster/y_test.cc LABEL cluster)\n",
    "tests/cluster/y_test.cc": "void f() { std::this_thread::sleep_for(1s); }\n",
    "tests/run": "#!/bin/sh\n",
}


def rules_of(problems):
    return sorted({problem.rule for problem in problems})


class TidyTest(unittest.TestCase):

    def test_every_bad_text_is_rejected_by_its_rule_alone(self):
        for rule, path, text in BAD:
            with self.subTest(rule=rule, path=path, text=text):
                problems = tidy.check_tree({path: text.encode()})
                self.assertEqual(rules_of(problems), [rule], problems)

    def test_every_rule_has_a_bad_text(self):
        self.assertEqual({rule for rule, _, _ in BAD}, set(tidy.RULES))

    def test_good_texts_are_accepted(self):
        texts = {path: text.encode() for path, text in GOOD.items()}
        self.assertEqual(tidy.check_tree(texts, {"tests/run"}), [])

    def test_an_executable_without_interpreter_is_rejected(self):
        problems = tidy.check_tree({"dgc/x.md": b"text\n"}, {"dgc/x.md"})
        self.assertEqual(rules_of(problems), ["script"])

    def test_bytes_that_are_not_text_are_rejected_unless_an_image(self):
        self.assertEqual(rules_of(tidy.check_tree({"README.md": b"\xff\n"})), ["text"])
        self.assertEqual(rules_of(tidy.check_tree({"deploy/x.png": b"\x89PNG\0\xff"})), [])

    def test_a_source_listed_under_another_name_is_unlisted(self):
        texts = {"dgc/core/x.cc": b"int x;\n",
                 "dgc/CMakeLists.txt": b"dgc_layer(core SOURCES core/xx.cc more/core/x.cc)\n"}
        self.assertEqual(rules_of(tidy.check_tree(texts)), ["unlisted"])

    def test_a_problem_names_its_line(self):
        text = GOOD_HEADER.format("int a;\n#include <thread>")
        problem, = tidy.check_tree({"dgc/core/x.h": text.encode()})
        self.assertEqual((problem.path, problem.line), ("dgc/core/x.h", 8))


if __name__ == "__main__":
    unittest.main()
