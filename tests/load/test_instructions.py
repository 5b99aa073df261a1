"""What `make instructions` makes of its counts."""

from __future__ import annotations

import copy
import json
import platform
import sys
from pathlib import Path

import pytest

from tests.load import instructions
from tests.load.hot_path import OPERATIONS

KEPT = json.loads(instructions.FIGURES.read_text())


def test_count_of_a_part_is_read(tmp_path: Path) -> None:
    part = tmp_path / "out.2"
    part.write_text(f"part: 2\ndesc: Trigger: --dump-before={instructions.MARK}\nsummary: 1234\n\n")
    assert instructions.read_part(part) == 1234


def test_end_of_the_program_is_no_mark(tmp_path: Path) -> None:
    part = tmp_path / "out"
    part.write_text("part: 7\ndesc: Trigger: Program termination\nsummary: 1234\n\n")
    with pytest.raises(AssertionError):
        instructions.read_part(part)


def test_what_became_dearer_is_named() -> None:
    kept = KEPT["instructions"]
    assert instructions.dearer_than(kept, kept) == []
    here = copy.deepcopy(kept)
    here["refresh"]["source"] = int(kept["refresh"]["source"] * 1.004)
    here["message"]["source"] //= 2
    here["call"]["compiled"] = int(kept["call"]["compiled"] * 1.006)
    assert instructions.dearer_than(kept, here) == ["call (compiled)"]


def test_another_python_is_not_judged() -> None:
    same = {"python": sys.version, "machine": platform.machine()}
    assert instructions.is_comparable(same)
    assert not instructions.is_comparable({**same, "python": "3.11.2 (another build)"})
    assert not instructions.is_comparable({**same, "machine": "another"})


def test_page_shows_the_figures_that_are_kept() -> None:
    assert tuple(KEPT["instructions"]) == instructions.OPERATIONS == tuple(OPERATIONS)
    page = (instructions.ROOT / "docs" / "benchmarks.md").read_text()
    assert f"commit {KEPT['commit']}" in page
    for name, figures in KEPT["instructions"].items():
        source, compiled = figures["source"], figures["compiled"]
        assert f"| {name} | {source:,} | {compiled:,} | {compiled / source:.2f} |" in page
