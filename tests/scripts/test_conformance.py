"""When a line of the checklist has lost its proof, and when a machine only lacks something."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EDGE, OTHER = "tests/peers/test_tls.py::edge[::1]", "tests/peers/test_tls.py::other"


def check(folder: Path, page: Path, *, write: bool = False, **outcomes: str) -> tuple[int, str]:
    """What the script says of a run in which `edge` and `other`, both of TRP-01, ended so."""
    report = folder / "report.json"
    ran = {"edge": EDGE, "other": OTHER}
    report.write_text(
        json.dumps({ran[n]: {"ids": ["TRP-01"], "outcome": o} for n, o in outcomes.items()})
    )
    arguments = [str(report)] if write else ["--check", str(report)]
    done = subprocess.run(
        [sys.executable, "scripts/conformance.py", *arguments],
        env={**os.environ, "CONFORMANCE_PAGE": str(page)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    code, said = check(tmp_path, path, write=True, edge="passed", other="passed")
    assert code == 0, said
    assert re.search(r"TRP-01 +2 +2$", said, re.MULTILINE)
    assert said.endswith("1 of 234 proven\n")
    return path


@pytest.mark.parametrize(
    ("edge", "other", "code"),
    [
        ("passed", "passed", 0),
        ("skipped", "passed", 0),
        ("skipped", "skipped", 1),
        ("failed", "passed", 1),
        ("xfailed", "passed", 1),
    ],
)
def test_a_proof_is_lost_unless_some_tests_of_it_passed_and_the_others_could_not_run(
    tmp_path: Path, page: Path, edge: str, other: str, code: int
) -> None:
    returned, said = check(tmp_path, page, edge=edge, other=other)
    assert (returned, "TRP-01 has lost its proof" in said) == (code, bool(code)), said


def test_a_test_that_is_gone_makes_the_page_out_of_date(tmp_path: Path, page: Path) -> None:
    code, said = check(tmp_path, page, other="passed")
    assert code == 1
    assert "out of date: run make conformance" in said
