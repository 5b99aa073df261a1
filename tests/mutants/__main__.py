"""Break each rule of `rules.py` alone and see that a test fails: `make mutants`.

`python -m tests.mutants [WORD…]` takes the rules that have one of these words in what they say, or as
their package. Each is broken in a copy of its own of the tree as it is here, committed or not. First
its package's own tests and those in the simulated network run there, until one fails; where none
does, the whole suite that needs no other program. A rule that survives that, and one whose code is
no longer there, is a failure.

mutmut and cosmic-ray break all there is to break, some ten thousand places, named by file and line:
nobody waits for that, and nobody reads what survives. A rule is named here by what it says.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.rule import NoLongerApplies, Rule, break_rule
from tests.mutants.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
AT_A_TIME = 2
SEEDS = 3
SIMULATED = ("simulation", "conformance")
"""Tests of whole services in the simulated network, whatever their subject."""
QUICK = "not bench and not long and not peers and not interop"
OWN_TESTS_S = 900.0
WHOLE_SUITE_S = 1800.0
PYTEST = ("-q", "-x", "-rfE", "--tb=no", "-p", "no:cacheprovider", "--hypothesis-seed=1", "-m", QUICK)
PASSED, FAILED = 0, 1
"""Pytest's exit codes. Any other says that the tests did not run, which proves nothing."""
RUNNING: set[subprocess.Popen[str]] = set()


def main(words: list[str]) -> int:
    """0: all were noticed; 1: some survived or no longer apply; 2: the tests fail as it is."""
    began = time.monotonic()
    rules = [rule for rule in RULES if is_meant(rule, words)]
    if stale := no_longer_apply(rules):
        print("\n".join(stale))
        return 1
    with tempfile.TemporaryDirectory(prefix="mutants-") as work:
        tree = copy_of_the_tree(Path(work))
        print(f"The tests as they are, before {len(rules)} rules are broken …", flush=True)
        packages = sorted({rule.package for rule in rules})
        tests = [*tests_of(*packages), *tests_of()]
        first = run(tree, ["-n", str(AT_A_TIME), *tests], WHOLE_SUITE_S)
        if first.returncode != PASSED:
            print(first.stdout)
            return 2
        survived = [rule for rule in broken_one_by_one(tree, rules) if survives_all(tree, rule)]
    minutes = (time.monotonic() - began) / 60
    print(f"{len(rules)} rules broken, {len(survived)} survived, {minutes:.0f} minutes")
    return 1 if survived else 0


def broken_one_by_one(tree: Path, rules: Sequence[Rule]) -> list[Rule]:
    """Those that no test of their own notices."""
    pool = ThreadPoolExecutor(AT_A_TIME)
    try:
        unnoticed = list(pool.map(lambda rule: survives(tree, rule), rules))
    except BaseException:  # Ctrl-C: what waits is not begun, what runs is ended
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(RUNNING):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    pool.shutdown()
    return [rule for rule, is_unnoticed in zip(rules, unnoticed, strict=True) if is_unnoticed]


def is_meant(rule: Rule, words: Sequence[str]) -> bool:
    return not words or rule.package in words or any(word in rule.says for word in words)


def no_longer_apply(rules: Sequence[Rule]) -> list[str]:
    complaints = []
    for rule in rules:
        try:
            break_rule(ROOT, rule)
        except NoLongerApplies as problem:
            complaints.append(f"no longer applies: {problem}")
    return complaints


def copy_of_the_tree(work: Path) -> Path:
    """What git knows or would add, as it is now: whoever goes on editing changes nothing here."""
    tree = work / "as it is"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.split("\0"):
        if name and (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    (tree / ".venv").symlink_to((ROOT / ".venv").resolve())
    return tree


def tests_of(*packages: str) -> list[str]:
    """The tests of these packages; without any, those in the simulated network."""
    return [f"tests/sipcore/{name}" for name in packages or SIMULATED]


def run(tree: Path, arguments: Sequence[str], limit_s: float) -> subprocess.CompletedProcess[str]:
    """Run tests there, of the source; too long is a failure to run."""
    with tempfile.TemporaryDirectory(prefix="mutants-var-") as var:
        env = os.environ | {"SIM_SEEDS": str(SEEDS), "VOIP_VAR": var}
        env.pop("SIPCORE", None)
        command = [str(ROOT / ".venv/bin/python"), "-m", "pytest", *PYTEST, *arguments]
        # In a session of its own: it is ended with all that it has started.
        with subprocess.Popen(
            command, cwd=tree, env=env, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:
            RUNNING.add(process)
            try:
                said, _ = process.communicate(timeout=limit_s)
            except BaseException as problem:
                os.killpg(process.pid, signal.SIGKILL)
                said, _ = process.communicate()
                if not isinstance(problem, subprocess.TimeoutExpired):
                    raise
                said += f"\nnot over after {limit_s:.0f} s"
            finally:
                RUNNING.discard(process)
    return subprocess.CompletedProcess(command, process.returncode, said)


def survives(tree: Path, rule: Rule) -> bool:
    """Whether no test of its own notices that it is broken."""
    return is_unnoticed(tree, rule, [tests_of(rule.package), tests_of()], OWN_TESTS_S)


def survives_all(tree: Path, rule: Rule) -> bool:
    """Whether the whole suite does not notice it either."""
    # But for the test that reads the rules: it misses what is broken.
    tests = ["-n", str(AT_A_TIME), "--ignore=tests/mutants", "tests"]
    return is_unnoticed(tree, rule, [tests], WHOLE_SUITE_S)


def is_unnoticed(
    tree: Path, rule: Rule, runs: Sequence[Sequence[str]], limit_s: float
) -> bool:
    """Whether one run after another passes with this rule broken; False for the first that fails."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-", dir=tree.parent) as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(tree, copy, symlinks=True)
        path, text = break_rule(tree, rule)
        path = copy / path.relative_to(tree)
        path.write_text(text)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()
        for tests in runs:
            done = run(copy, tests, limit_s)
            if done.returncode != PASSED:
                break
    told = f"{rule.package}: {rule.says} ({time.monotonic() - began:.0f} s"
    if done.returncode == FAILED:
        failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        by = failed[0].split(" ", 1)[1].split(" - ")[0] if failed else "a test"
        print(f"noticed   {told}, {by})", flush=True)
        return False
    if done.returncode == PASSED:
        print(f"SURVIVED  {told})", flush=True)
    else:
        print(f"NOT RUN   {told})\n{done.stdout[-2000:]}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
