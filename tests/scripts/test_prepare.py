"""A first start, where the database server needs longer than we do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import postgresql
from tests.support.campus import wait_for
from tests.support.ports import free_port
from tests.support.postgresql import Cluster

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(postgresql.binaries() is None, reason="needs PostgreSQL"),
]
ROOT = Path(__file__).parents[2]


def prepare(var: Path, url: str, *words: str) -> subprocess.Popen[str]:
    """`prepare.py` on a database of the test's."""
    with (var.parent / "said").open("w") as said:
        return subprocess.Popen(
            [sys.executable, "scripts/prepare.py", *words],
            cwd=ROOT,
            env={**os.environ, "VOIP_VAR": str(var), "DATABASE_URL": url},
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )


def test_a_database_that_is_late_is_waited_for_and_named(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with Cluster() as cluster:
        cluster.stop()
        running = prepare(tmp_path / "var", cluster.url)
        wait_for("a word", lambda: "Waiting 60 seconds" in said.read_text(), 30)
        cluster.start()
        out, _ = running.communicate(timeout=120)
    assert running.returncode == 0
    assert "Administrator, shown only this once" in out
    assert f"port {cluster.port} failed" in said.read_text()


def test_a_database_that_does_not_come_ends_it_with_a_sentence(tmp_path: Path) -> None:
    url = f"postgres://voip@127.0.0.1:{free_port()}/voip"
    running = prepare(tmp_path / "var", url, "--wait", "1")
    running.communicate(timeout=60)
    assert running.returncode == 1
    lines = (tmp_path / "said").read_text().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Waiting 1 seconds at most. The database cannot be used (")
    assert lines[1].endswith("DATABASE_URL. Waited 1 seconds for it.")
