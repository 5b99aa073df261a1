"""Which checklist ids a test run proves.

`@pytest.mark.rfc("TXN-05", …)` names the lines of `docs/conformance-checklist.md` that a test proves.
A run with CONFORMANCE_REPORT=FILE writes what became of those tests to that file as JSON:
`{node id: {"ids": […], "outcome": "passed"}}`; `scripts/conformance.py` reads it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

CHECKLIST: Final = Path(__file__).parents[2] / "docs" / "conformance-checklist.md"
MARKER: Final = "rfc(id, …): lines of docs/conformance-checklist.md that the test proves"
_PROPERTY: Final = "rfc"


def checklist_ids() -> dict[str, str]:
    """Id → its line in the checklist, in the order of the checklist."""
    found = re.findall(r"^- ([A-Z]{3}-\d\d) \| (.*)$", CHECKLIST.read_text(), re.MULTILINE)
    return dict(found)


def note_ids(items: Iterable[pytest.Item]) -> None:
    """Attach each test's ids to its reports; an id that is not in the checklist stops the run."""
    known = checklist_ids()
    for item in items:
        ids = sorted({name for mark in item.iter_markers("rfc") for name in mark.args})
        if unknown := [name for name in ids if name not in known]:
            raise pytest.UsageError(f"{item.nodeid}: not in the checklist: {', '.join(unknown)}")
        if ids:
            item.user_properties.append((_PROPERTY, ids))


class Report:
    """Collects outcomes in the process that sees all reports, and writes them at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Setup, call and teardown of each test; the worst of the three counts."""
        ids = dict(report.user_properties).get(_PROPERTY)
        if not ids:
            return
        outcome = "xfailed" if hasattr(report, "wasxfail") else report.outcome
        entry = self._seen.setdefault(report.nodeid, {"ids": ids, "outcome": "passed"})
        if outcome != "passed":
            entry["outcome"] = outcome

    def pytest_sessionfinish(self) -> None:
        """All tests have ended."""
        self._path.write_text(json.dumps(self._seen, indent=1, sort_keys=True))


def register(config: pytest.Config) -> None:
    """Report if asked to, once per run however many processes there are."""
    path = os.environ.get("CONFORMANCE_REPORT")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(Path(path)))
