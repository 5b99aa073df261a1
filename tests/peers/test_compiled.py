"""Which sipcore the daemon runs: the compiled one where it is the source's, and it says which."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.campus import Campus
from voip_portal.bridge.compiled import is_current

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parent.parent.parent


def test_what_was_compiled_from_this_source_is_run(campus: Campus) -> None:
    core = "compiled" if is_current(ROOT) else "source"
    assert f"(sipcore: {core})" in campus.log("sipd")


def test_source_is_run_where_it_is_wanted(prepared: Campus, tmp_path: Path) -> None:
    with prepared.copy(tmp_path / "var", {"VOIP_COMPILED": "0"}).start_sipd() as campus:
        assert "(sipcore: source)" in campus.log("sipd")
