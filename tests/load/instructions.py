"""`make instructions`: what an operation costs the worker alone, in instructions.

Runs `hot_path.py` under callgrind with sipcore as source and compiled, and prints its figures beside
those of `instructions.json`: 1 when one is dearer by more than `TOLERANCE`, where the Python is the
same. `BASE=commit` measures that commit's sipcore too, by the same `hot_path.py`. `UPDATE=1` keeps
the figures of this tree in the file; the table of docs/benchmarks.md is then to be written anew.

The same tree gives the same figures: both cores are copied to a folder whose path has always the
same length, hashes and random numbers have fixed seeds, the environment is three variables, the
collector is off. Another tree has its objects at other addresses: 0.2 % says nothing (docs/benchmarks.md).
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PROGRAM: Final = ROOT / "tests" / "load" / "hot_path.py"
FIGURES: Final = ROOT / "tests" / "load" / "instructions.json"
COMMITS: Final = ROOT / "build" / "commits"
"""Trees of the commits that were measured, compiled; may be deleted at any time."""

OPERATIONS: Final = ("refresh", "message", "call")
CORES: Final = {"source": "sipcore", "compiled": "build/compiled"}
COUNT: Final = 200
TOLERANCE: Final = 0.005
MARK: Final = "getloadavg"
"""The function of the C library that `hot_path.mark` calls."""
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}

Figures = dict[str, dict[str, int]]
"""By operation and core."""


def main() -> int:
    """0: all is well; 1: an operation has become dearer; 2: something is missing."""
    parser = argparse.ArgumentParser(prog="make instructions")
    parser.add_argument("--base", default="", help="a commit to measure beside this tree")
    parser.add_argument("--update", action="store_true", help="keep the figures of this tree")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("Missing: valgrind. As root: apt-get install -y valgrind")
        return 2
    kept = json.loads(FIGURES.read_text())
    base = measure_tree(checked_out(arguments.base)) if arguments.base else {}
    here = measure_tree(ROOT)
    print(f"\nInstructions per operation: {sys.version}, {platform.machine()}, {valgrind()}")
    if base:
        print("\n".join(table(here, base, arguments.base)))
    if arguments.update:
        keep(here)
        return 0
    kept = json.loads(FIGURES.read_text())
    print("\n".join(table(here, kept["instructions"], kept["commit"])))
    if not is_comparable(kept):
        print(
            f"Not judged: {kept['commit']} was measured with {kept['python']}, {kept['machine']}."
        )
        return 0
    dearer = dearer_than(kept["instructions"], here)
    for name in dearer:
        print(f"Dearer by more than {TOLERANCE:.1%}: {name}")
    return 1 if dearer else 0


# --- trees ---------------------------------------------------------------------------------------
def checked_out(commit: str) -> Path:
    """The tree of a commit, in a folder of its own."""
    name = git("rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}")
    folder = COMMITS / name
    if not folder.is_dir():
        fresh = folder.with_name("new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        archive = subprocess.run(
            ["git", "archive", name], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x"], cwd=fresh, check=True, input=archive.stdout)
        fresh.rename(folder)
    return folder


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout.strip()


def measure_tree(root: Path) -> Figures:
    """Both cores of a tree."""
    subprocess.run([sys.executable, "scripts/compile.py"], cwd=root, check=True)
    figures: Figures = {name: {} for name in OPERATIONS}
    for core, place in CORES.items():
        print(f"Counting in {root.name} as {core} …", flush=True)
        for name, value in measure(root / place).items():
            figures[name][core] = value
    return figures


def measure(core: Path) -> dict[str, int]:
    """Instructions for one of each operation, with this sipcore (or what holds it)."""
    with tempfile.TemporaryDirectory(prefix="instructions-", dir="/tmp") as name:
        folder = Path(name)
        if core.name == "sipcore":
            shutil.copytree(core, folder / "sipcore", ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copytree(core, folder, dirs_exist_ok=True)
        shutil.copy(PROGRAM, folder)
        (folder / ".venv").symlink_to(sys.prefix)
        program = [".venv/bin/python", PROGRAM.name, str(COUNT), *OPERATIONS]
        # Once without callgrind: failures show at once, and Python keeps what it has compiled.
        run(program, folder)
        callgrind = ["valgrind", "--quiet", "--tool=callgrind", f"--dump-before={MARK}"]
        run([*callgrind, "--callgrind-out-file=out", *program], folder)
        return {
            name: read_part(folder / f"out.{number}") // COUNT
            for name, number in zip(OPERATIONS, range(2, 8, 2), strict=True)
        }


def run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


def read_part(path: Path) -> int:
    """All instructions from one mark to the next: every second part is of an operation."""
    text = path.read_text()
    assert f"--dump-before={MARK}" in text, path
    [total] = re.findall(r"^summary: (\d+)$", text, re.MULTILINE)
    return int(total)


# --- figures ---------------------------------------------------------------------------------------
def is_comparable(kept: dict[str, Any]) -> bool:
    """Whether the figures come from this build of Python, on this kind of processor."""
    return (kept["python"], kept["machine"]) == (sys.version, platform.machine())


def dearer_than(kept: Figures, here: Figures) -> list[str]:
    """The operations that take more than they may."""
    return [
        f"{name} ({core})"
        for name in OPERATIONS
        for core in CORES
        if here[name][core] > kept[name][core] * (1 + TOLERANCE)
    ]


def table(here: Figures, other: Figures, name_of_other: str) -> list[str]:
    """Both side by side."""
    rows = [f"{'':8} {'':8} {'here':>10} {name_of_other:>10} {'ratio':>7}"]
    for name in OPERATIONS:
        for core in CORES:
            mine, its = here[name][core], other[name][core]
            rows.append(f"{name:8} {core:8} {mine:10,} {its:10,} {mine / its:7.4f}")
    return rows


def keep(here: Figures) -> None:
    """Write the file that is compared with."""
    is_changed = git("status", "--porcelain", "--", "sipcore")
    kept = {
        "commit": git("rev-parse", "--short=7", "HEAD") + ("+" if is_changed else ""),
        "python": sys.version,
        "machine": platform.machine(),
        "valgrind": valgrind(),
        "instructions": here,
    }
    FIGURES.write_text(json.dumps(kept, indent=2) + "\n")


def valgrind() -> str:
    done = subprocess.run(["valgrind", "--version"], check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
