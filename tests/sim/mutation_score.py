#!/usr/bin/env python3
"""The mutation score: every deliberate defect in turn, until a test notices it.

    tests/mutate                             builds, and runs this on all of them
    tests/sim/mutation_score.py DIRECTORY    on the binaries that were built there

Each defect of mutations.py is tried against the unit tests of core and strategies and the
scenarios, then, if none fails, against the campaign.  A test counts if it fails by itself, too,
and does not without the defect.  One that does not end fails nothing by that: it may be slow.
Exits 1 if a defect survives both.
"""

import argparse
import concurrent.futures
import os
import random
import re
import subprocess
import sys
import time

import mutations

# How much longer than without a defect the tests may take, on a machine that is as busy.
PATIENCE = 10


def killing_test(directory, name, seconds_max=None):
    """The first unit test or scenario that fails with the defect, and by itself without it does
    not, as one may fail by chance; and the one that does not end."""
    by_chance = []
    while True:
        failed, endless = failing_test(directory, name, "-" + ":".join(by_chance), seconds_max)
        if not failed or not name:
            return failed, endless
        alone = [failing_test(directory, defect, failed, seconds_max) for defect in (name, "")]
        if alone[0] != (None, None) and alone[1] == (None, None):
            return failed, None
        by_chance.append(failed)


def failing_test(directory, name, tests, seconds_max):
    """The first of those tests that fails with the defect, and the one that does not end."""
    command = [os.path.join(directory, "tests_mutated"), "--gtest_fail_fast",
               f"--gtest_filter={tests}"]
    environment = dict(os.environ, DGC_MUTATION=name)
    try:
        run = subprocess.run(command, env=environment, capture_output=True, text=True,
                             errors="replace", timeout=seconds_max, check=False)
        output, passed, ended = run.stdout, run.returncode == 0, True
    except subprocess.TimeoutExpired as late:
        output, passed, ended = late.stdout.decode(errors="replace"), False, False
    if passed:
        return None, None
    failed = re.findall(r"^\[  FAILED  \] (\S+)", output, re.MULTILINE)
    begun = re.findall(r"^\[ RUN      \] (\S+)", output, re.MULTILINE)
    if not failed and not begun:
        raise RuntimeError(f"{command[0]} does not start with the defect '{name}': {output}")
    if failed:
        return failed[0], None
    return (begun[-1], None) if ended else (None, begun[-1])  # It died, or goes on.


def killing_seed(directory, name, seeds):
    """The first seed of the campaign that fails with the defect; None if all pass."""
    command = [os.path.join(directory, "campaign_mutated"), "--mutation", name,
               "--seeds", str(seeds), "--until-failure"]
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if run.returncode == 0:
        return None
    failed = re.search(r"^FAILED seed (\d+)", run.stdout, re.MULTILINE)
    if failed is None:
        raise RuntimeError(f"{command[0]} does not start with '{name}': {run.stdout}{run.stderr}")
    return f"campaign, seed {failed[1]}"


def killer(directory, name, seeds, seconds_max):
    test, endless = killing_test(directory, name, seconds_max)
    seed = None if test else killing_seed(directory, name, seeds)
    return f"{seed} ({endless} does not end)" if seed and endless else test or seed


def at_least_one(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("directory", help="with campaign_mutated and tests_mutated")
    parser.add_argument("--sample", type=at_least_one, metavar="N",
                        help="only N of them, each time others")
    parser.add_argument("--only", metavar="TEXT", help="only those whose name contains this")
    parser.add_argument("--seeds", type=at_least_one, default=4000,
                        help="of the campaign, for each defect")
    parser.add_argument("--jobs", type=at_least_one, default=os.cpu_count())
    parser.add_argument("--markdown", metavar="FILE", help="write the table there as well")
    parser.add_argument("--check-options", action="store_true", help="and do nothing else")
    options = parser.parse_args()

    chosen = [(name, os.path.basename(path)) for name, path, _, _ in mutations.MUTATIONS
              if not options.only or options.only in name]
    if not chosen:
        parser.error(f"no defect's name contains '{options.only}'")
    if options.sample:
        if options.sample > len(chosen):
            parser.error(f"there are {len(chosen)} defects")
        chosen = random.sample(chosen, options.sample)
    if options.markdown:
        if len(chosen) < len(mutations.MUTATIONS):
            parser.error("--markdown is for all of them")
        if not os.access(os.path.dirname(options.markdown) or ".", os.W_OK):
            parser.error(f"{options.markdown} cannot be written")
    if options.check_options:
        return 0
    for program in ("tests_mutated", "campaign_mutated"):
        if not os.access(os.path.join(options.directory, program), os.X_OK):
            parser.error(f"{options.directory} has no {program}: tests/mutate builds it")
    rows = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        begun = time.monotonic()
        whole = list(pool.map(lambda _: killing_test(options.directory, "")[0],
                              range(options.jobs)))
        seconds_max = PATIENCE * (time.monotonic() - begun)
        if found := next(filter(None, whole), None) or killing_seed(options.directory, "", 400):
            print(f"fails without any defect: {found}")
            return 2
        names = [name for name, _ in chosen]
        found = pool.map(lambda name: killer(options.directory, name, options.seeds, seconds_max),
                         names)
        for (name, file), by in zip(chosen, found):
            rows.append((name, file, by or "**SURVIVES**"))
            print(f"{'killed  ' if by else 'SURVIVES'}  {name:57} {by or ''}", flush=True)
    survivors = sum(by == "**SURVIVES**" for _, _, by in rows)
    score = f"{len(rows) - survivors} of {len(rows)} deliberate defects are killed"
    print(f"mutation score: {score}")
    if options.markdown:
        write_markdown(options.markdown, rows, score)
    return 1 if survivors else 0


def write_markdown(path, rows, score):
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""# Mutation score

Written by `tests/mutate --markdown tests/sim/MUTATIONS.md`: {score}.

Each line of [`mutations.py`](mutations.py) is compiled into a copy of core and strategies, and
tried against their unit tests and scenarios, then against the campaign. What noticed it first:

| defect | file | killed by |
| --- | --- | --- |
""")
        for name, where, by in rows:
            file.write(f"| {name} | `{where}` | {by} |\n")


if __name__ == "__main__":
    sys.exit(main())
