"""The page about applications shows the files as they are: each is run by a test of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "applications.md"
EXAMPLE = re.compile(r"<!-- (\S+\.py) -->\n```python\n(.*?)```\n", re.DOTALL)


def test_the_examples_are_the_files() -> None:
    shown = dict(EXAMPLE.findall(PAGE.read_text()))
    assert list(shown) == [f"sipcore/apps/{n}.py" for n in ("echo", "callback", "after_hours")]
    for name, text in shown.items():
        assert text == (ROOT / name).read_text(), f"{name} differs from {PAGE.name}"


@pytest.mark.parametrize("name", ["echo", "callback", "after_hours"])
def test_an_example_is_short(name: str) -> None:
    lines = (ROOT / "sipcore" / "apps" / f"{name}.py").read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.startswith(("from ", "import ", '"'))]
    assert len(code) <= 25
