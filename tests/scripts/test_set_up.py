"""What `make run` and `make test` say on a machine where something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
SYSTEM_PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
NOT_INSTALLED = {"sipp": "sip-tester", "chromium": "chromium", "msgfmt": "gettext"}
"""Programs that are looked for in PATH alone, and their packages."""
OLD = 'echo "Python 3.9.2"; [ "$1" = --version ]'
BARE = 'case "$2" in *ensurepip*) exit 1;; esac'


def said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def look_for_programs(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Where PATH leads nowhere, as somebody who may install nothing."""
    return subprocess.run(
        [SYSTEM_PYTHON, "-", *words],
        input=(SCRIPTS / "programs.py").read_text(),
        env={"PATH": "/nonexistent", **env},
        cwd="/",
        user="nobody" if os.geteuid() == 0 else None,
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_missing_programs_are_named_with_one_line_for_apt() -> None:
    done = look_for_programs()
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if "apt-get install" in line]
    for program, package in NOT_INSTALLED.items():
        assert f"Missing: {program} (" in done.stderr
        assert package in line.split()
    assert "make test PEERS=0" in done.stderr


def test_without_peers_no_program_is_asked_for() -> None:
    done = look_for_programs(PEERS="0")
    assert (done.returncode, said(done)) == (0, "")


def test_what_counts_instructions_is_asked_for_where_they_are_counted_alone() -> None:
    assert "valgrind" not in said(look_for_programs())
    done = look_for_programs("instructions", PEERS="0")
    assert done.returncode == 2
    assert "Missing: valgrind (" in done.stderr
    assert "make test" not in done.stderr
    make = ["make", "-n", "instructions", "BASE=v1"]
    lines = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert 0 < lines.index("programs.py instructions") < lines.index("--base v1")


def test_programs_are_looked_for_before_the_first_test() -> None:
    done = subprocess.run(
        ["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert 0 < done.stdout.index("scripts/programs.py") < done.stdout.index("scripts/test.sh")


def test_what_was_not_run_is_counted(tmp_path: Path) -> None:
    markers = ("peers", "interop", "sql", "bench", "long")
    names = "".join(f"    {name}: x\n" for name in markers)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nmarkers =\n{names}")
    marked = [
        ("peers",),
        ("peers", "sql"),
        ("interop",),
        ("sql",),
        ("peers", "long"),
        ("bench",),
        (),
    ]
    lines = ["import pytest"]
    for number, test in enumerate(marked):
        lines += [f"@pytest.mark.{name}" for name in test] + [f"def test_{number}(): pass"]
    (tmp_path / "test_them.py").write_text("\n".join(lines))
    done = subprocess.run(
        [sys.executable, SCRIPTS / "not_run.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("NOT RUN: 4 tests (sipp, baresip, "), said(done)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        (None, "Python is missing"),
        (OLD, "Python 3.9.2 does not do: 3.11, 3.12 or 3.13 is needed"),
        (BARE, "venv module is missing. As root: apt-get install"),
    ],
    ids=["none", "old", "without venv"],
)
def test_a_python_that_does_not_do_is_a_sentence(
    tmp_path: Path, python: str | None, sentence: str
) -> None:
    path = tmp_path / "python"
    if python is not None:
        path.write_text(f"#!/bin/sh\n{python}\n")
        path.chmod(0o755)
    done = subprocess.run(
        ["sh", SCRIPTS / "venv.sh", "check"],
        env={**os.environ, "PYTHON": str(path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert sentence in done.stderr


def test_the_python_that_is_chosen_does() -> None:
    done = subprocess.run(["sh", SCRIPTS / "python.sh"], capture_output=True, text=True, check=True)
    version = "import sys; print(sys.version_info[:2])"
    found = subprocess.run(
        [done.stdout.strip(), "-c", version], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() in ("(3, 11)", "(3, 12)", "(3, 13)")
